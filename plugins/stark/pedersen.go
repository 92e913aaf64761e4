package stark

import (
	"fmt"
	"sync"

	starkcurve "github.com/consensys/gnark-crypto/ecc/stark-curve"
	"github.com/consensys/gnark-crypto/ecc/stark-curve/fp"
)

// nibbles is how many digits of 4 bits a field element has: 62 of its low 248 bits, and one of its high 4.
const nibbles = 63

// window holds the multiples 1 to 15 of a point.
type window [15]starkcurve.G1Affine

// pedersenTables are the windows of both operands, one for each digit, and the point from which sums begin.
type pedersenTables struct {
	shift   starkcurve.G1Affine
	windows [2][nibbles]window
}

// pedersenPoints are the constants of StarkWare's pedersen_params.json: the shift point, and for each operand the
// points of its low 248 and its high 4 bits.
var pedersenPoints = [5][2]string{
	{"0x49ee3eba8c1600700ee1b87eb599f16716b0b1022947733551fde4050ca6804",
		"0x3ca0cfe4b3bc6ddf346d49d06ea0ed34e621062c0e056c1d0405d266e10268a"},
	{"0x234287dcbaffe7f969c748655fca9e58fa8120b6d56eb0c1080d17957ebe47b",
		"0x3b056f100f96fb21e889527d41f4e39940135dd7a6c94cc6ed0268ee89e5615"},
	{"0x4fa56f376c83db33f9dab2656558f3399099ec1de5e3018b7a6932dba8aa378",
		"0x3fa0984c931c9e38113e0c0e47e4401562761f92a7a23b45168f4e80ff5b54d"},
	{"0x4ba4cc166be8dec764910f75b45f74b40c690c74709e90f3aa372f0bd2d6997",
		"0x40301cf5c1751f4b971e46c4ede85fcac5c59a5ce5ae7c48151f27b24b219c"},
	{"0x54302dcb0e6cc1c6e44cca8f61a63bb2ca65048d53fb325d36ff12c49a58202",
		"0x1b77b3e37d13504b348046268d8ae25ce98ad783c25561a879dcc77e99c2426"},
}

// tables is what Pedersen looks up. It is the only costly thing of this package, and waits until it is needed.
var tables = sync.OnceValue(computeTables)

func computeTables() *pedersenTables {
	t := &pedersenTables{shift: point(0)}
	var multiples []starkcurve.G1Jac
	for operand := range 2 {
		var base starkcurve.G1Jac
		for digit := range nibbles {
			if start := point(1 + 2*operand); digit == 0 {
				base.FromAffine(&start)
			}
			if start := point(2 + 2*operand); digit == nibbles-1 {
				base.FromAffine(&start)
			}
			sum := base
			for range len(window{}) {
				multiples = append(multiples, sum)
				sum.AddAssign(&base)
			}
			base = sum // 16 times what it was
		}
	}
	affine := starkcurve.BatchJacobianToAffineG1(multiples)
	for operand := range t.windows {
		for digit := range t.windows[operand] {
			copy(t.windows[operand][digit][:], affine)
			affine = affine[len(window{}):]
		}
	}
	return t
}

func point(i int) starkcurve.G1Affine {
	x, err := ParseFelt(pedersenPoints[i][0])
	if err == nil {
		var y Felt
		if y, err = ParseFelt(pedersenPoints[i][1]); err == nil {
			return starkcurve.G1Affine{X: x.element, Y: y.element}
		}
	}
	panic(fmt.Sprintf("a constant of this package does not parse: %v", err)) // a broken build, found by every test
}

// Pedersen returns the Pedersen hash of two elements.
func Pedersen(a, b Felt) Felt {
	t := tables()
	var sum starkcurve.G1Jac
	sum.FromAffine(&t.shift)
	for operand, f := range [2]Felt{a, b} {
		bytes := f.Bytes()
		for digit := range nibbles {
			bits := bytes[len(bytes)-1-digit/2] >> (4 * (digit % 2)) & 15
			if bits > 0 {
				sum.AddMixed(&t.windows[operand][digit][bits-1])
			}
		}
	}
	var x fp.Element
	x.Inverse(&sum.Z)
	x.Square(&x)
	x.Mul(&x, &sum.X)
	return Felt{x}
}

// PedersenArray hashes elements one after another, beginning with 0, and then their number, as contracts in Cairo do.
func PedersenArray(elements ...Felt) Felt {
	var h Felt
	for _, e := range elements {
		h = Pedersen(h, e)
	}
	return Pedersen(h, FromUint64(uint64(len(elements))))
}
