package ocr2

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
)

// transmissionLength is the length of the event with its discriminator.
const transmissionLength = 101

// NewTransmission is the event of an accepted report.
type NewTransmission struct {
	RoundID uint32
	Digest  [32]byte
	Answer  *big.Int
	// Transmitter is the oracle's index in the configuration.
	Transmitter uint8
	// Time is the time of the observations, in seconds.
	Time            uint32
	Observers       []uint8
	JuelsPerLamport uint64
	// Reimbursement in gjuels.
	Reimbursement uint64
}

// ParseLog reads the event from a line of a transaction's log, and reports whether the line is one.
func ParseLog(line string) (event NewTransmission, found bool, err error) {
	text, ok := strings.CutPrefix(line, "Program data: ")
	if !ok {
		if text, ok = strings.CutPrefix(line, "Program log: "); !ok { // programs built with an old Anchor
			return NewTransmission{}, false, nil
		}
	}
	data, err := base64.StdEncoding.DecodeString(text)
	want := discriminator("event", "NewTransmission")
	if err != nil || len(data) < discriminatorLength || [discriminatorLength]byte(data) != want {
		return NewTransmission{}, false, nil
	}
	event, err = ParseNewTransmission(data)
	return event, true, err
}

// ParseNewTransmission reads an event with its discriminator.
func ParseNewTransmission(data []byte) (NewTransmission, error) {
	if len(data) != transmissionLength {
		return NewTransmission{}, fmt.Errorf("the event NewTransmission has %d bytes, want %d", len(data), transmissionLength)
	}
	if want := discriminator("event", "NewTransmission"); [discriminatorLength]byte(data) != want {
		return NewTransmission{}, fmt.Errorf("the event begins with %x, and NewTransmission with %x",
			data[:discriminatorLength], want)
	}
	count := data[65]
	if count > MaxOracles {
		return NewTransmission{}, fmt.Errorf("the event NewTransmission names %d observers, and there are at most %d", count,
			MaxOracles)
	}
	return NewTransmission{
		RoundID: binary.LittleEndian.Uint32(data[8:]), Digest: [32]byte(data[12:44]), Answer: int128(data[44:]),
		Transmitter: data[60],
		Time:        binary.LittleEndian.Uint32(data[61:]), Observers: append([]uint8(nil), data[66:66+int(count)]...),
		JuelsPerLamport: binary.LittleEndian.Uint64(data[85:]), Reimbursement: binary.LittleEndian.Uint64(data[93:]),
	}, nil
}
