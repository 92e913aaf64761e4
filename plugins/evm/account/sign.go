package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Sign implements relayer.Sender. Without a payload it makes a transfer of nothing to the account itself.
func (a *Account) Sign(ctx context.Context, draft relayer.Draft) (relayer.Attempt, error) {
	call := Call{To: a.settings.Address, Gas: a.settings.GasLimit}
	if draft.Payload != nil {
		if err := json.Unmarshal(draft.Payload, &call); err != nil {
			return relayer.Attempt{}, fmt.Errorf("decode a transaction's payload: %w", err)
		}
	}
	t, err := a.terms(ctx, draft.Attempts)
	if err != nil {
		return relayer.Attempt{}, err
	}
	if t.Gas, err = a.gas(ctx, call, draft); err != nil {
		if errors.Is(err, relayer.ErrUnfunded) {
			a.lacks(new(big.Int).Mul(t.Cap, new(big.Int).SetUint64(call.Gas)), "")
		}
		return relayer.Attempt{}, err
	}
	call.Gas = t.Gas
	tx := a.transaction(draft.Sequence, call, t)
	if len(draft.Attempts) > 0 {
		if err := a.affords(ctx, tx); err != nil {
			return relayer.Attempt{}, err
		}
	}
	signer := types.LatestSignerForChainID(a.settings.ChainID)
	hash := signer.Hash(tx)
	preimage, err := unsigned(a.settings.ChainID, tx).Preimage()
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a transaction: %w", err)
	}
	response, err := a.settings.Keystore.Sign(ctx,
		&hostservicev1.SignRequest{Account: a.settings.Address.Hex(), Data: hash[:], Transaction: preimage})
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("sign with the key of %s: %w", a.settings.Address, err)
	}
	signed, err := tx.WithSignature(signer, response.GetSignature())
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("sign with the key of %s: the keystore's signature of %d bytes is not usable, "+
			"want r, s and v in 65: %w", a.settings.Address, len(response.GetSignature()), err)
	}
	if from, err := types.Sender(signer, signed); err != nil || from != a.settings.Address {
		return relayer.Attempt{}, fmt.Errorf("sign with the key of %s: the keystore signed with another key",
			a.settings.Address)
	}
	raw, err := signed.MarshalBinary()
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a signed transaction: %w", err)
	}
	kept, err := json.Marshal(t)
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a transaction's terms: %w", err)
	}
	return relayer.Attempt{Hash: signed.Hash().Hex(), Raw: raw, Terms: kept}, nil
}

// affords makes sure that the account can pay for a replacement: every node would refuse one that is too dear, and the
// earlier attempt, which the account could pay for, would be sent no more.
func (a *Account) affords(ctx context.Context, tx *types.Transaction) error {
	balance, err := a.Balance(ctx)
	if err != nil || balance.Cmp(tx.Cost()) >= 0 { // where no node tells it, nodes judge the transaction
		return nil
	}
	return fmt.Errorf("%w: %s holds %s wei, and it may cost %s", relayer.ErrUnfunded, a.settings.Address, balance,
		tx.Cost())
}

func (a *Account) transaction(nonce uint64, call Call, t terms) *types.Transaction {
	value := (*big.Int)(call.Value)
	if t.Tip == nil {
		return types.NewTx(&types.LegacyTx{Nonce: nonce, To: &call.To, Data: call.Data, Value: value, Gas: call.Gas,
			GasPrice: t.Cap})
	}
	return types.NewTx(&types.DynamicFeeTx{
		ChainID: a.settings.ChainID, Nonce: nonce, To: &call.To, Data: call.Data, Value: value, Gas: call.Gas,
		GasFeeCap: t.Cap, GasTipCap: t.Tip,
	})
}

// estimateMargin is by how many per cent limits are above estimates, which are of a block that is past when the
// transaction is mined. The established node's EstimateGasBuffer is as much.
const estimateMargin = 15

// gas chooses a transaction's gas limit. A report that was sent once keeps its own.
func (a *Account) gas(ctx context.Context, call Call, draft relayer.Draft) (uint64, error) {
	for _, attempt := range draft.Attempts {
		if t, err := decodeTerms(attempt); err == nil && t.Gas > 0 && draft.Payload != nil && !attempt.Fill {
			return t.Gas, nil
		}
	}
	limit := a.settings.Limit
	gas := call.Gas
	if limit.Estimate {
		var err error
		if gas, err = a.estimate(ctx, call.To, call.Data, (*big.Int)(call.Value)); err != nil {
			_, unanswered := status.FromError(err)
			err = fmt.Errorf("estimate the gas of a call to %s: %w", call.To, err)
			switch {
			case ShortOfFunds(err):
				err = fmt.Errorf("%w: %w", relayer.ErrUnfunded, err)
			case !unanswered: // it would revert
				err = fmt.Errorf("%w: %w", relayer.ErrRefused, err)
			}
			return 0, err
		}
		gas += gas * estimateMargin / 100
	}
	if limit.Multiplier > 0 {
		gas = uint64(float64(gas) * limit.Multiplier)
	}
	if limit.Max > 0 {
		gas = min(gas, limit.Max)
	}
	return gas, nil
}

// mostGas is far above what a block of any chain has. A margin and a multiplier of it fit.
const mostGas = 1 << 52

func (a *Account) estimate(ctx context.Context, to common.Address, data []byte, value *big.Int) (uint64, error) {
	call := map[string]any{"from": a.settings.Address, "to": to}
	if len(data) > 0 { // both names: there are nodes that read the one, and nodes that read the other
		call["input"], call["data"] = hexutil.Bytes(data), hexutil.Bytes(data)
	}
	if value != nil {
		call["value"] = (*hexutil.Big)(value)
	}
	var gas hexutil.Uint64
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		err := client.Call(ctx, &gas, "eth_estimateGas", call)
		if err == nil && gas > mostGas {
			return relayer.Said("estimates more gas than any block has")
		}
		return err
	})
	return uint64(gas), err
}

// terms chooses what the next attempt offers. Attempts that no node ever took need not be outbid, unless their price
// was the reason.
func (a *Account) terms(ctx context.Context, attempts []relayer.Attempt) (terms, error) {
	client, err := a.settings.Pool.Best()
	if err != nil {
		return terms{}, err
	}
	base, proposed, err := a.market(ctx, client.Head())
	if err != nil {
		return terms{}, err
	}
	spared, cheap := true, false
	earlier := make([]terms, len(attempts))
	for i, attempt := range attempts {
		if earlier[i], err = decodeTerms(attempt); err != nil {
			return terms{}, err
		}
		a.mu.Lock()
		said := a.standing[attempt.Hash]
		a.mu.Unlock()
		spared = spared && said.spared
		cheap = cheap || said.cheap
		proposed = greater(proposed, said.floor)
	}
	t := a.settings.Fees.first(base, proposed)
	outbids := !slices.ContainsFunc(earlier, func(e terms) bool { return !t.above(e) })
	if spared && (!cheap || outbids) {
		return t, nil
	}
	if t, err = a.settings.Fees.replacement(earlier, base, proposed); errors.Is(err, relayer.ErrCeiling) {
		err = fmt.Errorf("%w: FeeCapMax is %s wei per gas; raise it if nodes want more", err, a.settings.Fees.CapMax)
	}
	return t, err
}

// market is what the newest block and a node say of prices: the base fee, nil before EIP-1559, and the tip, or there
// the price, that the node proposes; nil if it proposes none. All transactions between two blocks share one answer.
func (a *Account) market(ctx context.Context, head endpoint.Head) (base, proposed *big.Int, err error) {
	fees := a.settings.Fees
	if !fees.Legacy {
		base = head.BaseFee
	}
	a.mu.Lock()
	fresh := a.asked == head.Hash
	proposed = a.proposed
	a.mu.Unlock()
	if fees.Fixed {
		return base, nil, nil
	}
	if fresh && head.Hash != (common.Hash{}) {
		return base, proposed, nil
	}
	switch {
	case base == nil:
		var price hexutil.Big
		err = a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
			return client.Call(ctx, &price, "eth_gasPrice")
		})
		if err != nil {
			return nil, nil, err
		}
		proposed = price.ToInt()
	case fees.History > 0:
		if proposed = a.pastTip(ctx); proposed == nil {
			proposed = a.proposedTip(ctx)
		}
	default:
		if proposed = a.proposedTip(ctx); proposed == nil {
			proposed = a.pastTip(ctx)
		}
	}
	a.mu.Lock()
	a.asked, a.proposed = head.Hash, proposed
	a.mu.Unlock()
	return base, proposed, nil
}

// proposedTip is what the node proposes; nil if it does not.
func (a *Account) proposedTip(ctx context.Context) *big.Int {
	var tip hexutil.Big
	if !a.optional(ctx, &tip, "eth_maxPriorityFeePerGas") {
		return nil
	}
	return tip.ToInt()
}

// pastTip is the middle one of the tips that past blocks took, of each at the percentile configured; nil if the node
// does not tell.
func (a *Account) pastTip(ctx context.Context) *big.Int {
	blocks, percentile := cmp.Or(a.settings.Fees.History, 8), cmp.Or(a.settings.Fees.Percentile, 60)
	var history struct {
		Reward [][]*hexutil.Big `json:"reward"`
	}
	if !a.optional(ctx, &history, "eth_feeHistory", hexutil.Uint64(blocks), "latest", []uint16{percentile}) {
		return nil
	}
	var tips []*big.Int
	for _, block := range history.Reward {
		if len(block) == 1 && block[0] != nil && block[0].ToInt().Sign() > 0 { // blocks without transactions say 0
			tips = append(tips, block[0].ToInt())
		}
	}
	if len(tips) == 0 {
		return nil
	}
	slices.SortFunc(tips, (*big.Int).Cmp)
	return tips[len(tips)/2]
}

// optional makes a call that not every node has: a node without it is a good node.
func (a *Account) optional(ctx context.Context, result any, method string, args ...any) bool {
	return a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		err := client.Call(ctx, result, method, args...)
		if err != nil && !relayer.IsAnswered(err) && ctx.Err() == nil {
			return relayer.Answered(err)
		}
		return err
	}) == nil
}

// Parse reads an account as people write it.
func Parse(text string) (common.Address, error) {
	if len(text) != 42 || text[:2] != "0x" || !common.IsHexAddress(text) {
		return common.Address{}, fmt.Errorf("%q is not an address; write 0x and 40 hexadecimal digits", text)
	}
	return common.HexToAddress(text), nil
}
