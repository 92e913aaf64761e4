package solana_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/google/go-cmp/cmp"
	"github.com/mr-tron/base58"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// exchange is a chain of nodes that serve blocks and nothing else, and what a relayer makes of them.
type exchange struct {
	*fixture
	t     *testing.T
	nodes []*relayertest.Server
	chain relayerv1loop.Chain
	slot  atomic.Uint64 // the newest of every node
}

// blocks answers getBlock, with nil or an error where a slot has none.
type blocks func(slot uint64) (any, error)

func newExchange(t *testing.T, config string, nodes ...blocks) *exchange {
	t.Helper()
	x := &exchange{fixture: newFixture(t), t: t}
	x.slot.Store(500)
	config = quick + "FeeEstimatorMode = 'blockhistory'\nBlockHistoryPollPeriod = '100ms'\n" + config
	for i, serve := range nodes {
		server := relayertest.NewServer(t, "")
		server.Answer("getGenesisHash", func(json.RawMessage) (any, error) { return "a", nil })
		server.Answer("getSlot", func(text json.RawMessage) (any, error) {
			newest := x.slot.Load()
			if strings.Contains(string(text), "finalized") {
				newest -= 31
			}
			return newest, nil
		})
		if serve != nil {
			server.Answer("getBlock", func(text json.RawMessage) (any, error) {
				var (
					slot    uint64
					options struct {
						Newest *int `json:"maxSupportedTransactionVersion"`
					}
				)
				err := json.Unmarshal(text, &[]any{&slot, &options})
				if err != nil || options.Newest == nil || *options.Newest != 1 {
					t.Errorf("getBlock is asked with %s", text)
				}
				return serve(slot)
			})
		}
		x.nodes = append(x.nodes, server)
		config += fmt.Sprintf("[[Nodes]]\nName = 'n%d'\nURL = '%s'\n", i, server.HTTPURL)
	}
	x.chain, _ = x.fixture.chain(config)
	return x
}

const (
	priceMetric = "loop_solana_compute_unit_price"
	readsMetric = "loop_solana_price_reads_total"
)

// coded is an error that a node answers with.
type coded struct {
	code    int
	message string
}

func (c coded) Error() string  { return c.message }
func (c coded) ErrorCode() int { return c.code }

// block is one of transactions.
func block(transactions ...any) map[string]any { return map[string]any{"transactions": transactions} }

func transaction(message map[string]any) any {
	return map[string]any{"transaction": map[string]any{"message": message}}
}

// priced is a transaction of a legacy version, or 0, that names its price; v1 one that names lamports for all of its
// units.
func priced(price byte) any {
	return instruction(sol.ComputeBudget, []byte{3, price, 0, 0, 0, 0, 0, 0, 0})
}

func vote() any { return instruction(sol.VoteProgramID, nil) }

func instruction(program sol.PublicKey, data []byte) any {
	return transaction(map[string]any{
		"accountKeys":  []string{program.String()},
		"instructions": []any{map[string]any{"programIdIndex": 0, "data": base58.Encode(data)}},
	})
}

func v1(lamports, units any) any {
	config := map[string]any{
		"priorityFee": lamports, "computeUnitLimit": units, "heapSize": nil, "loadedAccountsDataSizeLimit": nil,
	}
	return transaction(map[string]any{"accountKeys": []string{}, "instructions": []any{}, "transactionConfig": config})
}

func TestPricesOfBlocks(t *testing.T) {
	t.Parallel()
	skipped := coded{-32007, "Slot was skipped"}
	for name, c := range map[string]struct {
		config string
		blocks blocks
		want   float64
	}{
		"a price":                 {"", func(uint64) (any, error) { return block(vote(), priced(7)), nil }, 7},
		"none":                    {"", func(uint64) (any, error) { return block(vote()), nil }, 0},
		"version 1":               {"", func(uint64) (any, error) { return block(v1(5, 200_000)), nil }, 25},
		"version 1, rounded down": {"", func(uint64) (any, error) { return block(v1(1, 300_000)), nil }, 3},
		"version 1 of no limit":   {"", func(uint64) (any, error) { return block(v1(5, nil), priced(2)), nil }, 2},
		"version 1 of no fee":     {"", func(uint64) (any, error) { return block(v1(nil, 200_000)), nil }, 0},
		"version 1, of all lamports": {"", func(uint64) (any, error) {
			return block(v1(uint64(math.MaxUint64), 1)), nil
		}, 1e12},
		"all versions": {"", func(uint64) (any, error) {
			return block(v1(5, 200_000), priced(30), priced(2)), nil
		}, 25},
		"a slot that was skipped": {"", func(slot uint64) (any, error) {
			if slot > 497 {
				return nil, skipped
			}
			return block(priced(byte(slot - 400))), nil
		}, 97},
		"the newest four": {"BlockHistorySize = 4\n", func(slot uint64) (any, error) {
			if slot == 499 {
				return nil, skipped
			}
			return block(priced(byte(slot - 400))), nil
		}, (100 + 98 + 97 + 96) / 4},
		"the newest that is final": {"Commitment = 'finalized'\n", func(slot uint64) (any, error) {
			if slot > 500-31 {
				return nil, coded{-32004, "Block not available"}
			}
			return block(priced(byte(slot - 400))), nil
		}, 69},
		"in several readings": {"BlockHistorySize = 4\nBlockHistoryBatchLoadSize = 1\n", func(slot uint64) (any, error) {
			return block(priced(byte(slot - 400))), nil
		}, (100 + 99 + 98 + 97) / 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newExchange(t, c.config, c.blocks)
			eventually(t, fmt.Sprintf("the price is %v", c.want), func() bool {
				prices := x.Gathered(priceMetric, "")
				return len(prices) == 1 && prices[""] == c.want
			})
			if x.Log.Count("cannot be read") > 0 {
				t.Error("prices are said to be unreadable")
			}
		})
	}
}

// TestPricesThatCannotBeRead checks that this is told once in the log and by metrics, and that it ends.
func TestPricesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failure error
		want    string
	}{
		"a version to come": {
			coded{-32015, "Transaction version (2) is not supported"},
			"of a version that this relayer does not read",
		},
		"no method": {
			coded{-32601, "Method not found"}, "has no method getBlock",
		},
		"not on this plan": {
			coded{-32600, "for paying customers"}, "read the block of slot 500: for paying customers",
		},
		"no block at all": {
			coded{-32004, "Block not available"}, "has a block of any slot from 479 to 500",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			failure := c.failure
			x := newExchange(t, "", func(uint64) (any, error) {
				mu.Lock()
				defer mu.Unlock()
				return block(priced(7)), failure
			})
			reads := func(outcome string) float64 { return x.Gathered(readsMetric, "outcome")[outcome] }
			eventually(t, "several readings fail", func() bool { return reads("failed") > 2 })
			if n := x.Log.Count("prices cannot be read"); n != 1 || x.Log.Count(c.want) != 1 {
				t.Errorf("that it fails is told %d times, want once with %q, in\n%s", n, c.want, x.Log)
			}
			if prices := x.Gathered(priceMetric, ""); len(prices) > 0 {
				t.Errorf("the price is told as %v", prices)
			}
			nodes, err := x.chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
			must(t, err)
			if node := nodes.GetNodes()[0]; node.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE || node.GetReason() != "" {
				t.Errorf("it is held against the node: %v", node)
			}
			mu.Lock()
			failure = nil
			mu.Unlock()
			eventually(t, "prices are read again, and it is told", func() bool { // the metrics have it before the log
				return reads("ok") > 0 && x.Gathered(priceMetric, "")[""] == 7 && x.Log.Count("prices are read again") > 0
			})
			if n := x.Log.Count("prices are read again"); n != 1 {
				t.Errorf("that it is read again is told %d times", n)
			}
		})
	}
}

// TestPricesOfAnotherNode checks that a node without getBlock leaves the question to another, and stays a good node.
func TestPricesOfAnotherNode(t *testing.T) {
	t.Parallel()
	// Slots come faster here than nodes are asked for them, which leaves one behind the other.
	const config = "[MultiNode]\nSyncThreshold = 1000000\n"
	x := newExchange(t, config, nil, func(uint64) (any, error) { return block(priced(7)), nil })
	eventually(t, "the first node was asked, and the other's price is read", func() bool {
		x.slot.Add(1) // blocks that were read are not read again
		return x.nodes[0].Requests("getBlock") > 0 && x.Gathered(priceMetric, "")[""] == 7
	})
	reads := x.Gathered(readsMetric, "outcome")["ok"]
	eventually(t, "it is read again", func() bool {
		x.slot.Add(1)
		return x.Gathered(readsMetric, "outcome")["ok"] > reads+2
	})
	nodes, err := x.chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
	must(t, err)
	for _, node := range nodes.GetNodes() {
		if node.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE || node.GetReason() != "" {
			t.Errorf("a node is %v", node)
		}
	}
}

// TestRecentFees transmits at the price that a node tells of the accounts which the transmission writes to.
func TestRecentFees(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	server := relayertest.NewServer(t, d.Nodes[0].RPC)
	asked := make(chan string, 100)
	fees := func(prices ...int) func(json.RawMessage) (any, error) {
		return func(params json.RawMessage) (any, error) {
			asked <- string(params)
			answer := []any{}
			for i, price := range prices {
				answer = append(answer, map[string]any{"slot": i, "prioritizationFee": price})
			}
			return answer, nil
		}
	}
	server.Answer("getRecentPrioritizationFees", fees(40, 0, 10, 30, 0, 20, 0, 50))
	const mode = "FeeEstimatorMode = 'recentfees'\nRecentFeesPercentile = 5000\nFeeBumpPeriod = '0s'\n"
	chain, _ := x.chain(settings(mode, devnode{RPC: server.HTTPURL}))
	p, _ := x.provider(d, chain, "p", 0, key.PublicKey())
	transmit := func(epoch uint32, want uint64) {
		t.Helper()
		_, err := p.Transmit(t.Context(), d.report(0, epoch, 1, int64(epoch)))
		must(t, err)
		eventually(t, "all is settled", func() bool { e, _, _ := d.latest(0); return e == epoch && len(x.Keys()) == 0 })
		var mine []*rpc.TransactionSignature
		eventually(t, "the transaction is confirmed", func() bool {
			limit := 1
			newest := &rpc.GetSignaturesForAddressOpts{Limit: &limit, Commitment: rpc.CommitmentConfirmed}
			var err error
			mine, err = d.client().GetSignaturesForAddressWithOpts(t.Context(), d.Feeds[0].Transmissions, newest)
			return err == nil && len(mine) == 1
		})
		options := &rpc.GetTransactionOpts{Encoding: sol.EncodingBase64, Commitment: rpc.CommitmentConfirmed}
		tx, err := d.client().GetTransaction(t.Context(), mine[0].Signature, options)
		must(t, err)
		parsed, err := tx.Transaction.GetTransaction()
		must(t, err)
		data := parsed.Message.Instructions[0].Data
		if got := uint64(data[1]); data[0] != 3 || got != want {
			t.Errorf("epoch %d: the price is %d in %s, want %d", epoch, got, base64.StdEncoding.EncodeToString(data), want)
		}
	}
	transmit(1, 40) // enough in six of eight blocks

	// Nobody but the transmitter itself writes to its account.
	const parameters = `[["%s","%s"],{"percentile":5000}]`
	want := fmt.Sprintf(parameters, d.Feeds[0].State, d.Feeds[0].Transmissions)
	if diff := cmp.Diff(want, <-asked); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if price := x.Gathered(priceMetric, ""); price[""] != 40 {
		t.Errorf("the price is told as %v, want 40", price)
	}
	server.Answer("getRecentPrioritizationFees", fees())
	transmit(2, 0) // the default
	if reads := x.Gathered(readsMetric, "outcome"); reads["failed"] == 0 {
		t.Errorf("that fees are not known is told as %v", reads)
	}
}

// TestVersion1 reads the price of a transaction of version 1 from a block as a chain shows it.
func TestVersion1(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	x := newFixture(t)
	x.chain(settings("FeeEstimatorMode = 'blockhistory'\nBlockHistoryPollPeriod = '100ms'\n", d.Nodes...))
	eventually(t, "the transaction's price is seen", func() bool {
		d.admin("loop_version1", map[string]any{"priorityFee": 5, "computeUnitLimit": 200_000})
		return x.Gathered(priceMetric, "")[""] == 25
	})
}
