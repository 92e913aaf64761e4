package solana_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestAnotherNodeTakesOver spoils the first of two nodes in each way there is.
func TestAnotherNodeTakesOver(t *testing.T) {
	t.Parallel()
	d := newDevchain(t, "--feeds", "9", "--nodes", "2")
	cases := relayertest.Troubles()
	maps.Copy(cases, map[string]relayertest.Trouble{
		"garbage": {Spoil: func(s *relayertest.Server) {
			s.SetFault(relayertest.Garbage)
		}, State: relayerv1.NodeState_NODE_STATE_UNREACHABLE, Reason: "answers with something other than the JSON expected"},
		"mute": {Spoil: func(s *relayertest.Server) {
			s.SetFault(relayertest.Mute)
		}, State: relayerv1.NodeState_NODE_STATE_ALIVE, Reason: ""},
		"other chain": {Spoil: func(s *relayertest.Server) {
			s.Answer("getGenesisHash", func(json.RawMessage) (any, error) {
				return "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d", nil
			})
			s.SetFault(relayertest.Down)
			s.SetFault(relayertest.None)
			s.Answer("getSlot", func(json.RawMessage) (any, error) { return nil, errors.New("unhealthy") })
		}, State: relayerv1.NodeState_NODE_STATE_WRONG_CHAIN, Reason: "answers for mainnet"},
		"limits in JSON": {Spoil: func(s *relayertest.Server) {
			for _, method := range []string{"getSlot", "getMultipleAccounts"} {
				s.Answer(method, func(json.RawMessage) (any, error) {
					return nil, errors.New("Too many requests, see https://node.example/key")
				})
			}
			s.SetFault(relayertest.Down)
			s.SetFault(relayertest.None)
		}, State: relayerv1.NodeState_NODE_STATE_UNREACHABLE, Reason: "answers with the error: Too many requests, see " +
			"[address]"},
	})
	feed := 0
	for name, c := range cases {
		mine := feed
		feed++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := d.Oracles[mine%len(d.Oracles)].Transmitter.PrivateKey
			x := newFixture(t, key)
			ctx := t.Context()
			server := relayertest.NewServer(t, d.Nodes[0].RPC)
			chain, _ := x.chain(settings("", devnode{RPC: server.HTTPURL, WS: server.WSURL}, d.Nodes[1]))
			p, _ := x.provider(d, chain, "p", mine, key.PublicKey())
			state := func(i int) *relayerv1.NodeStatus {
				r, err := chain.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
				must(t, err)
				return r.GetNodes()[i]
			}
			eventually(t, "both nodes serve and the contract is read", func() bool {
				_, err := p.LatestConfigDetails(ctx, nil)
				return err == nil && state(0).GetState() == relayerv1.NodeState_NODE_STATE_ALIVE &&
					state(1).GetState() == relayerv1.NodeState_NODE_STATE_ALIVE
			})
			c.Spoil(server)
			_, err := p.Transmit(ctx, d.report(mine, 1, 1, 42))
			must(t, err)
			eventually(t, "the report is in the feed and the cache shows it", func() bool {
				e, v, err := answer(ctx, p)
				return err == nil && e == 1 && v == 42
			})
			eventually(t, "the node's state is told", func() bool {
				s := state(0)
				reason := s.GetReason()
				if name == "lags" {
					reason = strings.Map(func(r rune) rune {
						if r >= '0' && r <= '9' {
							return '#'
						}
						return r
					}, reason)
					for strings.Contains(reason, "##") {
						reason = strings.ReplaceAll(reason, "##", "#")
					}
				}
				if strings.Contains(reason, "127.0.0.1") {
					t.Fatalf("the reason %q holds an address", reason)
				}
				return s.GetState() == c.State && (c.Reason == "" || reason == c.Reason)
			})
			for _, method := range []string{"getGenesisHash", "getSlot", "getMultipleAccounts"} {
				server.Answer(method, nil)
			}
			server.SetFault(relayertest.None)
			eventually(t, "the node serves again", func() bool {
				s := state(0)
				return s.GetState() == relayerv1.NodeState_NODE_STATE_ALIVE && s.GetReason() == ""
			})
			_, err = p.Transmit(ctx, d.report(mine, 2, 1, 43))
			must(t, err)
			eventually(t, "all is settled", func() bool {
				e, v, _ := d.latest(mine)
				return e == 2 && v == 43 && len(x.Keys()) == 0
			})
			if diff := x.endings(); diff["transmitted"] != 2 || len(diff) != 1 {
				t.Errorf("endings %v, want two transmitted", diff)
			}
		})
	}
}

// TestLagOf100Slots has a real node fall back by 100 slots, which is a minute of blockhashes and statuses.
func TestLagOf100Slots(t *testing.T) {
	t.Parallel()
	d := newDevchain(t, "--nodes", "2")
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	ctx := t.Context()
	d.admin("loop_warp", 200)
	chain, _ := x.chain(settings("", d.Nodes...))
	p, _ := x.provider(d, chain, "p", 0, key.PublicKey())
	eventually(t, "the contract is read", func() bool { _, err := p.LatestConfigDetails(ctx, nil); return err == nil })
	d.admin("loop_fault", 0, map[string]any{"kind": "lag", "slots": 100})
	eventually(t, "the lag is told", func() bool {
		r, err := chain.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
		must(t, err)
		return strings.Contains(r.GetNodes()[0].GetReason(), "blocks behind the newest node and is asked last")
	})
	for epoch := uint32(1); epoch <= 3; epoch++ {
		_, err := p.Transmit(ctx, d.report(0, epoch, 1, int64(epoch)))
		must(t, err)
		eventually(t, "the cache shows the report", func() bool {
			e, _, err := answer(ctx, p)
			return err == nil && e == epoch
		})
	}
	eventually(t, "all is settled", func() bool { return len(x.Keys()) == 0 })
	if succeeded, failed := d.landed(key.PublicKey()); succeeded != 3 || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, for three reports", succeeded, failed)
	}
}

// TestSendOnly gives transactions to a node that takes them and has no other method, before those that are asked.
func TestSendOnly(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	sender := relayertest.NewServer(t, "")
	sender.Answer("sendTransaction", func(json.RawMessage) (any, error) { return "1", nil })
	const nodes = "[[Nodes]]\nName = 'sender'\nURL = '%s'\nSendOnly = true\n[[Nodes]]\nName = 'n'\nURL = '%s'\n"
	chain, _ := x.chain(quick + fmt.Sprintf(nodes, sender.HTTPURL, d.Nodes[0].RPC))
	p, _ := x.provider(d, chain, "p", 0, key.PublicKey())
	eventually(t, "both nodes serve", func() bool {
		r, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
		must(t, err)
		return !slices.ContainsFunc(r.GetNodes(), func(n *relayerv1.NodeStatus) bool {
			return n.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE || n.GetReason() != ""
		})
	})
	_, err := p.Transmit(t.Context(), d.report(0, 1, 1, 42))
	must(t, err)
	eventually(t, "all is settled", func() bool { e, v, _ := d.latest(0); return e == 1 && v == 42 && len(x.Keys()) == 0 })
	if sender.Requests("sendTransaction") == 0 {
		t.Error("the node was given no transaction")
	}
	for _, method := range []string{
		"getSlot", "getBlockHeight", "getLatestBlockhash", "getMultipleAccounts", "getBalance", "getSignatureStatuses",
	} {
		if n := sender.Requests(method); n > 0 {
			t.Errorf("the node was asked %s %d times", method, n)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	var config strings.Builder
	config.WriteString(quick)
	for name, order := range []string{"", "Order = 2", "Order = 0", "Order = 100", "Order = 2"} {
		fmt.Fprintf(&config, "[[Nodes]]\nName = '%d'\nURL = 'http://127.0.0.1:1'\n%s\n", name, order)
	}
	chain, _ := newFixture(t).chain(config.String())
	r, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
	must(t, err)
	var names []string
	for _, node := range r.GetNodes() {
		names = append(names, node.GetName())
	}
	if want := []string{"2", "1", "4", "0", "3"}; !slices.Equal(names, want) {
		t.Errorf("the nodes are asked in the order %v, want %v", names, want)
	}
}

// TestLagByTime checks how far a node may be behind: 12 s, however long slots take, or what the configuration says.
func TestLagByTime(t *testing.T) {
	t.Parallel()
	for config, most := range map[string]uint64{
		"":                                  60,
		"BlockTime = '400ms'\n":             30,
		"BlockTime = '1m'\n":                1,
		"[MultiNode]\nSyncThreshold = 10\n": 10,
	} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			const newest = 1000
			var nodes []devnode
			for _, slot := range []uint64{newest, newest - most, newest - most - 1} {
				server := relayertest.NewServer(t, "")
				server.Answer("getGenesisHash", func(json.RawMessage) (any, error) { return "a", nil })
				server.Answer("getSlot", func(json.RawMessage) (any, error) { return slot, nil })
				nodes = append(nodes, devnode{RPC: server.HTTPURL})
			}
			chain, _ := newFixture(t).chain(settings(config, nodes...))
			reasons := func() (all []string) {
				r, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
				must(t, err)
				for _, node := range r.GetNodes() {
					all = append(all, node.GetReason())
				}
				return all
			}
			behind := fmt.Sprintf("is %d blocks behind the newest node and is asked last", most+1)
			eventually(t, "the third node alone is behind", func() bool {
				return slices.Equal(reasons(), []string{"", "", behind})
			})
		})
	}
}

// TestOutage takes the only node away for ten seconds: what was accepted meanwhile is in the feed within three of its
// return.
func TestOutage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	ctx := t.Context()
	server := relayertest.NewServer(t, d.Nodes[0].RPC)
	chain, _ := x.chain(settings("", devnode{RPC: server.HTTPURL, WS: server.WSURL}))
	p, _ := x.provider(d, chain, "p", 0, key.PublicKey())
	eventually(t, "the contract is read", func() bool { _, err := p.LatestConfigDetails(ctx, nil); return err == nil })
	transmit := func(epoch uint32) {
		t.Helper()
		_, err := p.Transmit(ctx, d.report(0, epoch, 1, int64(epoch)))
		must(t, err)
	}
	resumes := func(epoch uint32, limit time.Duration) {
		t.Helper()
		relayertest.Within(t, limit, "the report is in the feed, and the cache shows it", func() bool {
			if e, _, _ := d.latest(0); e != epoch {
				return false
			}
			e, _, err := answer(ctx, p)
			return err == nil && e == epoch
		})
	}
	began := time.Now()
	transmit(1)
	resumes(1, time.Minute)
	usual := 4 * time.Since(began) // what the machine takes without an outage may be missed several times over
	server.SetFault(relayertest.Down)
	transmit(2)
	time.Sleep(10 * time.Second) // the outage itself
	server.SetFault(relayertest.None)
	resumes(2, 3*time.Second+usual)
	transmit(3)
	resumes(3, 3*time.Second+usual)
}

func TestNodeThatLiesIsNotBelieved(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	x := newFixture(t)
	ctx := t.Context()
	server := relayertest.NewServer(t, d.Nodes[0].RPC)
	chain, _ := x.chain(settings("", devnode{RPC: server.HTTPURL}))
	p, _ := x.provider(d, chain, "p", 0, d.Feeds[0].State)
	details := &relayerv1.LatestConfigDetailsResponse{}
	eventually(t, "the contract is read", func() (ok bool) {
		var err error
		details, err = p.LatestConfigDetails(ctx, nil)
		return err == nil
	})
	client := d.client()
	server.Answer("getMultipleAccounts", func(json.RawMessage) (any, error) {
		info, err := client.GetAccountInfoWithOpts(ctx, d.Feeds[0].State,
			&rpc.GetAccountInfoOpts{Encoding: sol.EncodingBase64, Commitment: rpc.CommitmentConfirmed})
		if err != nil {
			return nil, err
		}
		data := info.Value.Data.GetBinary()
		data[400]++ // of the off-chain configuration
		return map[string]any{"context": map[string]any{"slot": info.Context.Slot},
			"value": []any{map[string]any{"data": []any{data, "base64"}}}}, nil
	})
	request := &relayerv1.LatestConfigRequest{ChangedInBlock: details.GetChangedInBlock()}
	if _, err := p.LatestConfig(ctx, request); status.Code(err) != codes.Unavailable ||
		!strings.Contains(err.Error(), "whose digest is not that of its content") {
		t.Errorf("a configuration that was tampered with: %v", err)
	}
	server.Answer("getMultipleAccounts", nil)
	_, err := p.LatestConfig(ctx, request)
	must(t, err)
}

// TestNonsense checks that answers of the wrong shape are faults of the node, and that none ends the process.
func TestNonsense(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	for _, nonsense := range []string{`null`, `[]`, `{}`, `"x"`, `-1`, `{"value":null}`, `{"context":{},"value":[null]}`,
		`{"value":[{"data":[]}]}`, `{"value":[{"data":["!","base64"]}]}`, `[[[[[[]]]]]]`} {
		x := newFixture(t, key)
		server := relayertest.NewServer(t, d.Nodes[0].RPC)
		for _, method := range []string{"getMultipleAccounts", "getLatestBlockhash", "getSignatureStatuses", "getBalance",
			"getBlockHeight", "getBlock", "simulateTransaction"} {
			server.Answer(method, func(json.RawMessage) (any, error) { return json.RawMessage(nonsense), nil })
		}
		chain, stop := x.chain(settings("FeeEstimatorMode = 'blockhistory'\nBlockHistoryPollPeriod = '100ms'\n",
			devnode{RPC: server.HTTPURL}))
		p, release := x.provider(d, chain, "p", 0, key.PublicKey())
		_, err := p.Transmit(t.Context(), d.report(0, 1, 1, 42))
		must(t, err)
		eventually(t, "the node was asked for accounts", func() bool { return server.Requests("getMultipleAccounts") > 0 })
		if _, err := chain.LatestHead(t.Context(), nil); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: LatestHead: %v", nonsense, err)
		}
		bounded, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // it would wait for sense
		if _, err := p.LatestConfigDetails(bounded, nil); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: LatestConfigDetails: %v", nonsense, err)
		}
		cancel()
		release()
		stop()
	}
}

func TestNoContract(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	x := newFixture(t)
	chain, _ := x.chain(settings("", d.Nodes...))
	create := func(name string, state, feed sol.PublicKey) relayerv1loop.Provider {
		p, _, err := chain.CreateProvider(t.Context(),
			&relayerv1.CreateProviderRequest{ProviderType: "config", Name: name, Config: &relayerv1.ProviderConfig{
				ContractId: state.String(),
				RelayConfigJson: []byte(strings.Replace(string(d.relayConfig(0)), d.Feeds[0].Transmissions.String(), feed.String(),
					1)),
			}})
		must(t, err)
		t.Cleanup(func() { must(t, p.(interface{ Close() error }).Close()) })
		return p
	}
	nowhere := sol.PublicKey{7}
	for want, p := range map[string]relayerv1loop.Provider{
		"there is no State account at this address": create("none", nowhere, d.Feeds[0].Transmissions),
		"check the job's contractID": create("a feed", d.Feeds[0].Transmissions,
			d.Feeds[0].Transmissions),
		"the job's transmissionsID is " + nowhere.String(): create("another feed", d.Feeds[0].State, nowhere),
	} {
		eventually(t, want, func() bool {
			_, err := p.LatestConfigDetails(t.Context(), nil)
			return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), want)
		})
	}
	r, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
	must(t, err)
	if r.GetNodes()[0].GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
		t.Errorf("a wrong address is held against the node: %v", r.GetNodes()[0])
	}
}
