// Package account makes and sends the transactions of one account of an EVM chain: it is the Sender of relayer's queue.
//
// It knows fees, nonces, receipts and the aggregator's views by which a report is seen to be stale. It must not know jobs, nor
// keep anything: what must survive is in the queue's Store.
package account

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Pool is the nodes of the account's chain.
type Pool = relayer.Pool[*endpoint.Client]

// Settings is what an Account is made of. All are required but FeeBumpThreshold.
type Settings struct {
	Address  common.Address
	ChainID  *big.Int
	Keystore hostservicev1.KeystoreServiceClient
	Pool     *Pool
	// FinalityDepth is how many blocks on top of a transaction make it final.
	FinalityDepth uint64
	// GasLimit of fillers.
	GasLimit uint64
	Fees     Fees
}

// Account is the Sender of one account.
type Account struct {
	settings Settings
	doubts   relayer.Doubts
}

var _ relayer.Sender = (*Account)(nil)

// New makes an account. It calls nobody.
func New(settings Settings) *Account { return &Account{settings: settings} }

// Call is the payload of a transaction, as the queue keeps it.
type Call struct {
	To    common.Address `json:"to"`
	Data  hexutil.Bytes  `json:"data,omitempty"`
	Value *hexutil.Big   `json:"value,omitempty"`
	Gas   uint64         `json:"gas"`
}

// Encode makes the queue's payload.
func (c Call) Encode() ([]byte, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a transaction's payload: %w", err)
	}
	return payload, nil
}

// refusals are texts by which nodes refuse a transaction that they do not keep, and that no other node would take. Compared
// in lower case.
var refusals = []string{
	"insufficient funds", "intrinsic gas too low", "exceeds block gas limit", "gas limit too high", "oversized data", "invalid sender",
	"invalid chain id", "floor data gas",
}

// kept are texts by which nodes say that they have the transaction already.
var kept = []string{"already known", "known transaction", "already_exists", "already imported", "already exists"}

// Send implements relayer.Sender: every node gets the transaction, since any one may keep it to itself.
func (a *Account) Send(ctx context.Context, attempt relayer.Attempt) error {
	sure, err := a.settings.Pool.Broadcast(ctx, func(ctx context.Context, client *endpoint.Client) error {
		var hash common.Hash
		err := client.Call(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(attempt.Raw))
		if relayer.IsAnswered(err) && contains(err, kept) {
			return nil
		}
		return err
	})
	if err == nil {
		return nil
	}
	if sure && contains(err, refusals) {
		return fmt.Errorf("%w: %w", relayer.ErrRefused, err)
	}
	return err
}

func contains(err error, texts []string) bool {
	said := strings.ToLower(err.Error())
	for _, text := range texts {
		if strings.Contains(said, text) {
			return true
		}
	}
	return false
}

// Balance is what the account holds, in wei.
func (a *Account) Balance(ctx context.Context) (*big.Int, error) {
	var balance hexutil.Big
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		return client.Call(ctx, &balance, "eth_getBalance", a.settings.Address, "latest")
	})
	return balance.ToInt(), err
}

// TransferGas is the gas that a transfer of value takes.
func (a *Account) TransferGas(ctx context.Context, to common.Address, value *big.Int) (uint64, error) {
	var gas hexutil.Uint64
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		return client.Call(ctx, &gas, "eth_estimateGas", map[string]any{"from": a.settings.Address, "to": to, "value": (*hexutil.Big)(value)})
	})
	return uint64(gas), err
}

// Cost is the most that a first attempt with that gas takes in fees, in wei.
func (a *Account) Cost(gas uint64) *big.Int {
	return new(big.Int).Mul(new(big.Int).SetUint64(gas), a.settings.Fees.CapDefault)
}

// ShortOfFunds tells whether a node's answer says that the account cannot pay.
func ShortOfFunds(err error) bool {
	return err != nil && contains(err, []string{"insufficient funds", "insufficient balance"})
}
