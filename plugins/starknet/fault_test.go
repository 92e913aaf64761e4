package starknet_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestTransmitsWhileANodeFails breaks the preferred of two nodes in each way, and transmits.
func TestTransmitsWhileANodeFails(t *testing.T) {
	t.Parallel()
	script := func(method string, answer any) func(*relayertest.Server) {
		return func(s *relayertest.Server) {
			s.Answer(method, func(json.RawMessage) (any, error) {
				if err, ok := answer.(error); ok {
					return nil, err
				}
				return answer, nil
			})
			s.SetFault(relayertest.Down)
			s.SetFault(relayertest.None)
		}
	}
	cases := relayertest.Troubles()
	const unreachable = relayerv1.NodeState_NODE_STATE_UNREACHABLE
	const speaks = `of the JSON-RPC, and 0.8, 0.9 and 0.10 are spoken; ` +
		`give its address for one of these, which often ends in /rpc/v0_10`
	maps.Copy(cases, map[string]relayertest.Trouble{
		"other chain": {Spoil: script("starknet_chainId", "0x1"), State: relayerv1.NodeState_NODE_STATE_WRONG_CHAIN,
			Reason: "answers for chain 0x1"},
		"older version": {Spoil: func(s *relayertest.Server) { reconnecting(s, "0.7.1") }, State: unreachable,
			Reason: `serves version "0.7.1" ` + speaks},
		"newer version": {Spoil: func(s *relayertest.Server) { reconnecting(s, "0.11.0-rc.1") }, State: unreachable,
			Reason: `serves version "0.11.0-rc.1" ` + speaks},
		"no block": {Spoil: script("starknet_getBlockWithTxHashes", map[string]any{}), State: unreachable,
			Reason: "answers with a block without number, hash or time"},
		"limits in JSON": {Spoil: script("starknet_getBlockWithTxHashes",
			fmt.Errorf("too many requests, see https://node.example/key")), State: unreachable,
			Reason: "answers with the error: too many requests, see [address]"},
	})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOracles(t)
			me, key := o.accounts[0], o.transmitters[0]
			d := newFakeChain(t, o, newest)
			f := newFeed(d, o)
			digest := f.configure("a")
			x := newFixture(t, key)
			server := relayertest.NewServer(t, d.url)
			config := settings("", server.HTTPURL, d.url)
			if name == "hangs" {
				config = strings.Replace(config, patient, impatient, 1)
			}
			chain, _ := x.chain(config)
			p, _ := x.provider(chain, "p", f.address, me, key)
			fix := func() {
				for _, method := range []string{"starknet_chainId", "starknet_getBlockWithTxHashes", "starknet_specVersion"} {
					server.Answer(method, nil)
				}
				server.SetFault(relayertest.None)
			}
			x.TakesOver(chain, p, relayertest.TakeOver{
				Spoil: func() { c.Spoil(server) }, Fix: fix, State: c.State, Reason: c.Reason, Until: d.mineUntil,
				Report: func(epoch uint32, round uint8, answer int64) *relayerv1.TransmitRequest {
					return f.report(digest, epoch, round, answer)
				},
				Answer: func() int64 { _, _, answer := f.latest(); return int64(answer) },
			})
			if n := f.accepted(); n != 2 {
				t.Errorf("%d reports landed, want 2", n)
			}
		})
	}
}

// reconnecting makes a node serve another version from its next connection on.
func reconnecting(s *relayertest.Server, version string) {
	s.Answer("starknet_specVersion", func(json.RawMessage) (any, error) { return version, nil })
	s.Answer("starknet_getBlockWithTxHashes", func(json.RawMessage) (any, error) {
		return nil, fmt.Errorf("service unavailable")
	})
}

// TestFaultsOfTransactions checks that a feed goes on after each, and each report lands once.
func TestFaultsOfTransactions(t *testing.T) { eachVersion(t, testFaultsOfTransactions) }

func testFaultsOfTransactions(t *testing.T, version string) {
	type scene struct {
		*fakeChain
		t      *testing.T
		x      *fixture
		f      *feed
		me     stark.Felt
		digest [32]byte
		p      relayerv1loop.Provider
		chain  relayerv1loop.Chain
		// release and stop end the provider and the chain.
		release, stop func()
	}
	transmit := func(s *scene, epoch uint32, answer int64) {
		s.t.Helper()
		_, err := s.p.Transmit(s.t.Context(), s.f.report(s.digest, epoch, 1, answer))
		must(s.t, err)
	}
	lands := func(s *scene, answer uint64) {
		s.t.Helper()
		s.mineUntil(fmt.Sprintf("the report %d is in the contract", answer), func() bool {
			_, _, latest := s.f.latest()
			return latest == answer
		})
	}
	held := func(s *scene, n int) {
		s.t.Helper()
		eventually(s.t, "the node has the transaction", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.order) >= n
		})
	}
	added := func(s *scene, n int) {
		s.t.Helper()
		eventually(s.t, "transactions are sent", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.calls["starknet_addInvokeTransaction"] >= n
		})
	}
	cases := map[string]struct {
		extra string
		run   func(s *scene)
		lands int // reports in the contract, the last one included
	}{
		"the nonce is taken while a transaction waits": {"", func(s *scene) {
			s.set(func() { s.hold = true })
			transmit(s, 1, 1)
			held(s, 1)
			s.push(s.me)
			s.push(s.me)
			s.set(func() { s.hold = false })
			lands(s, 1)
		}, 2},
		"the nonce was taken before": {"", func(s *scene) {
			s.push(s.me)
			transmit(s, 1, 1)
			s.mine()
			s.push(s.me)
			lands(s, 1)
		}, 2},
		"a transmission reverts": {"", func(s *scene) {
			s.set(func() { s.revert = "median is out of min-max range" })
			transmit(s, 1, 1)
			eventually(s.t, "it is looked at several times", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.calls["starknet_getTransactionStatus"] > 3
			})
			s.mineUntil("it is settled as reverted", func() bool { return s.x.ended("reverted") == 1 })
			if n := s.x.Log.Count("a transaction reverted"); n != 1 {
				s.t.Errorf("the log tells of it %d times", n)
			}
			if s.x.Log.Count(`reason="median is out of min-max range"`) != 1 {
				s.t.Error("the log does not tell why")
			}
			want := "account " + s.me.String() + ": its latest transaction, " + s.order[0].hash.String() +
				", reverted: median is out of min-max range"
			if state, err := s.chain.ChainStatus(s.t.Context(), nil); err != nil || len(state.GetTroubles()) != 1 ||
				state.GetTroubles()[0] != want {
				s.t.Errorf("the chain's status says %v, %v, want %s", state.GetTroubles(), err, want)
			}
			// A repeated call for the same report has no effect.
			transmit(s, 1, 1)
			s.mine()
		}, 1},
		"a transmission would revert": {"", func(s *scene) {
			s.set(func() { s.f.maxObservation = new(big.Int) })
			transmit(s, 1, 1)
			eventually(s.t, "it rests", func() bool { return s.x.Log.Count("a report was refused") == 1 })
			if s.x.Log.Count(
				"the transaction would revert: Transaction execution error: median is out of min-max range") != 1 {
				s.t.Error("the log does not tell why")
			}
			// Another feed of the account goes on meanwhile, and no call is spent on the report that rests.
			other := newFeed(s.fakeChain, s.f.oracles)
			digest := other.configure("b")
			p, _ := s.x.provider(s.chain, "other", other.address, s.me, s.f.oracles.transmitters[0])
			const reports = 3
			for n := range uint32(reports) {
				_, err := p.Transmit(s.t.Context(), other.report(digest, 1+n, 1, int64(1+n)))
				must(s.t, err)
				s.mineUntil("another feed's report is in its contract", func() bool {
					_, _, latest := other.latest()
					return latest == uint64(1+n)
				})
			}
			s.set(func() {
				if n := s.calls["starknet_estimateFee"]; n != 1+reports {
					s.t.Errorf("%d fees are estimated for %d reports", n, 1+reports)
				}
			})
			if s.x.Log.Count("a report was refused") != 1 || s.x.Log.Count("the transmission queue failed") > 0 {
				s.t.Error("a report that rests is tried again, or is taken for a failure of the queue")
			}
			// A newer report of the feed does not wait for the rest to end.
			s.set(func() { s.f.maxObservation = big.NewInt(1_000_000) })
			transmit(s, 2, 2)
			lands(s, 2)
		}, 2},
		"a transaction is rejected": {"TxTimeout = '200ms'\n", func(s *scene) {
			s.set(func() { s.hold = true })
			transmit(s, 1, 1)
			held(s, 1)
			s.reject()
			s.set(func() { s.hold = false })
			lands(s, 1)
			told := 0
			if s.old() { // later versions do not tell
				told = 1
			}
			if n := s.x.Log.Count("a transaction was rejected and is signed again"); n != told {
				s.t.Errorf("the log tells of it %d times, want %d", n, told)
			}
		}, 2},
		"what is in the block that is being made vanishes": {"TxTimeout = '200ms'\n", func(s *scene) {
			transmit(s, 1, 1)
			eventually(s.t, "the report is in that block", func() bool { epoch, _, _ := s.f.latest(); return epoch == 1 })
			s.vanish()
			lands(s, 1)
		}, 2},
		"the sequencer drops what the node goes on to call received": {"TxTimeout = '200ms'\n", func(s *scene) {
			s.set(func() { s.hold = true })
			transmit(s, 1, 1)
			held(s, 1)
			s.lose()
			s.set(func() { s.hold = false })
			lands(s, 1)
		}, 2},
		"the price rises": {"TxTimeout = '200ms'\n", func(s *scene) {
			s.set(func() { s.hold = true })
			transmit(s, 1, 1)
			held(s, 1)
			s.set(func() { s.hold, s.price = false, 300 })
			lands(s, 1)
		}, 2},
		"the price rises before it is sent": {"", func(s *scene) {
			s.set(func() { s.least = 300 })
			transmit(s, 1, 1)
			added(s, 1)
			s.set(func() { s.price = 300 })
			lands(s, 1)
			if first := s.order[0]; first.price.Cmp(big.NewInt(450)) != 0 {
				s.t.Errorf("it lands at the price %s, want that of an estimate of now, 450", first.price)
			}
			nodes, err := s.chain.ListNodeStatuses(s.t.Context(), &relayerv1.ListNodeStatusesRequest{})
			if err != nil || nodes.GetNodes()[0].GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
				s.t.Errorf("the node is blamed: %v, %v", nodes, err)
			}
		}, 2},
		"a report grows stale in the mempool": {"TxTimeout = '200ms'\n", func(s *scene) {
			s.set(func() { s.hold = true })
			transmit(s, 1, 1)
			held(s, 1)
			s.set(func() { s.f.overtake() })
			// The report itself may be sent again until the relayer has seen that.
			first := -1
			eventually(s.t, "a filler takes its place", func() bool {
				s.set(func() { first = slices.IndexFunc(s.order, func(tx *fakeTx) bool { return len(tx.calldata) == 1 }) })
				return first >= 0
			})
			s.set(func() { s.hold = false })
			s.mineUntil("the store is empty", func() bool { return len(s.x.Keys()) == 0 })
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, tx := range s.order[first:] {
				if len(tx.calldata) != 1 {
					s.t.Errorf("a stale report is sent again")
				}
			}
		}, 1},
		"a new generation takes over what is in the mempool": {"", func(s *scene) {
			s.set(func() { s.hold = true })
			transmit(s, 1, 1)
			held(s, 1)
			s.release()
			s.stop()
			s.chain, _ = s.x.chain(settings("", s.url))
			s.p, _ = s.x.provider(s.chain, "again", s.f.address, s.me, s.f.oracles.transmitters[0])
			added(s, 2)
			s.set(func() { s.hold = false })
			lands(s, 1)
			if s.x.Log.Count("the same hash already exists") > 0 {
				s.t.Error("that the node has the transaction already is taken for a failure")
			}
		}, 2},
		"a new generation without jobs fills what is stale": {"", func(s *scene) {
			s.set(func() { s.hold = true })
			transmit(s, 1, 1)
			held(s, 1)
			s.release()
			s.stop()
			s.reject()
			s.set(func() { s.f.overtake(); s.hold = false })
			s.chain, _ = s.x.chain(settings("", s.url))
			s.mineUntil("the store is empty", func() bool { return len(s.x.Keys()) == 0 })
			s.p, _ = s.x.provider(s.chain, "again", s.f.address, s.me, s.f.oracles.transmitters[0])
		}, 1},
		"the account has no funds": {"TxTimeout = '100ms'\n", func(s *scene) {
			s.set(func() { s.balance = new(big.Int) })
			transmit(s, 1, 1)
			added(s, 4) // within which the time is over for some attempts
			want := "account " + s.me.String() +
				": its transactions are refused: Account balance is smaller than the transaction's maximal fee; send it STRK"
			if state, err := s.chain.ChainStatus(s.t.Context(), nil); err != nil || len(state.GetTroubles()) != 1 ||
				state.GetTroubles()[0] != want {
				s.t.Errorf("the chain's status says %v, %v, want %s", state.GetTroubles(), err, want)
			}
			if n := s.x.Log.Count("the account cannot pay for its transactions"); n != 1 {
				s.t.Errorf("the log tells of it %d times", n)
			}
			s.set(func() { s.balance = big.NewInt(1e18) })
			lands(s, 1)
			if first := s.order[0]; first.price.Cmp(big.NewInt(150)) != 0 {
				s.t.Errorf("it lands at the price %s, want that of the first attempt, 150", first.price)
			}
		}, 2},
		"the node comes to serve another version": {"", func(s *scene) {
			s.set(func() {
				if s.version = newest; version == newest {
					s.version = "0.8.1"
				}
			})
			transmit(s, 1, 1)
			lands(s, 1)
		}, 2},
		"several reports in one block": {"", func(s *scene) {
			for i := range uint32(4) {
				transmit(s, 1+i, int64(1+i))
				eventually(s.t, "it is in the pending block", func() bool { epoch, _, _ := s.f.latest(); return epoch == 1+i })
			}
		}, 5},
		"the node takes no replacement": {"TxTimeout = '200ms'\n", func(s *scene) {
			s.set(func() { s.hold, s.picky = true, true })
			transmit(s, 1, 1)
			added(s, 2)
			s.set(func() { s.hold = false })
			lands(s, 1)
			if s.x.Log.Count("underpriced")+s.x.Log.Count("the transmission queue failed") > 0 {
				s.t.Error("that the node keeps an earlier attempt is taken for a failure")
			}
		}, 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOracles(t)
			d := newFakeChain(t, o, version)
			s := &scene{fakeChain: d, t: t, f: newFeed(d, o), me: o.accounts[0], x: newFixture(t, o.transmitters[0])}
			s.digest = s.f.configure("a")
			s.chain, s.stop = s.x.chain(settings(c.extra, d.url))
			s.p, s.release = s.x.provider(s.chain, "p", s.f.address, s.me, o.transmitters[0])
			eventually(t, "the chain is reached", func() bool {
				_, err := s.p.LatestConfigDetails(t.Context(), nil)
				return err == nil
			})
			c.run(s)
			transmit(s, 9, 1000)
			lands(s, 1000)
			d.mineUntil("the store is empty", func() bool { return len(s.x.Keys()) == 0 })
			if n := s.f.accepted(); n != c.lands {
				t.Errorf("%d reports landed, want %d", n, c.lands)
			}
			if state, err := s.chain.ChainStatus(t.Context(), nil); err != nil || len(state.GetTroubles()) > 0 {
				t.Errorf("after a success the chain's status says %v, %v", state.GetTroubles(), err)
			}
		})
	}
}

func TestNodeThatLiesIsNotBelieved(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	digest := f.configure("true")
	d.mine()
	x := newFixture(t)
	ctx := t.Context()
	server := relayertest.NewServer(t, d.url)
	chain, _ := x.chain(settings("", server.HTTPURL))
	p, _ := x.provider(chain, "p", f.address, o.accounts[0], o.transmitters[0])
	details := &relayerv1.LatestConfigDetailsResponse{}
	eventually(t, "the contract is read", func() (ok bool) {
		var err error
		details, err = p.LatestConfigDetails(ctx, nil)
		return err == nil
	})
	request := &relayerv1.LatestConfigRequest{ChangedInBlock: details.GetChangedInBlock()}
	event := func(data []stark.Felt) func(json.RawMessage) (any, error) {
		return func(json.RawMessage) (any, error) {
			return map[string]any{
				"events": []any{map[string]any{"from_address": f.address, "keys": f.events[0].keys, "data": data}}}, nil
		}
	}
	tampered := append([]stark.Felt(nil), f.events[0].data...)
	tampered[len(tampered)-1] = stark.FromUint64(0x6c696573) // lies
	for want, script := range map[string]func(json.RawMessage) (any, error){
		"answers with a configuration of block 2 whose digest is not that of its content": event(tampered),
		"the event ConfigSet cannot be read: oracles is 4, and there is room for 1":       event(f.events[0].data[:5]),
		"answers with something other than the JSON expected": func(json.RawMessage) (any, error) {
			return map[string]any{"events": "none"}, nil
		},
		"answers without a result": func(json.RawMessage) (any, error) { return nil, nil },
		"answers with more than 100 pages of events": func(json.RawMessage) (any, error) {
			return map[string]any{"continuation_token": "more"}, nil
		},
	} {
		server.Answer("starknet_getEvents", script)
		eventually(t, want, func() bool {
			_, err := p.LatestConfig(ctx, request)
			return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), want)
		})
	}
	server.Answer("starknet_getEvents", nil)
	eventually(t, "the configuration is read", func() bool {
		config, err := p.LatestConfig(ctx, request)
		return err == nil && string(config.GetConfig().GetOffchainConfig()) == "true" &&
			[32]byte(config.GetConfig().GetConfigDigest()) == digest
	})
}

func TestNoAggregator(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	x := newFixture(t, o.transmitters[0])
	server := relayertest.NewServer(t, d.url)
	chain, _ := x.chain(settings("", server.HTTPURL))
	ctx := t.Context()
	reason := func(contract stark.Felt, want string) {
		t.Helper()
		p, stop := x.provider(chain, "p", contract, o.accounts[0], o.transmitters[0])
		defer stop()
		eventually(t, want, func() bool {
			_, err := p.LatestConfigDetails(ctx, nil)
			return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), want)
		})
	}
	reason(stark.FromUint64(0xdead), "there is no contract at this address; check the contract's address and the chain")
	server.Answer("starknet_call", func(json.RawMessage) (any, error) { return []string{"0x1"}, nil })
	reason(f.address,
		"the contract's answer to latest_config_details cannot be read: it ends after 1 elements, before block_number; "+
			"check that it is an OCR2 aggregator")
	server.Answer("starknet_call", nil)

	// An account that is not there.
	digest := f.configure("a")
	missing := o.accounts[0]
	d.set(func() { delete(d.accounts, missing) })
	want := "there is no account at " + missing.String() + ": deploy its contract and fund it"
	p, _ := x.provider(chain, "p", f.address, missing, o.transmitters[0])
	_, err := p.Transmit(ctx, f.report(digest, 1, 1, 1))
	must(t, err)
	eventually(t, "the log says so", func() bool {
		return x.Log.Count(want) > 0
	})
	r, err := chain.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
	must(t, err)
	if r.GetNodes()[0].GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
		t.Errorf("wrong addresses are held against the node: %v", r.GetNodes()[0])
	}
	if state, err := chain.ChainStatus(ctx, nil); err != nil || len(state.GetTroubles()) != 1 ||
		state.GetTroubles()[0] != want {
		t.Errorf("the chain's status says %v, %v, want %s", state.GetTroubles(), err, want)
	}
	d.set(func() { d.accounts[missing] = &fakeAccount{key: o.transmitters[0].Public()}; d.hold = true })
	eventually(t, "the chain's status says no more of it, before anything lands", func() bool {
		state, err := chain.ChainStatus(ctx, nil)
		return err == nil && len(state.GetTroubles()) == 0
	})
	d.set(func() { d.hold = false })
	d.mineUntil("the report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 1 })
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	x := newFixture(t)
	ctx := t.Context()
	chain, _ := x.chain(settings("", "http://127.0.0.1:1"))
	relay := func(json string, change ...func(*relayerv1.CreateProviderRequest)) *relayerv1.CreateProviderRequest {
		r := &relayerv1.CreateProviderRequest{ProviderType: "median", Name: "p", TransmitterId: "0x1",
			Config: &relayerv1.ProviderConfig{ContractId: "0x2", RelayConfigJson: []byte(json)}}
		for _, c := range change {
			c(r)
		}
		return r
	}
	const good = `{"accountAddress":"0x3"}`
	cases := map[string]struct {
		request *relayerv1.CreateProviderRequest
		want    string
	}{
		"contract": {relay(good, func(r *relayerv1.CreateProviderRequest) { r.Config.ContractId = "12" }),
			`contractID: "12" is not a field element, which is 0x and a hexadecimal number below 2^251 + 17*2^192 + 1`},
		"transmitter": {relay(good, func(r *relayerv1.CreateProviderRequest) { r.TransmitterId = "" }),
			"transmitterID: expected a transmitterID to be specified: the account that sends reports"},
		"zero key": {relay(good, func(r *relayerv1.CreateProviderRequest) { r.TransmitterId = "0x0" }),
			"transmitterID: it must be the public key that signs for the account, which is not zero"},
		"zero account": {relay(`{"accountAddress":"0x00"}`),
			"relayConfig.accountAddress: the account that sends reports is not zero"},
		"no account": {relay(`{}`),
			"relayConfig.accountAddress: no account address in relay config: name the account that sends reports"},
		"bad account": {relay(`{"accountAddress":"me"}`),
			`relayConfig.accountAddress: "me" is not a field element, which is 0x and a hexadecimal number below 2^251 + 17*2^192 + 1`},
		"other chain": {relay(`{"chainID":"SN_MAIN","accountAddress":"0x3"}`),
			"relayConfig.chainID: chainID is SN_MAIN, but the job is on chain SN_FAKE"},
		"unknown node": {relay(`{"nodeName":"x","accountAddress":"0x3"}`),
			`relayConfig.nodeName: chain SN_FAKE has no RPC node "x"; remove the key, since every node of the chain serves every job`},
		"no JSON": {relay(`[`), "relayConfig: it is not a JSON object"},
	}
	for name, c := range cases {
		if _, _, err := chain.CreateProvider(ctx, c.request); status.Code(err) != codes.InvalidArgument ||
			status.Convert(err).Message() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for _, good := range []string{good, `{"chainID":"SN_FAKE","nodeName":"n0","accountAddress":"0x0003","more":[1]}`} {
		p, _, err := chain.CreateProvider(ctx, relay(good))
		if err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		must(t, p.(interface{ Close() error }).Close())
	}
	_, _, err := x.Relayer.CreateChain(ctx,
		&relayerv1.CreateChainRequest{ChainId: fakeChainID,
			ConfigToml: []byte("ChainID = 'SN_FAKE'\nNodes = [{Name = 'a', URL = 'geheim'}]")}, x.Loans)
	if status.Code(err) != codes.InvalidArgument || strings.Contains(err.Error(), "geheim") {
		t.Errorf("a bad address: %v", err)
	}
	if _, _, err := x.Relayer.CreateChain(ctx,
		&relayerv1.CreateChainRequest{ChainId: "SN_MAIN", ConfigToml: []byte(settings("", "http://h"))},
		x.Loans); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another chain's section: %v", err)
	}

	o := newOracles(t)
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	p, _ := x.provider(chain, "q", f.address, o.accounts[0], o.transmitters[0])
	for name, change := range map[string]func(*relayerv1.TransmitRequest){
		"no signature":    func(r *relayerv1.TransmitRequest) { r.Signatures = nil },
		"short signature": func(r *relayerv1.TransmitRequest) { r.Signatures[0].Signature = []byte{1} },
		"no report":       func(r *relayerv1.TransmitRequest) { r.Report = []byte("no report") },
		"no context":      func(r *relayerv1.TransmitRequest) { r.ReportContext = nil },
		"large digest":    func(r *relayerv1.TransmitRequest) { r.ReportContext.Timestamp.ConfigDigest[0] = 0xff },
	} {
		request := f.report([32]byte{}, 1, 1, 1)
		change(request)
		if _, err := p.Transmit(ctx, request); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNodeWithOtherHashes checks that a node which hashes transactions in another way, and so would never be found to
// have one, is named in the log.
func TestNodeWithOtherHashes(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, o.transmitters[0])
	server := relayertest.NewServer(t, d.url)
	server.Answer("starknet_addInvokeTransaction", func(json.RawMessage) (any, error) {
		return map[string]any{"transaction_hash": "0x5"}, nil
	})
	chain, _ := x.chain(settings("", server.HTTPURL))
	p, _ := x.provider(chain, "p", f.address, o.accounts[0], o.transmitters[0])
	_, err := p.Transmit(t.Context(), f.report(digest, 1, 1, 1))
	must(t, err)
	eventually(t, "the log says so", func() bool {
		return x.Log.Count("knows a transaction by another hash than was signed") > 0
	})
	server.Answer("starknet_addInvokeTransaction", nil)
	d.mineUntil("the report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 1 })
}
