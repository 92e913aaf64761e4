package aggregator

import (
	"fmt"

	"github.com/loop-plugins/loop/plugins/stark"
)

// chunk is how many bytes one field element of a packing carries: 32 could be beyond the field.
const chunk = 31

// Pack makes field elements from bytes: their number, then each 31 of them as a big-endian number, the last from the
// rest.
func Pack(data []byte) []stark.Felt {
	felts := []stark.Felt{stark.FromUint64(uint64(len(data)))}
	for start := 0; start < len(data); start += chunk {
		f, err := stark.FromBytes(data[start:min(start+chunk, len(data))])
		if err != nil {
			panic(fmt.Sprintf("31 bytes are not a field element: %v", err)) // they always are
		}
		felts = append(felts, f)
	}
	return felts
}

// Unpack is the inverse of Pack. It accepts only what Pack makes, so that bytes have only one packing.
func Unpack(felts []stark.Felt) ([]byte, error) {
	if len(felts) == 0 {
		return nil, fmt.Errorf("packed bytes have no length")
	}
	length, ok := felts[0].Uint64()
	chunks := felts[1:]
	if most := uint64(len(chunks)) * chunk; !ok || length > most || length+chunk <= most {
		return nil, fmt.Errorf("packed bytes say that they are %s, in %d chunks of 31", felts[0], len(chunks))
	}
	data := make([]byte, 0, length)
	for i, f := range chunks {
		size := min(chunk, int(length)-len(data))
		bytes := f.Bytes()
		for _, b := range bytes[:len(bytes)-size] {
			if b != 0 {
				return nil, fmt.Errorf("chunk %d of packed bytes has more than %d", i, size)
			}
		}
		data = append(data, bytes[len(bytes)-size:]...)
	}
	return data, nil
}
