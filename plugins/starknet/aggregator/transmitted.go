package aggregator

import (
	"errors"
	"fmt"

	"github.com/loop-plugins/loop/plugins/stark"
)

const (
	// contextFelts is how many felts of a transmission stand before its report, and signatureFelts how many each
	// signature has.
	contextFelts   = 3
	signatureFelts = 3
)

// CheckTransmit says why untrusted calldata does not have the form of Transmit.
func CheckTransmit(calldata []stark.Felt) error {
	if len(calldata) < contextFelts+head {
		return fmt.Errorf("it has %d arguments, fewer than a transmission", len(calldata))
	}
	n, ok := calldata[contextFelts+head-1].Uint64()
	if !ok || n == 0 || n > MaxOracles {
		return fmt.Errorf(
			"it has %s observations, and a transmission 1 to %d",
			calldata[contextFelts+head-1].Big(),
			MaxOracles,
		)
	}
	end := contextFelts + head + int(n) + tail
	if len(calldata) <= end {
		return fmt.Errorf("it has %d arguments, fewer than a transmission of %d observations", len(calldata), n)
	}
	var report []byte
	for _, f := range calldata[contextFelts:end] {
		bytes := f.Bytes()
		report = append(report, bytes[:]...)
	}
	if _, err := parseReport(report); err != nil {
		return err
	}
	signatures, ok := calldata[end].Uint64()
	switch {
	case !ok || signatures == 0 || signatures > MaxOracles:
		return fmt.Errorf("it has %s signatures, and a transmission 1 to %d", calldata[end].Big(), MaxOracles)
	case len(calldata) != end+1+signatureFelts*int(signatures):
		return errors.New("it has more or fewer arguments than a transmission of so many signatures")
	}
	return nil
}
