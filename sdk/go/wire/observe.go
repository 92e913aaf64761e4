package wire

import (
	"time"

	"google.golang.org/grpc/codes"
)

// Meter records the seconds of calls that ended in one way: a histogram's series.
type Meter interface{ Observe(seconds float64) }

type ending struct {
	method string
	code   codes.Code
}

// Meters are the meters of calls by method and code. A lookup by labels costs more than many a call.
type Meters struct {
	// Make makes the meter of a method and a code, as its name is written in a label.
	Make  func(method, code string) Meter
	known Cache[ending, Meter]
}

// Observe records a call. A code that gRPC does not have, which the other side chose, counts as Unknown: otherwise a
// peer could fill the memory with a series for each number.
func (m *Meters) Observe(method string, code codes.Code, took time.Duration) {
	if code > codes.Unauthenticated {
		code = codes.Unknown
	}
	e := ending{method, code}
	meter, ok := m.known.Get(e)
	if !ok {
		meter = m.Make(method, code.String())
		m.known.Put(e, meter)
	}
	meter.Observe(took.Seconds())
}
