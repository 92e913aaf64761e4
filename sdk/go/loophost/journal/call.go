package journal

import "google.golang.org/grpc/codes"

// Ending is how one attempt at a call ended.
type Ending int

// Endings.
const (
	// Answered means that the server answered. The caller gets its answer.
	Answered Ending = iota
	// Refused means that a draining server refused the call before it began. The attempt does not count.
	Refused
	// Lost means that the connection was lost. Nobody can say whether the call was served.
	Lost
)

// Attempt describes a failed attempt.
type Attempt struct {
	Code codes.Code
	// Generation and Draining report whether the error came with the trailers of these names.
	Generation, Draining bool
	// Gone reports whether the caller is gone: its deadline has passed, or it has cancelled.
	Gone bool
	// Dying reports whether the generation of the attempt is ending.
	Dying bool
}

// Ending distinguishes errors of the transport from errors of the application, which carry their server's generation.
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

// Verdict is what happens to a call after an attempt was lost.
type Verdict int

// Verdicts.
const (
	// Repeat makes the call once more, in the next generation.
	Repeat Verdict = iota
	// Unknown tells the caller that the outcome of the call is unknown.
	Unknown
	// Suspect does the same. The call was also in flight at so many crashes that its object is suspect.
	Suspect
)

// Call counts the lost attempts of one call. The zero value has none.
type Call struct{ lost, deaths int }

// Lost decides after a lost attempt. died reports whether its generation has ended, repeatable whether the contract
// allows the call to be repeated, and gone whether the caller is gone.
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
