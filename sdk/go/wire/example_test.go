package wire_test

import (
	"fmt"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// The rules of the contract's fields are checked on both sides of every call.
func ExampleCheck() {
	fmt.Println(wire.Check(&reportingv1.ReportTimestamp{ConfigDigest: []byte{1, 2, 3}}))
	// Output:
	// config_digest: has 3 bytes; it must have 32
}

// The contract says of each method how long a call may take, and whether it may be made again.
func ExampleMethodOf() {
	method, ok := wire.MethodOf("/loop.relayer.v1.RelayerService/DescribeRelayer")
	fmt.Println(method.Timeout, method.Retryable, ok)
	// Output:
	// 5s true true
}
