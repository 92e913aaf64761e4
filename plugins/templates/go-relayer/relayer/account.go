package relayer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// account signs, sends and asks after the transactions of one account. The queue of package relayer calls it, and has
// stored before what must survive this process.
type account struct {
	address  common.Address
	chain    *big.Int
	config   Config
	keystore hostservicev1.KeystoreServiceClient
	pool     *relayer.Pool[*client]
	doubts   relayer.Doubts

	mu      sync.Mutex
	trouble string
}

var _ relayer.Sender = (*account)(nil)

// call is a transaction as the queue keeps it until it is signed.
type call struct {
	To   common.Address `json:"to"`
	Data hexutil.Bytes  `json:"data,omitempty"`
	Gas  uint64         `json:"gas"`
}

func (c call) encode() ([]byte, error) { return json.Marshal(c) }

// Sign implements relayer.Sender. Without a payload it makes a transfer of nothing to the account itself.
func (a *account) Sign(ctx context.Context, draft relayer.Draft) (relayer.Attempt, error) {
	call := call{To: a.address, Gas: 21_000}
	if draft.Payload != nil {
		if err := json.Unmarshal(draft.Payload, &call); err != nil {
			return relayer.Attempt{}, fmt.Errorf("decode a transaction's payload: %w", err)
		}
	}
	feeCap, tipCap, err := a.fees(len(draft.Attempts))
	if err != nil {
		return relayer.Attempt{}, err
	}
	signer := types.LatestSignerForChainID(a.chain)
	tx := types.NewTx(&types.DynamicFeeTx{
		ChainID: a.chain, Nonce: draft.Sequence, To: &call.To, Data: call.Data, Gas: call.Gas,
		GasFeeCap: feeCap, GasTipCap: tipCap,
	})
	hash := signer.Hash(tx)
	// A node may want to see what it signs: the bytes that the hash is of (EIP-1559).
	shown, err := rlp.EncodeToBytes([]any{a.chain, draft.Sequence, tipCap, feeCap, call.Gas, call.To, new(big.Int),
		[]byte(call.Data), types.AccessList{}})
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a transaction: %w", err)
	}
	response, err := a.keystore.Sign(ctx, &hostservicev1.SignRequest{
		Account: a.address.Hex(), Data: hash[:], Transaction: append([]byte{types.DynamicFeeTxType}, shown...),
	})
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("sign with the key of %s: %w", a.address, err)
	}
	signed, err := tx.WithSignature(signer, response.GetSignature())
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("use the keystore's signature for %s: %w", a.address, err)
	}
	raw, err := signed.MarshalBinary()
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a signed transaction: %w", err)
	}
	return relayer.Attempt{Hash: signed.Hash().Hex(), Raw: raw}, nil
}

// fees are a quarter above those of the attempt before: nodes want a tenth more for a replacement.
func (a *account) fees(attempts int) (feeCap, tipCap *big.Int, err error) {
	gwei := big.NewInt(1e9)
	feeCap = new(big.Int).Mul(new(big.Int).SetUint64(a.config.FeeCap), gwei)
	tipCap = new(big.Int).Mul(new(big.Int).SetUint64(a.config.TipCap), gwei)
	most := new(big.Int).Mul(new(big.Int).SetUint64(a.config.FeeCapMax), gwei)
	for range attempts {
		for _, fee := range []*big.Int{feeCap, tipCap} {
			fee.Add(fee, new(big.Int).Rsh(fee, 2))
		}
		if feeCap.Cmp(most) > 0 {
			return nil, nil, relayer.ErrCeiling
		}
	}
	return feeCap, tipCap, nil
}

// Send implements relayer.Sender. It sends the transaction to every node.
func (a *account) Send(ctx context.Context, attempt relayer.Attempt) error {
	sure, err := a.pool.Broadcast(ctx, func(ctx context.Context, c *client) error {
		var hash common.Hash
		err := c.call(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(attempt.Raw))
		if says(err, "already known", "known transaction", "nonce too low", "replacement transaction underpriced") {
			return nil // the node has it or an earlier attempt, or a block has used its number
		}
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trouble = ""
	if err == nil || !sure || status.Code(err) == codes.Unavailable { // no node serves
		return err
	}
	a.trouble = fmt.Sprintf("%s: %s", a.address, relayer.Reason(err))
	if says(err, "insufficient funds") {
		err = fmt.Errorf("%w: %w", relayer.ErrUnfunded, err)
	}
	return fmt.Errorf("%w: %w", relayer.ErrRefused, err)
}

func says(err error, words ...string) bool {
	for _, word := range words {
		if err != nil && strings.Contains(relayer.Reason(err), word) {
			return true
		}
	}
	return false
}

// Trouble implements service.Account.
func (a *account) Trouble() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trouble
}

// Survey implements relayer.Sender. It makes all calls to one node, so that its parts agree.
func (a *account) Survey(
	ctx context.Context, flights []relayer.Flight, items []relayer.Item,
) (survey relayer.Survey, err error) {
	known := a.pool.Height()
	err = a.pool.Do(ctx, func(ctx context.Context, c *client) (err error) {
		survey, err = a.survey(ctx, c, known, flights, items)
		return err
	})
	return survey, err
}

func (a *account) survey(
	ctx context.Context, c *client, known uint64, flights []relayer.Flight, items []relayer.Item,
) (relayer.Survey, error) {
	head, err := c.latest(ctx)
	if err != nil {
		return relayer.Survey{}, err
	}
	// The account's next number after the newest block and after the newest final one. Transactions are asked after
	// later: one that enters a block in between is seen there, and never taken for lost.
	var next, final hexutil.Uint64
	settled := hexutil.Uint64(head.Number - min(head.Number, a.config.FinalityDepth))
	if err := c.call(ctx, &next, "eth_getTransactionCount", a.address, "latest"); err != nil {
		return relayer.Survey{}, err
	}
	if err := c.call(ctx, &final, "eth_getTransactionCount", a.address, settled); err != nil {
		return relayer.Survey{}, err
	}
	survey := relayer.Survey{Next: uint64(next)}
	for _, f := range flights {
		outcome, err := a.outcome(ctx, c, f, uint64(settled), uint64(next), uint64(final))
		if err != nil {
			return relayer.Survey{}, err
		}
		survey.Outcomes = append(survey.Outcomes, outcome)
	}
	contracts := map[string]*relayer.Standing{}
	for _, item := range items {
		if _, asked := contracts[item.Contract]; asked {
			continue
		}
		view, err := read(ctx, c, common.HexToAddress(item.Contract))
		if err != nil && !relayer.IsAnswered(err) {
			return relayer.Survey{}, err
		}
		contracts[item.Contract] = nil
		if err == nil {
			contracts[item.Contract] = view.Standing()
		}
	}
	survey.Verdicts = a.doubts.Verdicts(items, func(contract string) *relayer.Standing {
		return contracts[contract]
	}, head.Time, head.Number < known)
	return survey, nil
}

// outcome is what became of the transactions at one number of the account.
func (a *account) outcome(
	ctx context.Context, c *client, f relayer.Flight, settled, next, final uint64,
) (relayer.Outcome, error) {
	for _, attempt := range f.Attempts {
		var receipt *struct{ BlockNumber, Status hexutil.Uint64 }
		if err := c.call(ctx, &receipt, "eth_getTransactionReceipt", attempt.Hash); err != nil {
			return relayer.Outcome{}, err
		}
		if receipt == nil {
			continue
		}
		state := relayer.Succeeded
		switch forGood := settled > 0 && uint64(receipt.BlockNumber) <= settled; {
		case uint64(receipt.Status) == types.ReceiptStatusSuccessful && forGood:
			state = relayer.SucceededForGood
		case uint64(receipt.Status) != types.ReceiptStatusSuccessful && forGood:
			state = relayer.RevertedForGood
		case uint64(receipt.Status) != types.ReceiptStatusSuccessful:
			state = relayer.Reverted
		}
		return relayer.Outcome{State: state, Hash: attempt.Hash}, nil
	}
	if final > f.Sequence {
		return relayer.Outcome{State: relayer.Lost}, nil
	}
	newest := f.Attempts[len(f.Attempts)-1]
	// Only the next in line can be held up by its fee.
	stuck := next == f.Sequence && time.Since(newest.Signed) > a.config.BumpAfter.Duration
	return relayer.Outcome{Stuck: stuck}, nil
}
