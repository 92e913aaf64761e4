package table

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// keptRounds is as many rounds as any terminal shows.
const keptRounds = 200

// Screen paints a table over and over on a terminal.
type Screen struct {
	out  io.Writer
	size func() (width, height int)

	mu      sync.Mutex
	model   model
	painted int // lines that stand above the cursor
}

// NewScreen makes a Screen on a terminal; ok is false when the file is not one.
func NewScreen(file *os.File) (screen *Screen, ok bool) {
	if _, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err != nil {
		return nil, false
	}
	return &Screen{out: file, size: func() (int, int) {
		size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Col == 0 || size.Row == 0 {
			return 80, 24 // a terminal that does not say
		}
		return int(size.Col), int(size.Row)
	}}, true
}

// Step says what the network does now.
func (s *Screen) Step(text string) { s.change(func(m *model) { m.step = text }) }

// Round shows an answer.
func (s *Screen) Round(r Round) {
	s.change(func(m *model) {
		m.rounds = append(m.rounds, r)
		m.rounds = m.rounds[max(0, len(m.rounds)-keptRounds):]
	})
}

// Nodes shows the nodes.
func (s *Screen) Nodes(nodes []Node) { s.change(func(m *model) { m.nodes = nodes }) }

func (s *Screen) change(change func(*model)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.model)
	width, height := s.size()
	var frame strings.Builder
	if s.painted > 0 {
		fmt.Fprintf(&frame, "\x1b[%dA", s.painted) // up to the first line
	}
	lines := s.model.render(height)
	for _, line := range lines {
		// A line that wrapped would put the next frame in the wrong place.
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		frame.WriteString("\r" + line + "\x1b[K\n")
	}
	frame.WriteString("\x1b[J") // what an earlier, longer frame left
	s.painted = len(lines)
	_, _ = io.WriteString(s.out, frame.String()) // a terminal that went away ends the process by a signal
}
