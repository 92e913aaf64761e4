package account

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// memory is how many blocks back full nodes answer for an account's state: they keep 128, and lag a little.
const memory = 64

// receipt is a transaction's receipt as far as a queue looks at it. A missing one is JSON's null.
type receipt struct {
	Block  *hexutil.Big    `json:"blockNumber"`
	Status *hexutil.Uint64 `json:"status"`
}

// views are one contract's answers.
type views struct {
	details, transmission hexutil.Bytes
	at                    int // index of the first of both in the batch
}

// Survey implements relayer.Sender: one batch at one node.
func (a *Account) Survey(ctx context.Context, flights []relayer.Flight, items []relayer.Item) (relayer.Survey, error) {
	known := a.settings.Pool.Height()
	var survey relayer.Survey
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		var err error
		survey, err = a.survey(ctx, client, known, flights, items)
		return err
	})
	return survey, err
}

func (a *Account) survey(ctx context.Context, client *endpoint.Client, known uint64, flights []relayer.Flight,
	items []relayer.Item) (relayer.Survey, error) {
	var (
		head        endpoint.Head
		next, final hexutil.Uint64
	)
	calls := []rpc.BatchElem{endpoint.LatestBlock(&head),
		{Method: "eth_getTransactionCount", Args: []any{a.settings.Address, "latest"}, Result: &next}}
	behind := a.settings.FinalityDepth + a.settings.FinalityOffset
	newest := &head.Number // from which behind is counted
	if a.settings.FinalityTag {
		newest, behind = new(uint64), a.settings.FinalityOffset
		if len(flights) > 0 {
			var err error
			if *newest, err = client.Finalized(ctx); err != nil {
				return relayer.Survey{}, err
			}
		}
	}
	depth := min(behind, memory)
	if a.settings.FinalityTag {
		depth = memory // wherever the final block is, nodes keep no state that is older
	}
	if now := client.Head().Number; len(flights) > 0 && now > depth {
		calls = append(calls,
			rpc.BatchElem{Method: "eth_getTransactionCount", Args: []any{a.settings.Address, hexutil.Uint64(now - depth)},
				Result: &final})
	}
	historical := len(calls)
	// Receipts after nonces: a transaction that is mined in between is then seen by its receipt, never taken for lost.
	calls, receipts := withReceipts(calls, flights)
	calls, contracts := withViews(calls, items)
	if err := client.Each(ctx, calls); err != nil {
		return relayer.Survey{}, err
	}
	for _, call := range calls[:2] {
		if call.Error != nil {
			return relayer.Survey{}, fmt.Errorf("%s: %w", call.Method, call.Error)
		}
	}
	// A node that keeps no older state cannot say of any flight that it is lost, nor one that answers with an error for a
	// transaction that its chain refused (Hedera's relay) of that flight. The others go on.
	if historical > 2 && calls[2].Error != nil {
		final = 0
	}
	untold := map[string]bool{}
	for _, call := range calls[historical : len(calls)-2*len(contracts)] {
		if call.Error != nil {
			untold[fmt.Sprint(call.Args...)] = true
		}
	}
	survey := relayer.Survey{Next: uint64(next)}
	for _, f := range flights {
		outcome := a.outcome(f, head.Number, *newest-min(behind, *newest), uint64(next), uint64(final), receipts)
		if outcome.State == relayer.Lost &&
			slices.ContainsFunc(f.Attempts, func(attempt relayer.Attempt) bool { return untold[attempt.Hash] }) {
			outcome = relayer.Outcome{}
		}
		survey.Outcomes = append(survey.Outcomes, outcome)
	}
	a.forget(receipts)
	survey.Verdicts = a.doubts.Verdicts(items, func(contract string) *relayer.Standing {
		v := contracts[contract]
		if calls[v.at].Error != nil || calls[v.at+1].Error != nil {
			return nil
		}
		return v.standing()
	}, head.Time, head.Number < known)
	return survey, nil
}

// withReceipts asks for the receipts of all attempts too.
func withReceipts(calls []rpc.BatchElem, flights []relayer.Flight) ([]rpc.BatchElem, map[string]**receipt) {
	receipts := map[string]**receipt{}
	for _, f := range flights {
		for _, attempt := range f.Attempts {
			r := new(*receipt)
			receipts[attempt.Hash] = r
			calls = append(calls, rpc.BatchElem{Method: "eth_getTransactionReceipt", Args: []any{attempt.Hash}, Result: r})
		}
	}
	return calls, receipts
}

// withViews asks for what the contracts of all items say of transmissions too.
func withViews(calls []rpc.BatchElem, items []relayer.Item) ([]rpc.BatchElem, map[string]*views) {
	contracts := map[string]*views{}
	for _, item := range items {
		if contracts[item.Contract] != nil {
			continue
		}
		v := &views{at: len(calls)}
		contracts[item.Contract] = v
		address := common.HexToAddress(item.Contract)
		calls = append(calls, aggregator.ConfigDetailsCall(address, &v.details),
			aggregator.TransmissionDetailsCall(address, &v.transmission))
	}
	return calls, contracts
}

// forget drops what nodes said of attempts that are under way no more.
func (a *Account) forget(flying map[string]**receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.standing, func(hash string, _ standing) bool { return flying[hash] == nil })
}

// outcome is what became of a flight. Blocks up to settled are final but the first, which holds no transactions, and
// final is the account's next nonce at such a block.
func (a *Account) outcome(
	f relayer.Flight, head, settled, next, final uint64, receipts map[string]**receipt,
) relayer.Outcome {
	for _, attempt := range f.Attempts {
		r := *receipts[attempt.Hash]
		if r == nil || r.Block == nil || r.Status == nil {
			continue
		}
		outcome := relayer.Outcome{Hash: attempt.Hash}
		forGood := settled > 0 && r.Block.ToInt().Cmp(new(big.Int).SetUint64(settled)) <= 0
		switch ok := uint64(*r.Status) == types.ReceiptStatusSuccessful; {
		case ok && forGood:
			outcome.State = relayer.SucceededForGood
		case ok:
			outcome.State = relayer.Succeeded
		case forGood:
			outcome.State = relayer.RevertedForGood
		default:
			outcome.State = relayer.Reverted
		}
		return outcome
	}
	switch {
	case final > f.Sequence:
		return relayer.Outcome{State: relayer.Lost}
	case next != f.Sequence: // only the next in line can be held up by its fee
		return relayer.Outcome{}
	}
	newest := f.Attempts[len(f.Attempts)-1].Hash
	patience := a.settings.Fees.BumpThreshold
	a.mu.Lock()
	defer a.mu.Unlock()
	said := a.standing[newest]
	switch {
	case said.cheap: // blocks change nothing. Where nothing is replaced, only what nobody has is signed anew
		return relayer.Outcome{Stuck: patience > 0 || said.spared}
	case said.held && !said.passed:
		said.passed, said.height = true, head
		a.standing[newest] = said
		return relayer.Outcome{}
	default:
		return relayer.Outcome{Stuck: patience > 0 && said.held && head >= said.height+patience}
	}
}

// standing is what the answers say; nil if they cannot be read.
func (v *views) standing() *relayer.Standing {
	details, err := aggregator.ParseConfigDetails(v.details)
	if err != nil {
		return nil
	}
	latest, err := aggregator.ParseTransmissionDetails(v.transmission)
	if err != nil {
		return nil
	}
	return &relayer.Standing{Config: details.Digest, Digest: latest.Digest, Epoch: latest.Epoch, Round: latest.Round}
}
