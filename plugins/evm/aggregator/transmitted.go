package aggregator

import (
	"bytes"
	"errors"
	"fmt"
)

// selectorLength is how many bytes name a function before its arguments.
const selectorLength = 4

// TransmittedReport returns the report in an untrusted input in the form of Transmit. Another input with the same
// meaning is an error, since the contract accepts only one length.
func TransmittedReport(input []byte) ([]byte, error) {
	transmit := contract().Methods["transmit"]
	if !bytes.HasPrefix(input, transmit.ID) {
		return nil, fmt.Errorf(
			"the function is %#x, and transmit is %#x",
			input[:min(selectorLength, len(input))],
			transmit.ID,
		)
	}
	values, err := transmit.Inputs.Unpack(input[selectorLength:])
	if err != nil {
		return nil, fmt.Errorf("the arguments of transmit cannot be read: %w", err)
	}
	var arguments struct {
		ReportContext [3][32]byte
		Report        []byte
		Rs, Ss        [][32]byte
		RawVs         [32]byte
	}
	if err := transmit.Inputs.Copy(&arguments, values); err != nil {
		return nil, fmt.Errorf("the arguments of transmit cannot be read: %w", err)
	}
	if len(arguments.Rs) != len(arguments.Ss) || len(arguments.Rs) > MaxSignatures {
		return nil, fmt.Errorf(
			"there are %d r and %d s of signatures, and at most %d may be",
			len(arguments.Rs),
			len(arguments.Ss),
			MaxSignatures,
		)
	}
	signatures := make([][]byte, len(arguments.Rs))
	for i := range signatures {
		signatures[i] = append(append(bytes.Clone(arguments.Rs[i][:]), arguments.Ss[i][:]...), arguments.RawVs[i])
	}
	again, err := Transmit(arguments.ReportContext, arguments.Report, signatures)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, input) {
		return nil, errors.New("the arguments of transmit are not in the one form that the contract takes")
	}
	return arguments.Report, nil
}
