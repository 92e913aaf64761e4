package aggregator

import (
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
)

// onchainConfigVersion is the first element of the configuration that the contract itself puts together.
const onchainConfigVersion = 1

func (a *Aggregator) setConfig(env Environment, r *reader) (Result, error) {
	var oracles []oracle
	for range r.next().array(2) {
		oracles = append(oracles, oracle{signer: r.felt(), transmitter: r.address(), payment: new(big.Int)})
	}
	faulty := r.next().u8()
	given := r.next().array(1)
	for range given {
		r.felt()
	}
	version := r.next().u64()
	var offchain []stark.Felt
	for range r.next().array(1) {
		offchain = append(offchain, r.felt())
	}
	if err := r.end(); err != nil {
		return Result{}, err
	}
	switch {
	case env.Caller.IsZero():
		return Result{}, Panic("Caller is the zero address")
	case env.Caller != a.settings.Owner:
		return Result{}, Panic("Caller is not the owner")
	case len(oracles) > MaxOracles:
		return Result{}, Panic("too many oracles")
	case faulty > 85: // three times as many do not fit into 8 bits
		return Result{}, Panic("u8_mul Overflow")
	case 3*int(faulty) >= len(oracles):
		return Result{}, Panic("faulty-oracle f too high")
	case faulty == 0:
		return Result{}, Panic("f must be positive")
	case given != 0:
		return Result{}, Panic("onchain_config must be empty")
	}
	signers, transmitters := map[stark.Felt]int{}, map[stark.Felt]int{}
	for i := range oracles {
		o := &oracles[i]
		if signers[o.signer] != 0 {
			return Result{}, Panic("repeated signer")
		}
		if transmitters[o.transmitter] != 0 {
			return Result{}, Panic("repeated transmitter")
		}
		signers[o.signer], transmitters[o.transmitter] = i+1, i+1
		o.from = uint64(len(a.rounds))
	}
	previous := a.configBlock
	a.faulty, a.oracles, a.signers, a.transmitters = faulty, oracles, signers, transmitters
	a.configBlock = env.Block
	a.configCount++
	content := a.configContent(version, offchain)
	a.digest = digest(append([]stark.Felt{a.settings.ChainID, a.settings.Address}, content...))
	a.epochAndRound = 0
	return Result{
		Returned: []stark.Felt{a.digest},
		Events:   []Event{{Keys: []stark.Felt{Selector("ConfigSet"), stark.FromUint64(previous), a.digest}, Data: content}},
	}, nil
}

// configContent is what the digest and the event have in common.
func (a *Aggregator) configContent(version uint64, offchain []stark.Felt) []stark.Felt {
	content := felts(a.configCount, uint64(len(a.oracles)))
	for _, o := range a.oracles {
		content = append(content, o.signer, o.transmitter)
	}
	content = append(content, felts(uint64(a.faulty), 3, onchainConfigVersion)...)
	content = append(content, mustFelt(a.settings.Min), mustFelt(a.settings.Max))
	content = append(content, felts(version, uint64(len(offchain)))...)
	return append(content, offchain...)
}

// digest hashes a configuration and writes the prefix of Starknet over the first two bytes.
func digest(content []stark.Felt) stark.Felt {
	bytes := stark.PedersenArray(content...).Bytes()
	bytes[0], bytes[1] = 0, 4
	return mustFelt(new(big.Int).SetBytes(bytes[:]))
}
