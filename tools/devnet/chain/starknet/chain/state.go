package chain

import (
	"crypto/rand"
	"fmt"
	"maps"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
)

// account is the contract of an account with a Stark key, as OpenZeppelin's is.
type account struct {
	public stark.Felt
	nonce  uint64
}

// state is what transactions change. What its maps hold is never changed in place, except for the aggregators.
type state struct {
	accounts    map[stark.Felt]account
	balances    map[stark.Felt]*big.Int // of the fee token, in FRI
	aggregators map[stark.Felt]*aggregator.Aggregator
}

func newState() *state {
	return &state{map[stark.Felt]account{}, map[stark.Felt]*big.Int{}, map[stark.Felt]*aggregator.Aggregator{}}
}

func (s *state) clone() *state {
	c := &state{maps.Clone(s.accounts), maps.Clone(s.balances),
		make(map[stark.Felt]*aggregator.Aggregator, len(s.aggregators))}
	for address, a := range s.aggregators {
		c.aggregators[address] = a.Clone()
	}
	return c
}

func (s *state) balance(address stark.Felt) *big.Int {
	if b := s.balances[address]; b != nil {
		return b
	}
	return new(big.Int)
}

// add adds an amount, which may be negative, to a balance.
func (s *state) add(address stark.Felt, amount *big.Int) {
	s.balances[address] = new(big.Int).Add(s.balance(address), amount)
}

// class is the class of the contract at an address.
func (s *state) class(address stark.Felt) (stark.Felt, bool) {
	if _, ok := s.accounts[address]; ok {
		return AccountClass(), true
	}
	if _, ok := s.aggregators[address]; ok {
		return AggregatorClass(), true
	}
	return short("loop token"), address == FeeToken()
}

// short is the element of a short string of this program's.
func short(text string) stark.Felt {
	f, err := stark.ShortString(text)
	if err != nil {
		panic(err) // a broken build, found by every test
	}
	return f
}

// AccountClass and AggregatorClass replace the hashes of classes that do not exist: the deployed contracts are Go.
func AccountClass() stark.Felt { return short("loop account") }

// AggregatorClass is the class of aggregators.
func AggregatorClass() stark.Felt { return short("loop ocr2 aggregator") }

// FeeToken is the contract of STRK, with its address on every network.
func FeeToken() stark.Felt {
	f, err := stark.ParseFelt("0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d")
	if err != nil {
		panic(err) // a broken build, found by every test
	}
	return f
}

// sequencer takes the fees.
func sequencer() stark.Felt { return short("loop sequencer") }

// contractAddress is where a contract that nobody deploys for another comes to stand.
func contractAddress(salt, class, constructor stark.Felt) stark.Felt {
	h := stark.PedersenArray(short("STARKNET_CONTRACT_ADDRESS"), stark.Felt{}, salt, class, constructor).Big()
	limit := new(big.Int).Lsh(big.NewInt(1), 251)
	f, err := stark.FromBig(h.Mod(h, limit.Sub(limit, big.NewInt(256))))
	if err != nil {
		panic(err) // below the limit is within the field
	}
	return f
}

// AccountAddress returns the address that the account of a public key will have.
func AccountAddress(public stark.Felt) stark.Felt {
	return contractAddress(public, AccountClass(), stark.PedersenArray(public))
}

// Account is an account with the private key that a node would keep to itself.
type Account struct {
	Address stark.Felt
	Key     *stark.Key
}

// NewAccount makes the key of an account. It is deployed by DeployAccount.
func NewAccount() (Account, error) {
	key, err := stark.GenerateKey(rand.Reader)
	if err != nil {
		return Account{}, fmt.Errorf("make an account: %w", err)
	}
	return Account{AccountAddress(key.Public()), key}, nil
}
