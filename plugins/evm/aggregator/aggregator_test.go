package aggregator

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
)

// TestTransmitLength checks the length of a call, which must be exact: the contract refuses one that is a byte longer.
func TestTransmitLength(t *testing.T) {
	t.Parallel()
	report, signature := make([]byte, 160), make([]byte, 65)
	for n := range MaxSignatures {
		signatures := make([][]byte, n+1)
		for i := range signatures {
			signatures[i] = signature
		}
		input, err := Transmit([3][32]byte{}, report, signatures)
		// Selector; context; offsets of report, rs and ss; vs; then each with its length.
		if want := 4 + 3*32 + 3*32 + 32 + 32 + len(report) + 2*(32+32*len(signatures)); err != nil || len(input) != want {
			t.Errorf("%d signatures: %d bytes, %v, want %d", n+1, len(input), err, want)
		}
	}
	if _, err := Transmit([3][32]byte{}, report, make([][]byte, MaxSignatures+1)); err == nil {
		t.Error("32 signatures are taken")
	}
}

// FuzzParse checks that no answer or event of a node causes a panic.
func FuzzParse(f *testing.F) {
	f.Add(make([]byte, 32*5))
	f.Add(common.RightPadBytes([]byte{0xff}, 32*9))
	var words []byte
	for _, word := range []int64{1, 2, 1, 9 * 32, 10 * 32, 1, 11 * 32, 2, 12 * 32, 0, 0, 0, 0} {
		words = append(words, common.LeftPadBytes(big.NewInt(word).Bytes(), 32)...)
	}
	f.Add(words)
	f.Fuzz(func(t *testing.T, data []byte) {
		output := hexutil.Bytes(data)
		_, _ = ParseConfigDetails(output)
		if d, err := ParseTransmissionDetails(output); err == nil && d.Answer == nil {
			t.Error("details without an answer")
		}
		_, _ = ParseRoundRequested(types.Log{Data: data})
		if event, err := ParseNewTransmission(types.Log{Data: data}); err == nil && event.Answer == nil {
			t.Error("a transmission without an answer")
		}
		if config, err := ParseConfigSet(types.Log{Data: data}); err == nil {
			for _, transmitter := range config.Transmitters {
				if len(transmitter) != 42 {
					t.Errorf("transmitter %q", transmitter)
				}
			}
		}
	})
}
