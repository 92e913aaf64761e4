package solana

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/mr-tron/base58"

	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// market is what others pay on a chain, in millionths of a lamport per compute unit: by the newest blocks, which are
// read again and again, or by what a node tells of the accounts that a transaction writes to, which is asked for with
// each.
type market struct {
	config  Config
	pool    *account.Pool
	logger  *slog.Logger
	metrics *metrics
	blocks  *relayer.Poller[uint64] // nil: a node is asked
	medians map[uint64]*uint64      // of blocks by slot, used by history; a nil one: the slot has no block

	mu   sync.Mutex
	dark bool // the last reading failed
}

// lasts is how long a price that was read from blocks is offered.
const lasts = time.Minute

func newMarket(config Config, pool *account.Pool, logger *slog.Logger, metrics *metrics) *market {
	m := &market{config: config, pool: pool, logger: logger, metrics: metrics, medians: map[uint64]*uint64{}}
	if config.FeeEstimatorMode == estimatorBlocks {
		m.blocks = relayer.NewPoller(relayer.PollerSettings[uint64]{
			Subject: "the prices of chain " + config.ChainID, Fetch: m.history,
			Interval: config.BlockHistoryPollPeriod.Duration,
			Timeout:  time.Duration(config.BlockHistoryBatchLoadSize+1) * config.TxTimeout.Duration, TTL: lasts,
		})
	}
	return m
}

// Close ends the reads.
func (m *market) Close() error {
	if m.blocks == nil {
		return nil
	}
	return m.blocks.Close()
}

// price is what others who wrote to these accounts have paid recently; 0 if it is not known.
func (m *market) price(ctx context.Context, written []sol.PublicKey) uint64 {
	if m.blocks == nil {
		price, _ := m.recent(ctx, written) // which has logged it
		return price
	}
	price, err := m.blocks.Latest()
	if err != nil {
		return 0
	}
	return price
}

// history reads the newest blocks and returns the average of their medians.
func (m *market) history(ctx context.Context) (price uint64, err error) {
	if err := m.pool.Await(ctx); err != nil {
		return 0, err
	}
	defer func() { m.told(ctx, price, err) }()
	var newest uint64
	err = m.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) (err error) {
		newest, err = client.Slot(ctx, rpc.CommitmentType(m.config.Commitment)) // under which Block reads
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ask for the newest slot: %w", err)
	}
	size, batch := uint64(m.config.BlockHistorySize), int(m.config.BlockHistoryBatchLoadSize)
	oldest := newest - min(newest, 2*size+uint64(batch)) // slots may be skipped
	maps.DeleteFunc(m.medians, func(slot uint64, _ *uint64) bool { return slot < oldest })
	var sum, found uint64
	for slot := newest; slot > oldest && found < size; slot-- {
		median, known := m.medians[slot]
		if !known {
			if batch == 0 {
				continue
			}
			batch--
			if median, err = m.median(ctx, slot); err != nil {
				return 0, err
			}
			if median != nil || found > 0 { // at the tip a block may be still to come
				m.medians[slot] = median
			}
		}
		if median != nil {
			sum += *median
			found++
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("no RPC node has a block of any slot from %d to %d that was looked at", oldest+1, newest)
	}
	return sum / found, nil
}

// median reads the block of a slot; nil if there is none.
func (m *market) median(ctx context.Context, slot uint64) (*uint64, error) {
	var block endpoint.Block
	err := m.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) (err error) {
		block, err = client.Block(ctx, slot)
		return err
	})
	refusal := &endpoint.Refusal{}
	switch {
	case errors.Is(err, endpoint.ErrNoBlock):
		return nil, nil
	case errors.As(err, &refusal) && refusal.Code == endpoint.CodeVersion:
		const text = "read the block of slot %d: it has transactions of a version that this relayer does not read; " +
			"update it, or choose another FeeEstimatorMode: %w"
		return nil, fmt.Errorf(text, slot, err)
	case err != nil:
		return nil, fmt.Errorf("read the block of slot %d: %w", slot, err)
	}
	median := min(medianPrice(block), maxPrice) // no more is ever offered, and sums of as much fit
	return &median, nil
}

// recent asks what was enough, in three of four recent blocks, to write to these accounts. The account that pays must
// not be among them: the node would answer with what it has paid itself.
func (m *market) recent(ctx context.Context, written []sol.PublicKey) (price uint64, err error) {
	defer func() { m.told(ctx, price, err) }()
	var fees []uint64
	err = m.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) (err error) {
		fees, err = client.RecentFees(ctx, written, m.config.RecentFeesPercentile)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ask for recent fees: %w", err)
	}
	if len(fees) == 0 {
		return 0, errors.New("the RPC node knows the fees of no recent block")
	}
	slices.Sort(fees)
	return fees[len(fees)*3/4], nil
}

// told counts a reading, and logs once when prices cannot be read and when they can again: nobody must think that they
// are followed while the default is offered.
func (m *market) told(ctx context.Context, price uint64, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return // nobody waits for it any more
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	chain := m.config.ChainID
	if err != nil {
		m.metrics.prices.WithLabelValues(chain, "failed").Inc()
		m.metrics.price.DeleteLabelValues(chain)
		if !m.dark {
			m.logger.Warn("prices cannot be read; the last price from blocks holds for a minute, then the default",
				"mode", m.config.FeeEstimatorMode, "default", m.config.ComputeUnitPriceDefault, "reason", err)
		}
	} else {
		m.metrics.prices.WithLabelValues(chain, "ok").Inc()
		m.metrics.price.WithLabelValues(chain).Set(float64(price))
		if m.dark {
			m.logger.Info("prices are read again", "mode", m.config.FeeEstimatorMode, "price", price)
		}
	}
	m.dark = err != nil
}

// medianPrice counts transactions without a price as having the price 0. It leaves out votes, which offer none, and
// those of version 1 that have no limit of compute units.
func medianPrice(block endpoint.Block) uint64 {
	var prices []uint64
	for _, tx := range block.Transactions {
		message := tx.Transaction.Message
		var price uint64
		vote := false
		for _, instruction := range message.Instructions {
			if instruction.ProgramIDIndex < 0 || instruction.ProgramIDIndex >= len(message.AccountKeys) {
				continue // untrusted, or of a table of addresses
			}
			switch message.AccountKeys[instruction.ProgramIDIndex] {
			case sol.VoteProgramID.String():
				vote = true
			case sol.ComputeBudget.String():
				const length, tag = 9, 3 // SetComputeUnitPrice
				if data, err := base58.Decode(instruction.Data); err == nil && len(data) == length && data[0] == tag {
					price = binary.LittleEndian.Uint64(data[1:])
				}
			}
		}
		if config := message.Config; config != nil {
			if config.ComputeUnitLimit == 0 {
				continue
			}
			price = perUnit(config.PriorityFee, config.ComputeUnitLimit)
		}
		if !vote {
			prices = append(prices, price)
		}
	}
	if len(prices) == 0 {
		return 0
	}
	slices.Sort(prices)
	return prices[len(prices)/2]
}

// perUnit is what lamports for a number of compute units come to, in millionths of a lamport for each.
func perUnit(lamports uint64, units uint32) uint64 {
	high, low := bits.Mul64(lamports, 1_000_000)
	if high >= uint64(units) {
		return math.MaxUint64
	}
	price, _ := bits.Div64(high, low, uint64(units))
	return price
}
