package ocr2

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// CheckTransmit says why an instruction's data do not have the form of Transmit for a contract whose store authority
// has a bump. The config digest must look like one: otherwise the first 8 bytes could name another instruction of the
// program, which treats only unknown ones as a transmission.
func CheckTransmit(bump uint8, data []byte) error {
	signatures := len(data) - 1 - contextLength - ReportLength
	switch {
	case signatures <= 0 || signatures%SignatureLength != 0 || signatures/SignatureLength > MaxOracles:
		return fmt.Errorf(
			"its data have %d bytes, and those of a transmission %d and %d for each signature, of which 1 to %d may be",
			len(data),
			1+contextLength+ReportLength,
			SignatureLength,
			MaxOracles,
		)
	case data[0] != bump:
		return fmt.Errorf("its data begin with %d, and a transmission's with %d", data[0], bump)
	case binary.BigEndian.Uint16(data[1:]) != DigestPrefix:
		return errors.New("its data have no config digest of this chain")
	}
	_, err := ParseReport(data[1+contextLength : 1+contextLength+ReportLength])
	return err
}
