package starknet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// policy is what one chain's transactions are checked against.
type policy struct {
	chain, token stark.Felt
	most         *big.Int // FRI that a transaction may allow the chain to take
}

// SigningCheck makes the signing check for a chain's relayer. It permits transactions of one call, which is a
// transmission to a contract of a job or a transfer that an operator asked for, and fillers, which call nothing. The
// section's FeeMax bounds the cost of each.
func SigningCheck(text []byte) (signing.Check, error) {
	config, _ := ParseConfig("Starknet", text) // another relayer of these chains may have keys that are not known here
	chain, err := stark.ShortString(config.ChainID)
	if err != nil {
		return nil, fmt.Errorf("ChainID: %w", err)
	}
	return policy{chain: chain, token: config.FeeToken.Felt, most: config.feeMax()}.check, nil
}

func (p policy) check(r signing.Request, facts signing.Facts) (signing.Verdict, error) {
	key, err := stark.ParseFelt(r.Account)
	if err != nil {
		return signing.Verdict{}, fmt.Errorf("its account: %w", err)
	}
	if len(r.Transaction) == 0 {
		return signing.Verdict{}, errors.New("it comes without the transaction that its hash is of; upgrade the plugin")
	}
	tx, err := account.ReadInvoke(r.Transaction)
	if err != nil {
		return signing.Verdict{}, err
	}
	hash, err := tx.Hash(p.chain)
	if err != nil {
		return signing.Verdict{}, fmt.Errorf("it has no hash: %w", err)
	}
	signed := hash.Bytes()
	switch cost := tx.Bounds.Cost(); {
	case !slices.Equal(signed[:], r.Data):
		return signing.Verdict{}, errors.New("it is not what the hash to be signed is of, on this chain")
	case cost.Cmp(p.most) > 0:
		return signing.Verdict{}, fmt.Errorf("its fee may come to %s FRI, and FeeMax is %s", cost, p.most)
	}
	verdict := signing.Verdict{Slot: strconv.FormatUint(tx.Nonce, 10)}
	call, err := tx.Call()
	switch {
	case err != nil:
	case call == nil:
		verdict.Kind, verdict.To = signing.Filler, tx.Sender.String()
	case call.To == p.token && call.Selector == aggregator.Selector("transfer"):
		verdict.Kind = signing.Coins
		verdict.Transfer, verdict.To, err = asked(tx, call.Calldata, verdict.Slot, facts.Transfers)
	default:
		verdict.Kind, verdict.To = signing.Transmission, call.To.String()
		verdict.Job, err = transmits(key, tx.Sender, *call, facts.Contracts)
	}
	return verdict, err
}

// transmits finds the job whose report a transaction transmits.
func transmits(key, sender stark.Felt, call account.Call, contracts []signing.Contract) (job int64, err error) {
	for _, c := range contracts {
		var relayConfig struct {
			Account string `json:"accountAddress"`
		}
		_ = json.Unmarshal(c.RelayConfigJSON, &relayConfig) // without the account it is not this job's
		if !same(c.Transmitter, key) || !same(c.ID, call.To) || !same(relayConfig.Account, sender) {
			continue
		}
		if call.Selector != aggregator.Selector(aggregator.TransmitFunction) {
			return 0, fmt.Errorf("it calls another function of the contract %s of job %d than %s", call.To, c.Job,
				aggregator.TransmitFunction)
		}
		if err := aggregator.CheckTransmit(call.Calldata); err != nil {
			return 0, fmt.Errorf("it calls the contract %s of job %d with something else than a report: %w", call.To, c.Job, err)
		}
		return c.Job, nil
	}
	return 0, fmt.Errorf(
		"it calls %s for %s, which is the contract of no job that sends from that account by this key",
		call.To,
		sender,
	)
}

// same reports whether an operator's text means a field element.
func same(text string, felt stark.Felt) bool {
	parsed, err := stark.ParseFelt(text)
	return err == nil && parsed == felt
}

// asked finds the operator's request for a transfer.
func asked(
	tx account.Invoke, arguments []stark.Felt, slot string, transfers []signing.Transfer,
) (index int, to string, err error) {
	if len(arguments) != 3 {
		return 0, "", errors.New("it is a transfer that the token does not have")
	}
	amount := new(big.Int).Lsh(arguments[2].Big(), 128)
	amount.Add(amount, arguments[1].Big())
	for at, t := range transfers {
		free := t.Slot == "" || t.Slot == slot
		if free && same(t.From, tx.Sender) && same(t.To, arguments[0]) && t.Amount.Cmp(amount) == 0 {
			return at, arguments[0].String(), nil
		}
	}
	return 0, "", fmt.Errorf("it transfers %s FRI to %s, and no operator has asked for that", amount, arguments[0])
}
