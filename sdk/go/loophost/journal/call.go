package journal

import "google.golang.org/grpc/codes"

// Ending is how one attempt at a call ended.
type Ending int

// Endings.
const (
	// Answered: by the server; what it said goes to the caller.
	Answered Ending = iota
	// Refused: by a server that is draining, before the call was begun. The attempt does not count.
	Refused
	// Lost: with the connection; whether it was served nobody can say.
	Lost
)

// Attempt is what is known of an attempt that failed.
type Attempt struct {
	Code codes.Code
	// Generation and Draining are whether the trailers of these names came with the error.
	Generation, Draining bool
	// Gone is whether the caller has gone: his deadline is over, or he has cancelled.
	Gone bool
	// Dying is whether the generation of the attempt is ending.
	Dying bool
}

// Ending tells the transport's errors from the application's, which carry their server's generation.
func (a Attempt) Ending() Ending {
	switch {
	case a.Draining:
		return Refused
	case a.Generation:
		return Answered
	case a.Code == codes.Unavailable:
		return Lost
	case a.Code == codes.Canceled && a.Dying && !a.Gone: // the connection was closed under the call
		return Lost
	}
	return Answered
}

// Verdict is what becomes of a call after an attempt was lost.
type Verdict int

// Verdicts.
const (
	// Repeat makes the call once more, in the next generation.
	Repeat Verdict = iota
	// Unknown tells the caller that the call's outcome is unknown.
	Unknown
	// Suspect tells him the same: the call was in flight at as many deaths as make its object suspect.
	Suspect
)

// Call counts one call's lost attempts. Its zero value has had none.
type Call struct{ lost, deaths int }

// Lost decides after a lost attempt. died is whether its generation has ended, repeatable whether the contract allows a
// call to be made again, gone whether the caller has gone.
func (c *Call) Lost(died, repeatable, gone bool) Verdict {
	c.lost++
	if died {
		c.deaths++
	}
	switch {
	case c.deaths == Suspicious:
		return Suspect
	case c.lost == 2 || !repeatable || gone:
		return Unknown
	}
	return Repeat
}
