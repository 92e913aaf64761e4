package loophost

import (
	"errors"
	"strings"
	"testing"
)

// TestBrief checks that what a table shows of an end is one line of bounded length.
func TestBrief(t *testing.T) {
	t.Parallel()
	if got := brief("exit status 2; it said:\n\tpanic: \u00e9"); got != "exit status 2; it said: panic: \u00e9" {
		t.Errorf("%q", got)
	}
	if got := brief(strings.Repeat("\u00e9", 900)); len([]rune(got)) != longestExit || !strings.HasSuffix(got, "\u00e9…") {
		t.Errorf("%q", got)
	}
}

// TestLastExit checks that the plugin is not named in the sentence, which stands beside its name.
func TestLastExit(t *testing.T) {
	t.Parallel()
	p := &Plugin{name: "evm", lastErr: errors.New("plugin evm: \"loop-evm\" ended before its handshake")}
	if got := p.lastExitLocked(); got != `"loop-evm" ended before its handshake` {
		t.Errorf("%q", got)
	}
}
