package cli

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// widestCell is how much of a sentence a table shows, in characters. The page of one job or plugin shows all of it.
const widestCell = 60

func brief(text string) string {
	if shown := []rune(text); len(shown) > widestCell {
		return string(shown[:widestCell-1]) + "…"
	}
	return text
}

// partState is the state of a part of the node; a dash if the node has not looked at it.
func partState(h *nodev1.HealthCheck) string {
	if h == nil {
		return "-"
	}
	return strings.ToLower(strings.TrimPrefix(h.GetState().String(), "STATE_"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func age(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return max(0, time.Since(t.AsTime())).Round(time.Second).String() // another clock may go before this one
}
