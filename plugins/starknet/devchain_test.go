package starknet_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// binary is the Starknet of the devnet: a model whose hashes, signatures and rules were written apart from this
// relayer.
const binary = "../../bin/starknet-devchain"

// devchain is such a network with its feeds.
type devchain struct {
	t   *testing.T
	now string // the tag of the block that is being made

	Nodes    []string   `json:"nodes"`
	Admin    string     `json:"admin_url"`
	ChainID  string     `json:"chain_id"`
	FeeToken stark.Felt `json:"fee_token"`
	Feeds    []struct {
		Address stark.Felt `json:"address"`
		Digest  string     `json:"config_digest"`
		Block   uint64     `json:"config_block"`
	} `json:"feeds"`
	Oracles []struct {
		Signer      devkey     `json:"signer_private_key"`
		Account     stark.Felt `json:"transmitter"`
		Transmitter devkey     `json:"transmitter_private_key"`
	} `json:"oracles"`
}

// devkey is a private key in hexadecimal.
type devkey struct{ *stark.Key }

func (k *devkey) UnmarshalText(text []byte) error {
	secret, err := hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	if err != nil {
		return err
	}
	k.Key, err = stark.NewKey(secret)
	return err
}

// newDevchain starts one whose nodes serve versions of the JSON-RPC, which they take in turn; empty: the newest.
func newDevchain(t *testing.T, rpc string, args ...string) *devchain {
	t.Helper()
	d := &devchain{t: t, now: "pre_confirmed"}
	if strings.HasPrefix(rpc, "0.8") {
		d.now = "pending"
	}
	relayertest.StartDevchain(t, d, binary,
		append([]string{"--block-time", "200ms", "--rpc", cmp.Or(rpc, "0.10")}, args...)...)
	return d
}

// admin calls a method of the node that never fails.
func (d *devchain) admin(into any, method string, params ...any) {
	d.t.Helper()
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	must(d.t, err)
	response, err := http.Post(d.Admin, "application/json", bytes.NewReader(body))
	must(d.t, err)
	defer func() { must(d.t, response.Body.Close()) }()
	var reply struct {
		Result json.RawMessage
		Error  any
	}
	must(d.t, json.NewDecoder(response.Body).Decode(&reply))
	if reply.Error != nil {
		d.t.Fatalf("%s: %v", method, reply.Error)
	}
	if into != nil {
		must(d.t, json.Unmarshal(reply.Result, into))
	}
}

func (d *devchain) settings(extra string, nodes ...string) string {
	text := strings.ReplaceAll(settings(extra, nodes...), fakeChainID, d.ChainID)
	return strings.Replace(text, "0x70c3", d.FeeToken.String(), 1)
}

// landed counts the reports that a feed has taken, by their epoch and round.
func (d *devchain) landed(feed stark.Felt) map[uint64]int {
	d.t.Helper()
	landed, token := map[uint64]int{}, ""
	for {
		filter := map[string]any{
			"from_block": map[string]int{"block_number": 0}, "to_block": d.now, "address": feed,
			"keys": [][]stark.Felt{{aggregator.Selector("NewTransmission")}}, "chunk_size": 100,
		}
		if token != "" {
			filter["continuation_token"] = token
		}
		var page struct {
			Events []struct{ Data []stark.Felt }
			Token  string `json:"continuation_token"`
		}
		d.admin(&page, "starknet_getEvents", filter)
		for _, e := range page.Events {
			at, _ := e.Data[len(e.Data)-2].Uint64() // epoch_and_round stands before the reimbursement
			landed[at]++
		}
		if token = page.Token; token == "" {
			return landed
		}
	}
}

// TestDevchainFaults runs a feed through what goes wrong with nodes and transactions on a network that was not written
// with this relayer: it resumes each time, and each report lands once.
func TestDevchainFaults(t *testing.T) {
	t.Parallel()
	type scene struct {
		*devchain
		t    *testing.T
		x    *fixture
		p    relayerv1loop.Provider
		feed stark.Felt
		last uint32 // epoch
	}
	transmit := func(s *scene) {
		s.t.Helper()
		s.last++
		digest, err := hex.DecodeString(strings.TrimPrefix(s.Feeds[0].Digest, "0x"))
		must(s.t, err)
		signers := []*stark.Key{s.Oracles[0].Signer.Key, s.Oracles[1].Signer.Key}
		_, err = s.p.Transmit(s.t.Context(), report(s.t, signers, [32]byte(digest), s.last, 1, 1000+int64(s.last)))
		must(s.t, err)
	}
	lands := func(s *scene) {
		s.t.Helper()
		eventually(s.t, fmt.Sprintf("the report of epoch %d is in the contract and in the cache", s.last), func() bool {
			latest, err := s.p.LatestTransmissionDetails(s.t.Context(), &medianv1.LatestTransmissionDetailsRequest{})
			return err == nil && latest.GetTimestamp().GetEpoch() == s.last &&
				wire.Int(latest.GetLatestAnswer()).Int64() == 1000+int64(s.last) &&
				latest.GetTransmitter() == s.Oracles[0].Account.String()
		})
	}
	fault := func(s *scene, kind string, more map[string]any) {
		s.t.Helper()
		if kind == "" {
			s.admin(nil, "loop_fault", 0)
			return
		}
		settings := map[string]any{"kind": kind}
		for key, value := range more {
			settings[key] = value
		}
		s.admin(nil, "loop_fault", 0, settings)
	}
	one := map[string]any{"transactions": 1}
	both := map[string]bool{ // nodes of two versions
		"the node of another version takes over": true,
	}
	newest := map[string]bool{ // what is of no account to versions
		"the only node is down for 10 s": true, "the node hangs": true, "the node is a page": true, "the node limits": true,
	}
	cases := map[string]struct {
		extra string
		run   func(s *scene)
		lost  int // reports that do not land
	}{
		"the node of another version takes over": {"", func(s *scene) {
			for range 2 {
				fault(s, "down", nil)
				transmit(s)
				lands(s)
				fault(s, "", nil)
				transmit(s)
				lands(s)
			}
		}, 0},
		"the only node is down for 10 s": {"", func(s *scene) {
			fault(s, "down", nil)
			for range 3 { // the newest lands when it is back; those before it are stale then
				transmit(s)
			}
			time.Sleep(10 * time.Second)
			fault(s, "", nil)
			lands(s)
		}, 2},
		"the node hangs": {"", func(s *scene) {
			fault(s, "hang", nil)
			transmit(s)
			time.Sleep(2 * time.Second)
			fault(s, "", nil)
			lands(s)
		}, 0},
		"the node is a page": {"", func(s *scene) {
			fault(s, "html", nil)
			transmit(s)
			time.Sleep(time.Second)
			fault(s, "", nil)
			lands(s)
		}, 0},
		"the node limits": {"", func(s *scene) {
			fault(s, "status", map[string]any{"status": 429})
			transmit(s)
			time.Sleep(time.Second)
			fault(s, "", nil)
			lands(s)
		}, 0},
		"somebody else pushes the nonce": {"", func(s *scene) {
			s.admin(nil, "loop_hold", true)
			transmit(s)
			eventually(s.t, "it is on its way", func() bool { return len(s.x.Keys()) == 2 })
			time.Sleep(300 * time.Millisecond)
			s.admin(nil, "loop_pushNonce", s.Oracles[0].Account, 3)
			s.admin(nil, "loop_hold", false)
			lands(s)
		}, 0},
		"a transmission reverts": {"", func(s *scene) {
			s.admin(nil, "loop_revertTransmissions", 1, "no luck today")
			transmit(s)
			eventually(s.t, "it is settled as reverted", func() bool { return s.x.ended("reverted") == 1 })
			if s.x.Log.Count(`reason="no luck today"`) != 1 {
				s.t.Error("the log does not tell why, or not once")
			}
		}, 1},
		"a transaction is refused for its resources": {"TxTimeout = '300ms'\n", func(s *scene) {
			fault(s, "refuse", map[string]any{"transactions": 1, "code": 53})
			transmit(s)
			lands(s)
		}, 0},
		"a transaction is rejected": {"TxTimeout = '300ms'\n", func(s *scene) {
			fault(s, "reject", one)
			transmit(s)
			lands(s)
		}, 0},
		"a transaction is dropped": {"TxTimeout = '300ms'\n", func(s *scene) {
			fault(s, "drop", one)
			transmit(s)
			lands(s)
		}, 0},
		"a transaction is lost, and called received": {"TxTimeout = '300ms'\n", func(s *scene) {
			fault(s, "lose", one)
			transmit(s)
			lands(s)
		}, 0},
		"a transaction is taken without an answer": {"", func(s *scene) { fault(s, "mute", one); transmit(s); lands(s) }, 0},
		"prices rise tenfold while it waits": {"TxTimeout = '300ms'\n", func(s *scene) {
			s.admin(nil, "loop_hold", true)
			transmit(s)
			eventually(s.t, "it is on its way", func() bool { return len(s.x.Keys()) == 2 })
			s.admin(nil, "loop_setGasPrices", "0xffffffffffff", "0xffffffffff", "0xffffffffff")
			s.admin(nil, "loop_hold", false)
			lands(s)
		}, 0},
	}
	try := func(name, rpc string, nodes int) {
		c := cases[name]
		t.Run(name+" on "+rpc, func(t *testing.T) {
			t.Parallel()
			d := newDevchain(t, rpc, "--nodes", fmt.Sprint(nodes))
			me := d.Oracles[0]
			s := &scene{devchain: d, t: t, x: newFixture(t, me.Transmitter.Key), feed: d.Feeds[0].Address}
			made, _ := s.x.Chain(d.ChainID, d.settings(c.extra, d.Nodes...))
			p, _ := s.x.Provider(made, job("p", s.feed, me.Account, me.Transmitter.Key))
			s.p = p
			eventually(t, "the configuration is read", func() bool {
				details, err := p.LatestConfigDetails(t.Context(), nil)
				if err != nil || details.GetChangedInBlock() != d.Feeds[0].Block {
					return false
				}
				config, err := p.LatestConfig(t.Context(), &relayerv1.LatestConfigRequest{ChangedInBlock: d.Feeds[0].Block})
				return err == nil && len(config.GetConfig().GetSigners()) == 4 &&
					config.GetConfig().GetTransmitters()[0] == me.Account.String()
			})
			transmit(s)
			lands(s)
			c.run(s)
			transmit(s)
			lands(s)
			eventually(t, "the store is empty", func() bool { return len(s.x.Keys()) == 0 })
			landed := d.landed(s.feed)
			if want := int(s.last) - c.lost; len(landed) != want {
				t.Errorf("%d reports landed, want %d: %v", len(landed), want, landed)
			}
			for at, times := range landed {
				if times != 1 {
					t.Errorf("epoch %d landed %d times", at>>8, times)
				}
			}
		})
	}
	for name := range cases {
		switch {
		case both[name]:
			try(name, "0.8,0.10", 2)
		case newest[name]:
			try(name, "0.10", 1)
		default:
			for _, rpc := range []string{"0.8", "0.9", "0.10"} {
				try(name, rpc, 1)
			}
		}
	}
}
