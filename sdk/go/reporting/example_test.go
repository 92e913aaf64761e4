package reporting_test

import (
	"fmt"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/reporting"
)

// How many observations make an outcome among four oracles of which one may be faulty.
func ExampleQuorumSize() {
	for _, quorum := range []reportingv1.ObservationQuorum{
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_F_PLUS_ONE,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_TWO_F_PLUS_ONE,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_CALL,
	} {
		size, ok := reporting.QuorumSize(quorum, 4, 1)
		fmt.Println(size, ok)
	}
	// Output:
	// 2 true
	// 3 true
	// 0 false
}
