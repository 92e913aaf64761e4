package aggregator

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
)

// DigestPrefix is the first two bytes of this chain's digests.
const DigestPrefix = 4

// onchainVersion is the version of the on-chain configuration.
const onchainVersion = 1

// Config is a configuration of the contract.
type Config struct {
	// Digest is the digest from the contract; see Config.ComputeDigest.
	Digest [32]byte
	Count  uint64
	// Signers and Transmitters of the oracles in order: x coordinates of public keys, and addresses of accounts.
	Signers, Transmitters []stark.Felt
	F                     uint8
	Onchain               Onchain
	OffchainVersion       uint64
	Offchain              []byte
}

// Onchain is the on-chain configuration: the bounds of answers, of 128 bits each.
type Onchain struct{ Min, Max *big.Int }

// Encode makes the 96 bytes of an on-chain configuration.
func (o Onchain) Encode() ([]byte, error) {
	for _, bound := range []struct {
		name   string
		number *big.Int
	}{{"min", o.Min}, {"max", o.Max}} {
		if !fits(bound.number) {
			return nil, fmt.Errorf("%s: the contract holds integers of 128 bits that are not negative", bound.name)
		}
	}
	if o.Min.Cmp(o.Max) > 0 {
		return nil, errors.New("min: it must not be above max")
	}
	encoded := make([]byte, 96)
	encoded[31] = onchainVersion
	o.Min.FillBytes(encoded[32:64])
	o.Max.FillBytes(encoded[64:])
	return encoded, nil
}

// DecodeOnchain is the inverse of Onchain.Encode.
func DecodeOnchain(encoded []byte) (Onchain, error) {
	if len(encoded) != 96 {
		return Onchain{}, fmt.Errorf("an on-chain configuration has 96 bytes, got %d", len(encoded))
	}
	version, o := new(big.Int).SetBytes(encoded[:32]), Onchain{Min: new(big.Int).SetBytes(encoded[32:64]),
		Max: new(big.Int).SetBytes(encoded[64:])}
	if version.Cmp(big.NewInt(onchainVersion)) != 0 {
		return Onchain{}, fmt.Errorf("an on-chain configuration of version %s is not known, only of %d", version,
			onchainVersion)
	}
	_, err := o.Encode()
	return o, err
}

// fits reports whether a number can be a u128.
func fits(number *big.Int) bool {
	return number != nil && number.Sign() >= 0 && number.BitLen() <= numberBits
}

// ComputeDigest returns the digest of a configuration of a contract on a chain, as the contract computes it.
func (c Config) ComputeDigest(chain, contract stark.Felt) ([32]byte, error) {
	n := len(c.Signers)
	switch {
	case n != len(c.Transmitters):
		return [32]byte{}, fmt.Errorf("there are %d signers and %d transmitters", n, len(c.Transmitters))
	case n > MaxOracles:
		return [32]byte{}, fmt.Errorf("the contract takes at most %d oracles, got %d", MaxOracles, n)
	case n <= 3*int(c.F):
		return [32]byte{}, fmt.Errorf("%d oracles do not bear f = %d faulty ones; more than 3f are needed", n, c.F)
	}
	if _, err := c.Onchain.Encode(); err != nil {
		return [32]byte{}, fmt.Errorf("on-chain configuration: %w", err)
	}
	elements := []stark.Felt{chain, contract, stark.FromUint64(c.Count), stark.FromUint64(uint64(n))}
	for i := range n {
		elements = append(elements, c.Signers[i], c.Transmitters[i])
	}
	least, err := stark.FromBig(c.Onchain.Min)
	if err != nil {
		return [32]byte{}, err
	}
	most, err := stark.FromBig(c.Onchain.Max)
	if err != nil {
		return [32]byte{}, err
	}
	packed := Pack(c.Offchain)
	elements = append(elements, stark.FromUint64(uint64(c.F)), stark.FromUint64(3), stark.FromUint64(onchainVersion),
		least, most,
		stark.FromUint64(c.OffchainVersion), stark.FromUint64(uint64(len(packed))))
	digest := stark.PedersenArray(append(elements, packed...)...).Bytes()
	digest[0], digest[1] = DigestPrefix>>8, DigestPrefix&0xff
	return digest, nil
}

// ParseConfigSet reads the event by which a configuration is set.
func ParseConfigSet(keys, data []stark.Felt) (Config, error) {
	k := reader{what: "the event ConfigSet, in its keys,", felts: keys}
	if selector := k.felt("selector"); selector != Selector(ConfigSetEvent) {
		k.fail("%s is the selector of another event", selector)
	}
	k.uint64("previous_config_block_number")
	digest := k.felt("latest_config_digest")
	if err := k.end(); err != nil {
		return Config{}, err
	}
	r := reader{what: "the event ConfigSet", felts: data}
	c := Config{Digest: digest.Bytes(), Count: r.uint64("config_count")}
	n := r.count("oracles", 2)
	if n > MaxOracles {
		r.fail("it has %d oracles, and the contract takes at most %d", n, MaxOracles)
	}
	for i := range n {
		c.Signers = append(c.Signers, r.felt(fmt.Sprintf("signer %d", i)))
		c.Transmitters = append(c.Transmitters, r.felt(fmt.Sprintf("transmitter %d", i)))
	}
	c.F = uint8(r.limited("f", 8).Uint64())
	if words := r.count("onchain_config_len", 1); words != 3 {
		r.fail("its on-chain configuration has %d elements, and 3 are expected", words)
	}
	if version := r.uint64("onchain_config version"); version != onchainVersion {
		r.fail("its on-chain configuration has version %d, and only %d is known", version, onchainVersion)
	}
	c.Onchain = Onchain{Min: r.limited("min_answer", numberBits), Max: r.limited("max_answer", numberBits)}
	if c.Onchain.Min.Cmp(c.Onchain.Max) > 0 {
		r.fail("min_answer is above max_answer")
	}
	c.OffchainVersion = r.uint64("offchain_config_version")
	packed := make([]stark.Felt, r.count("offchain_config_len", 1))
	for i := range packed {
		packed[i] = r.felt("offchain_config")
	}
	var err error
	if c.Offchain, err = Unpack(packed); err != nil {
		r.fail("offchain_config: %v", err)
	}
	return c, r.end()
}
