package ocr2_test

import (
	"fmt"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
)

// Messages of the contract become libocr's values, and those that cannot are refused by the field at fault.
func ExampleTimestampOf() {
	digest := make([]byte, 32)
	digest[31] = 7
	at, err := ocr2.TimestampOf(&reportingv1.ReportTimestamp{ConfigDigest: digest, Epoch: 5, Round: 2})
	fmt.Println(at.ConfigDigest.Hex()[60:], at.Epoch, at.Round, err)

	_, err = ocr2.TimestampOf(&reportingv1.ReportTimestamp{ConfigDigest: []byte{7}})
	fmt.Println(err)
	// Output:
	// 0007 5 2 <nil>
	// timestamp.config_digest has 1 bytes; it must have 32
}
