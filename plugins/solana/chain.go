package solana

import (
	"context"
	"encoding/binary"
	"errors"
	"math/big"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// window is how many transactions of an account may be under way: one question after their statuses covers as many.
const window = endpoint.MaxSignatures

// Chain is one chain, with the readers of its accounts.
type Chain struct {
	*base
	config  Config
	horizon endpoint.Horizon
	pushes  relayer.Followed[sol.PublicKey]
	ledger  *ledger
	market  *market // nil: prices are fixed
}

type base = service.Chain[*endpoint.Client, ocr2.Contract, sender, *contract]

// sender is an account that transmits.
type sender struct{ *account.Account }

// Trouble implements service.Account. The log says why a transaction failed.
func (sender) Trouble() string { return "" }

var _ relayerv1loop.Chain = (*Chain)(nil)

func newChain(config Config, env service.Env, metrics *metrics) *Chain {
	c := &Chain{config: config}
	interval, timeout := config.OCR2CachePollPeriod.Duration, config.TxTimeout.Duration
	c.ledger = &ledger{chain: c, ttl: config.OCR2CacheTTL.Duration}
	var nodes []relayer.Node[*endpoint.Client]
	for _, node := range config.ordered() {
		nodes = append(nodes,
			relayer.Node[*endpoint.Client]{Name: node.Name, SendOnly: node.SendOnly,
				Driver: endpoint.NewDriver(endpoint.Settings{
					SendOnly: node.SendOnly, URL: node.URL.Reveal(), WSURL: node.WSURL.Reveal(), ChainID: config.ChainID,
					Commitment:   rpc.CommitmentType(config.Commitment),
					PollInterval: interval, Timeout: timeout, Accounts: &c.pushes, Pushed: c.ledger.pushed,
				})})
	}
	c.base = service.NewChain(service.ChainSettings[*endpoint.Client, ocr2.Contract, sender, *contract]{
		Env: env, Config: config, Nodes: nodes,
		Pool: relayer.PoolSettings{
			Selection: section.Selection(config.MultiNode.SelectionMode), MaxLag: config.maxLag(),
			MaxSilence: config.MultiNode.NodeNoNewHeadsThreshold.Duration, Timeout: timeout,
		},
		Pause: config.ConfirmPollPeriod.Duration, Served: c.ledger.served,
		Open: func(name string) (sender, relayer.QueueSettings, error) { return c.open(name, env) },
		Balance: func(ctx context.Context, s sender) (*big.Int, error) {
			lamports, err := s.Balance(ctx)
			return new(big.Int).SetUint64(lamports), err
		},
		Coin: float64(sol.LAMPORTS_PER_SOL), BalancePeriod: config.BalancePollPeriod.Duration,
		Follow: c.ledger.follow,
		// There are no logs to read: accounts hold all that a relayer wants to know, and they are read at once.
		Replay: func(ctx context.Context, _ uint64) error { return c.ledger.fetch(ctx) },
	})
	c.ledger.start(config.ChainID, interval, timeout)
	if config.FeeEstimatorMode != estimatorFixed {
		c.market = newMarket(config, c.Pool(), env.Logger, metrics)
	}
	c.Resume()
	return c
}

// open makes an account.
func (c *Chain) open(name string, env service.Env) (sender, relayer.QueueSettings, error) {
	key, err := account.Parse(name)
	if err != nil {
		return sender{}, relayer.QueueSettings{}, err
	}
	fees := account.Fees{
		Default: c.config.ComputeUnitPriceDefault, Min: c.config.ComputeUnitPriceMin, Max: c.config.ComputeUnitPriceMax,
		BumpPeriod: c.config.FeeBumpPeriod.Duration,
	}
	if c.market != nil {
		fees.Market = c.market.price
	}
	a := account.New(account.Settings{
		Key: key, Keystore: env.Loans.Keystore, Pool: c.Pool(), Horizon: &c.horizon,
		Commitment:    rpc.CommitmentType(c.config.Commitment),
		SkipPreflight: c.config.SkipPreflight, Retries: int(c.config.MaxRetries),
		UnitLimit: c.config.ComputeUnitLimitDefault, EstimateUnits: c.config.EstimateComputeUnitLimit, Fees: fees,
		Logger: env.Logger,
	})
	return sender{a}, relayer.QueueSettings{
		Unordered: true, Window: window, Interval: c.config.ConfirmPollPeriod.Duration,
		Resend: c.config.TxRetryPeriod.Duration,
	}, nil
}

// Close ends all work of the chain. The host releases providers before their chain.
func (c *Chain) Close() error {
	failures := []error{c.ledger.poller.Close()}
	if c.market != nil {
		failures = append(failures, c.market.Close())
	}
	return errors.Join(append(failures, c.base.Close())...)
}

// LatestHead implements relayerv1loop.Chain. The hash is the newest blockhash, and the time comes from the chain's own
// clock.
func (c *Chain) LatestHead(ctx context.Context, _ *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	var response *relayerv1.LatestHeadResponse
	err := c.Pool().Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		newest, err := client.LatestBlockhash(ctx, rpc.CommitmentProcessed)
		if err != nil {
			return err
		}
		_, clock, err := client.Accounts(ctx, []sol.PublicKey{sol.SysVarClockPubkey}, endpoint.Slice{})
		if err != nil {
			return err
		}
		now, err := clockTime(clock[0])
		response = &relayerv1.LatestHeadResponse{Number: newest.Slot, Hash: newest.Hash[:], Timestamp: timestamppb.New(now)}
		return err
	})
	if err != nil {
		return nil, service.AsUnavailable(err)
	}
	return response, nil
}

// clockTime reads the clock of a chain: slot, start of the epoch, epoch, its next leader schedule and the time, 8 bytes
// each.
func clockTime(data []byte) (time.Time, error) {
	const length, timeAt, latest = 40, 32, 253402300799 // the end of the year 9999, which is as far as a Timestamp goes
	if len(data) != length {
		return time.Time{}, relayer.Said("answers with a clock that cannot be read")
	}
	seconds := int64(binary.LittleEndian.Uint64(data[timeAt:]))
	return time.Unix(min(max(seconds, 0), latest), 0).UTC(), nil
}

// Transact implements relayerv1loop.Chain.
func (c *Chain) Transact(ctx context.Context, request *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	asked, err := service.ReadTransfer(request, account.Parse, "lamports", 64)
	if err != nil {
		return nil, err
	}
	from, to, lamports := asked.From, asked.To, asked.Amount.Uint64()
	lent, err := c.Lends(ctx, func(name string) bool { return name == from.String() })
	if err != nil {
		return nil, err
	}
	if !lent {
		return nil, status.Errorf(codes.NotFound, "from: this node has no key for %s on chain %s", from, c.config.ChainID)
	}
	q, err := c.Queue(from.String())
	if err != nil {
		return nil, err
	}
	if request.GetCheckBalance() {
		balance, err := q.Account.Balance(ctx)
		if err != nil {
			return nil, service.AsUnavailable(err)
		}
		if cost := q.Account.Cost(); balance < cost || balance-cost < lamports {
			return nil, status.Errorf(codes.FailedPrecondition,
				"%s holds %d lamports, and the transfer needs %d and up to %d for its fees; send less or fund the account", from,
				balance, lamports, cost)
		}
	}
	payload, err := transfer(from, to, lamports).Encode()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	hash, err := q.Submit(ctx, payload)
	switch {
	case err == nil:
		return &relayerv1.TransactResponse{TransactionHash: hash}, nil
	case status.Code(err) != codes.Unknown:
		return nil, err
	default:
		return nil, status.Errorf(codes.FailedPrecondition, "the chain refuses to transfer %d lamports from %s: %v", lamports,
			from, err)
	}
}

// transfer is the system program's instruction that moves lamports.
func transfer(from, to sol.PublicKey, lamports uint64) account.Call {
	const tag = 2 // SystemInstruction::Transfer
	call := account.NewCall(sol.NewInstruction(sol.SystemProgramID, sol.AccountMetaSlice{
		sol.Meta(from).WRITE().SIGNER(), sol.Meta(to).WRITE(),
	}, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, tag), lamports)))
	call.Once = true
	return call
}
