package looptest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/subject"
)

// What is shown of a failed plugin's stderr. The cause seldom stands in the last line: Node.js ends with its version,
// and a traceback of Python's SDK is one long line of JSON.
const (
	shownLines = 20
	shownLine  = 1 << 10 // bytes of one line
	shownBytes = 8 << 10 // bytes of all
)

// told is how much the shared process wrote before a case, so that its lines of the case can be told apart.
type told struct {
	shared *subject.Process // nil: none
	lines  int
}

// begin is called before a case.
func (b *bench) begin() told {
	b.launched = nil
	if b.shared == nil || b.shared.Process == nil {
		return told{}
	}
	return told{b.shared.Process, len(b.shared.Process.Stderr())}
}

// stderr is the end of what the plugin wrote during the case, from its latest process that wrote anything. It is called
// after finish, when all output has arrived.
func (b *bench) stderr(before told) []string {
	for _, p := range slices.Backward(b.launched) {
		if lines := p.Stderr(); len(lines) > 0 {
			return b.shown(lines)
		}
	}
	if before.shared == nil {
		return nil
	}
	return b.shown(before.shared.Stderr()[before.lines:])
}

// shown are the last lines, in a form that is safe for terminals and reports.
func (b *bench) shown(lines []string) []string {
	var all []string
	size := 0
	for _, line := range slices.Backward(lines) {
		line = shorten(printable(b.hide(line)))
		if size += len(line); len(all) == shownLines || size > shownBytes {
			break
		}
		all = append(all, line)
	}
	slices.Reverse(all)
	return all
}

// address is a URL of a node, whose path, query and user often are a key.
var address = regexp.MustCompile(`(?i)\b((?:https?|wss?)://)(?:[^\s"'\\<>/?#@]*@)?([^\s"'\\<>/?#@]+)[^\s"'\\<>]*`)

// hide leaves out what may be a secret of the person who runs the suite: values of the environment except paths, which
// tell where a program failed, and all of an RPC address except its host. The keys of Init may stay, since they end
// with their process.
func (b *bench) hide(line string) string {
	for _, entry := range b.settings.Env {
		name, value, _ := strings.Cut(entry, "=")
		if len(value) >= 8 && !strings.HasPrefix(value, "/") {
			line = strings.ReplaceAll(line, value, "$"+name)
		}
	}
	return address.ReplaceAllString(line, "${1}${2}/…")
}

// printable escapes characters that cannot be printed, since terminals obey control characters.
func printable(s string) string {
	var out strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return out.String()
}

// shorten leaves out the middle of a long line.
func shorten(s string) string {
	if len(s) <= shownLine {
		return s
	}
	const half = shownLine/2 - 2
	return strings.ToValidUTF8(s[:half], "") + " … " + strings.ToValidUTF8(s[len(s)-half:], "")
}
