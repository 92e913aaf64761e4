package aggregator

import (
	"math/big"

	starkcurve "github.com/consensys/gnark-crypto/ecc/stark-curve"
	"github.com/consensys/gnark-crypto/ecc/stark-curve/fp"
	"github.com/consensys/gnark-crypto/ecc/stark-curve/fr"

	"github.com/loop-plugins/loop/plugins/stark"
)

// signature is a signature of a report, with the key that it is said to be of.
type signature struct{ r, s, key stark.Felt }

// report is a report with its context, as the contract takes them.
type report struct {
	digest        stark.Felt
	epochAndRound uint64
	extra         stark.Felt
	timestamp     uint64
	observers     stark.Felt
	observations  []*big.Int
	juels, gas    *big.Int
}

func (a *Aggregator) transmit(env Environment, r *reader) (Result, error) {
	var p report
	p.digest, p.epochAndRound, p.extra = r.next().felt(), r.u64(), r.felt()
	p.timestamp = r.next().u64()
	p.observers = r.next().felt()
	for range r.next().array(1) {
		p.observations = append(p.observations, r.u128())
	}
	p.juels, p.gas = r.next().u128(), r.next().u128()
	var signatures []signature
	for range r.next().array(3) {
		signatures = append(signatures, signature{r.felt(), r.felt(), r.felt()})
	}
	if err := r.end(); err != nil {
		return Result{}, err
	}
	index := a.transmitters[env.Caller]
	switch {
	case a.epochAndRound >= p.epochAndRound:
		return Result{}, Panic("stale report")
	case index == 0:
		return Result{}, Panic("unknown sender")
	case p.digest != a.digest:
		return Result{}, Panic("config digest mismatch")
	case len(signatures) != int(a.faulty)+1:
		return Result{}, Panic("wrong number of signatures")
	}
	if err := a.verify(p.hash(), signatures); err != nil {
		return Result{}, err
	}
	if len(p.observations) > MaxOracles || len(p.observations) <= int(a.faulty) {
		return Result{}, Panic("") // the contract has no words for it
	}
	median := p.observations[len(p.observations)/2]
	if median.Cmp(a.settings.Min) < 0 || median.Cmp(a.settings.Max) > 0 {
		return Result{}, Panic("median is out of min-max range")
	}
	reimbursement, payment, err := a.settings.Billing.owed(p.juels, p.gas, len(signatures), a.oracles[index-1].payment)
	if err != nil {
		return Result{}, err
	}
	a.epochAndRound = p.epochAndRound
	a.rounds = append(a.rounds, transmission{median, env.Block, p.timestamp, env.Time})
	a.oracles[index-1].payment = payment
	data := []stark.Felt{mustFelt(median), stark.FromUint64(p.timestamp), p.observers,
		stark.FromUint64(uint64(len(p.observations)))}
	for _, observation := range p.observations {
		data = append(data, mustFelt(observation))
	}
	data = append(data, mustFelt(p.juels), mustFelt(p.gas), p.digest, stark.FromUint64(p.epochAndRound),
		mustFelt(reimbursement))
	return Result{Events: []Event{{
		Keys: []stark.Felt{Selector("NewTransmission"), stark.FromUint64(uint64(len(a.rounds))), env.Caller}, Data: data,
	}}}, nil
}

// hash is what the oracles signed.
func (p report) hash() stark.Felt {
	content := []stark.Felt{
		p.digest, stark.FromUint64(p.epochAndRound), p.extra, stark.FromUint64(p.timestamp), p.observers,
		stark.FromUint64(uint64(len(p.observations))),
	}
	for _, observation := range p.observations {
		content = append(content, mustFelt(observation))
	}
	return stark.PedersenArray(append(content, mustFelt(p.juels), mustFelt(p.gas))...)
}

// verify demands that every signature is good and of a signer of its own.
func (a *Aggregator) verify(hash stark.Felt, signatures []signature) error {
	seen := map[int]bool{}
	for _, s := range signatures {
		index := a.signers[s.key]
		switch {
		case index == 0:
			return Panic("invalid signer")
		case seen[index]:
			return Panic("duplicate signer")
		case !Verify(hash, s.key, s.r, s.s):
			return Panic("") // the contract has no words for it
		}
		seen[index] = true
	}
	return nil
}

// Verify reports whether a signature is valid for Cairo's check_ecdsa_signature, which accounts use too. Unlike
// relayers and nodes, it accepts either of the two values of s. It compares points and inverts nothing, so it shares no
// code path with the code that signs.
func Verify(hash, key, r, s stark.Felt) bool {
	order := fr.Modulus()
	if r.IsZero() || s.IsZero() || r.Big().Cmp(order) == 0 || s.Big().Cmp(order) == 0 {
		return false
	}
	public, ok := lift(key)
	if !ok {
		return false
	}
	nonce, ok := lift(r)
	if !ok {
		return false
	}
	generator, _ := starkcurve.Generators()
	left := times(nonce, s)
	message, signed := times(generator, hash), times(public, r)
	sum, difference := message, message
	sum.AddAssign(&signed)
	difference.SubAssign(&signed)
	return sameX(left, sum) || sameX(left, difference)
}

// lift is a point with that x coordinate, if the curve has one.
func lift(abscissa stark.Felt) (starkcurve.G1Jac, bool) {
	bytes := abscissa.Bytes()
	var p starkcurve.G1Affine
	p.X.SetBytes(bytes[:])
	a, b := starkcurve.CurveCoefficients()
	var square, linear fp.Element
	square.Square(&p.X).Mul(&square, &p.X)
	linear.Mul(&a, &p.X)
	square.Add(&square, &linear).Add(&square, &b)
	var j starkcurve.G1Jac
	if p.Y.Sqrt(&square) == nil {
		return j, false
	}
	j.FromAffine(&p)
	return j, true
}

func times(point starkcurve.G1Jac, n stark.Felt) starkcurve.G1Jac {
	var product starkcurve.G1Jac
	product.ScalarMultiplication(&point, new(big.Int).Mod(n.Big(), fr.Modulus()))
	return product
}

// sameX tells whether two points, neither of them zero, have one x coordinate.
func sameX(p, q starkcurve.G1Jac) bool {
	if p.Z.IsZero() || q.Z.IsZero() {
		return false
	}
	var a, b starkcurve.G1Affine
	a.FromJacobian(&p)
	b.FromJacobian(&q)
	return a.X.Equal(&b.X)
}
