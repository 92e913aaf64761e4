package doctor

import (
	"fmt"
	"net/http"
	"time"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// slowBridge is how long an adapter may take to say anything at all: a round seldom has more than some seconds.
const slowBridge = time.Second

// Answer is the result of a request to a bridge.
type Answer struct {
	Status int
	Took   time.Duration
	// Fault says why there was no answer; empty if there was one.
	Fault string
}

// OfBridge checks whether an adapter answers. An adapter that no job uses is not a fault.
func OfBridge(name string, used bool, a Answer) *nodev1.Finding {
	subject := "bridge " + name
	const fix = "see that its adapter runs and that the node reaches it; another URL is given by loop bridges update"
	switch a.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Warning(Bridge, subject, fmt.Sprintf("it answers with status %d", a.Status), fix)
	}
	switch {
	case a.Fault != "" && used:
		return Failed(Bridge, subject, "it does not answer: "+a.Fault, fix)
	case a.Fault != "":
		return Warning(Bridge, subject, "it does not answer, and no job uses it: "+a.Fault, "remove it, or "+fix)
	case a.Took > slowBridge:
		return Warning(Bridge, subject, fmt.Sprintf("it took %s to answer", a.Took.Round(time.Millisecond)),
			"see why its adapter is slow")
	}
	return Good(Bridge, subject, fmt.Sprintf("it answers, in %s", a.Took.Round(time.Millisecond)))
}
