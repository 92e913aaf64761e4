package stark

import (
	"crypto/sha256"
	"strconv"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/stark-curve/fp"
)

// Rounds of StarkWare's Hades permutation over three elements: half of the full ones come first, half last.
const (
	fullRounds    = 8
	partialRounds = 83
	hadesRounds   = fullRounds + partialRounds
)

// roundConstants are SHA-256 of "Hades" and a running number, reduced to the field, as StarkWare derived them.
var roundConstants = sync.OnceValue(func() *[hadesRounds][3]fp.Element {
	var constants [hadesRounds][3]fp.Element
	for i := range 3 * hadesRounds {
		hash := sha256.Sum256([]byte("Hades" + strconv.Itoa(i)))
		constants[i/3][i%3].SetBytes(hash[:])
	}
	return &constants
})

// hades permutes three elements.
func hades(state *[3]fp.Element) {
	for round, constants := range roundConstants() {
		for i := range state {
			state[i].Add(&state[i], &constants[i])
		}
		if round < fullRounds/2 || round >= fullRounds/2+partialRounds {
			cube(&state[0])
			cube(&state[1])
		}
		cube(&state[2])
		// The matrix is (3 1 1), (1 -1 1), (1 1 -2).
		var sum, twice fp.Element
		sum.Add(&state[0], &state[1])
		sum.Add(&sum, &state[2])
		state[0].Add(&sum, twice.Double(&state[0]))
		state[1].Sub(&sum, twice.Double(&state[1]))
		twice.Double(&state[2])
		twice.Add(&twice, &state[2])
		state[2].Sub(&sum, &twice)
	}
}

func cube(x *fp.Element) {
	var square fp.Element
	square.Square(x)
	x.Mul(x, &square)
}

// Poseidon hashes any number of elements.
func Poseidon(elements ...Felt) Felt {
	padded := append(append([]Felt(nil), elements...), FromUint64(1))
	if len(padded)%2 == 1 {
		padded = append(padded, Felt{})
	}
	var state [3]fp.Element
	for i := 0; i < len(padded); i += 2 {
		state[0].Add(&state[0], &padded[i].element)
		state[1].Add(&state[1], &padded[i+1].element)
		hades(&state)
	}
	return Felt{state[0]}
}
