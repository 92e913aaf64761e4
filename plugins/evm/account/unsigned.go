package account

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// Unsigned is a transaction without its signature.
type Unsigned struct {
	ChainID *big.Int
	Nonce   uint64
	// Cap is the most that is paid per gas, and Tip the part of it for the block's producer. Tip is nil before
	// EIP-1559, where Cap is the gas price.
	Cap, Tip   *big.Int
	Gas        uint64
	To         *common.Address // nil: it makes a contract
	Value      *big.Int
	Data       []byte
	AccessList types.AccessList
}

// body is what is signed of a transaction by EIP-1559, behind the byte of its type.
type body struct {
	ChainID    *big.Int
	Nonce      uint64
	Tip, Cap   *big.Int
	Gas        uint64
	To         *common.Address `rlp:"nil"`
	Value      *big.Int
	Data       []byte
	AccessList types.AccessList
}

// legacyBody is what is signed of a transaction by EIP-155.
type legacyBody struct {
	Nonce       uint64
	Price       *big.Int
	Gas         uint64
	To          *common.Address `rlp:"nil"`
	Value       *big.Int
	Data        []byte
	ChainID     *big.Int
	Zero, Zeros uint8
}

// unsigned is a transaction of a chain without its signature.
func unsigned(chain *big.Int, tx *types.Transaction) Unsigned {
	u := Unsigned{
		ChainID: chain, Nonce: tx.Nonce(), Cap: tx.GasFeeCap(), Gas: tx.Gas(), To: tx.To(), Value: tx.Value(),
		Data: tx.Data(),
	}
	if tx.Type() == types.DynamicFeeTxType {
		u.Tip = tx.GasTipCap()
	}
	return u
}

// Preimage returns the bytes whose Keccak-256 is the hash that the account signs.
func (u Unsigned) Preimage() ([]byte, error) {
	if u.Tip == nil {
		return rlp.EncodeToBytes(legacyBody{
			Nonce: u.Nonce, Price: u.Cap, Gas: u.Gas, To: u.To, Value: u.Value, Data: u.Data, ChainID: u.ChainID,
		})
	}
	encoded, err := rlp.EncodeToBytes(body{
		ChainID: u.ChainID, Nonce: u.Nonce, Tip: u.Tip, Cap: u.Cap, Gas: u.Gas, To: u.To, Value: u.Value, Data: u.Data,
		AccessList: u.AccessList,
	})
	if err != nil {
		return nil, err
	}
	return append([]byte{types.DynamicFeeTxType}, encoded...), nil
}

// firstOfList is the least byte that a list of RLP begins with. What begins with a smaller one is of another kind, by
// EIP-2718.
const firstOfList = 0xc0

// ReadUnsigned reads untrusted bytes in the form of Preimage. Its error says what they are instead, as a clause that
// begins with "it".
func ReadUnsigned(preimage []byte) (Unsigned, error) {
	if len(preimage) == 0 {
		return Unsigned{}, errors.New("it comes without the transaction that its hash is of; upgrade the plugin")
	}
	switch first := preimage[0]; {
	case first == types.DynamicFeeTxType:
		var b body
		if err := rlp.DecodeBytes(preimage[1:], &b); err != nil {
			return Unsigned{}, fmt.Errorf("it is not a transaction of EIP-1559: %w", err)
		}
		return Unsigned{
			ChainID: b.ChainID, Nonce: b.Nonce, Cap: b.Cap, Tip: b.Tip, Gas: b.Gas, To: b.To, Value: b.Value, Data: b.Data,
			AccessList: b.AccessList,
		}, nil
	case bytes.HasPrefix(preimage, []byte{0x19}):
		return Unsigned{}, errors.New("it is a message of EIP-191 or EIP-712 and not a transaction")
	case first < firstOfList:
		return Unsigned{}, fmt.Errorf(
			"it is of the type %#02x, and relayers send transactions of EIP-1559 and of EIP-155 alone",
			first,
		)
	}
	var b legacyBody
	if err := rlp.DecodeBytes(preimage, &b); err != nil {
		return Unsigned{}, fmt.Errorf("it is not a transaction that names its chain, as EIP-155 wants it: %w", err)
	}
	if b.Zero != 0 || b.Zeros != 0 {
		return Unsigned{}, errors.New("it is not a transaction that EIP-155 has signed")
	}
	return Unsigned{
		ChainID: b.ChainID, Nonce: b.Nonce, Cap: b.Price, Gas: b.Gas, To: b.To, Value: b.Value, Data: b.Data,
	}, nil
}
