package feed

import (
	"crypto/rand"
	"fmt"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// Oracle is the public side of one node of a network: its signer is a Stark key, its transmitter the address of the
// contract that is its account.
type Oracle = ocr2.Oracle[stark.Felt, stark.Felt]

// Member is an oracle with the private keys that a node would keep to itself, for tests that stand in for nodes.
type Member struct {
	Oracle
	SignerKey *stark.Key
	Account   chain.Account
}

// NewMember makes an oracle with new keys.
func NewMember() (Member, error) {
	signer, err := stark.GenerateKey(rand.Reader)
	if err != nil {
		return Member{}, fmt.Errorf("make the key of a signer: %w", err)
	}
	account, err := chain.NewAccount()
	if err != nil {
		return Member{}, err
	}
	public, err := ocr2.New(signer.Public(), account.Address)
	if err != nil {
		return Member{}, err
	}
	return Member{Oracle: public, SignerKey: signer, Account: account}, nil
}
