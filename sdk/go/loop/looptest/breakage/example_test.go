package breakage_test

import (
	"fmt"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/breakage"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// A message that keeps every rule is broken in each way that one of its rules forbids.
func ExampleOf() {
	valid := breakage.Valid((&reportingv1.ReportTimestamp{}).ProtoReflect().Descriptor())
	fmt.Println(wire.Check(valid) == nil)
	for _, broken := range breakage.Of(valid) {
		fmt.Println(broken.Field, broken.How)
	}
	// Output:
	// true
	// config_digest a byte short
	// config_digest a byte long
	// config_digest empty
	// round too large
	// round largest of its type
}
