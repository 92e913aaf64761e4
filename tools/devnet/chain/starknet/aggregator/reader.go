package aggregator

import (
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
)

// reader takes a call's arguments from its felts like the code that the Cairo compiler puts before a function: a felt
// that does not fit its type, or is missing, fails its argument.
type reader struct {
	felts    []stark.Felt
	argument int
	failed   bool
}

// next begins an argument.
func (r *reader) next() *reader {
	if !r.failed {
		r.argument++
	}
	return r
}

func (r *reader) felt() stark.Felt {
	if r.failed || len(r.felts) == 0 {
		r.failed = true
		return stark.Felt{}
	}
	f := r.felts[0]
	r.felts = r.felts[1:]
	return f
}

func (r *reader) bits(n int) *big.Int {
	number := r.felt().Big()
	if number.BitLen() > n {
		r.failed = true
		return new(big.Int)
	}
	return number
}

func (r *reader) u8() uint8   { return uint8(r.bits(8).Uint64()) }
func (r *reader) u64() uint64 { return r.bits(64).Uint64() }

func (r *reader) u128() *big.Int { return r.bits(128) }

// address is the address of a contract: below 2^251.
func (r *reader) address() stark.Felt { return mustFelt(r.bits(251)) }

// array is the number of elements that follow, each of so many felts.
func (r *reader) array(size int) int {
	n := r.bits(32).Uint64()
	if r.failed || n > uint64(len(r.felts)/size) {
		r.failed = true
		return 0
	}
	return int(n)
}

// end says what was wrong with the arguments.
func (r *reader) end() error {
	switch {
	case r.failed:
		return Panic(fmt.Sprintf("Failed to deserialize param #%d", r.argument))
	case len(r.felts) > 0:
		return Panic("Input too long for arguments")
	}
	return nil
}
