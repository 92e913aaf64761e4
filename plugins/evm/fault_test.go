package evm_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestTransmitsWhileANodeFails breaks the preferred of two nodes in each way, and transmits.
func TestTransmitsWhileANodeFails(t *testing.T) {
	t.Parallel()
	cases := relayertest.Troubles()
	maps.Copy(cases, map[string]relayertest.Trouble{
		"mute": {Spoil: func(s *relayertest.Server) {
			s.SetFault(relayertest.Mute)
		}, State: relayerv1.NodeState_NODE_STATE_ALIVE, Reason: ""},
		"other chain": {Spoil: func(s *relayertest.Server) {
			s.Answer("eth_chainId", func(json.RawMessage) (any, error) { return "0x5", nil })
			s.SetFault(relayertest.Down)
			s.SetFault(relayertest.None)
		}, State: relayerv1.NodeState_NODE_STATE_WRONG_CHAIN, Reason: "answers for chain 5"},
		"limits in JSON": {Spoil: func(s *relayertest.Server) {
			s.Answer("eth_getBlockByNumber", func(json.RawMessage) (any, error) { return nil, errTooMany{} })
		}, State: relayerv1.NodeState_NODE_STATE_UNREACHABLE, Reason: "answers with the error: too many requests, see " +
			"[address]"},
	})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOracles(t)
			me := address(o.transmitters[0])
			d := newDevchain(t, me)
			f := newFeed(d, o)
			digest := f.configure("a")
			x := newFixture(t, o.transmitters[0])
			server := relayertest.NewServer(t, d.url)
			chain, _ := x.chain(impatient(settings("", [2]string{server.WSURL, server.HTTPURL},
				[2]string{strings.Replace(d.url, "http", "ws", 1), ""})))
			p, _ := x.provider(chain, "p", f.address, me)
			fix := func() {
				server.Answer("eth_chainId", nil)
				server.Answer("eth_getBlockByNumber", nil)
				server.SetFault(relayertest.None)
			}
			x.TakesOver(chain, p, relayertest.TakeOver{
				Spoil: func() { c.Spoil(server) }, Fix: fix, State: c.State, Reason: c.Reason, Until: d.mineUntil,
				Report: func(epoch uint32, round uint8, answer int64) *relayerv1.TransmitRequest {
					return f.report(digest, epoch, round, answer)
				},
				Answer: func() int64 { _, _, answer := f.latest(); return answer },
			})
			if n := d.nonce(me); n != 2 {
				t.Errorf("%d transactions for two reports", n)
			}
		})
	}
}

// errTooMany is how some hosted nodes limit: a JSON-RPC error with status 200.
type errTooMany struct{}

func (errTooMany) Error() string { return "too many requests, see https://node.example/key" }

func TestNodeThatLiesIsNotBelieved(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	d := newDevchain(t)
	f := newFeed(d, o)
	digest := f.configure("true")
	x := newFixture(t)
	ctx := t.Context()
	server := relayertest.NewServer(t, d.url)
	chain, _ := x.chain(settings("", [2]string{"", server.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, f.address)
	details := &relayerv1.LatestConfigDetailsResponse{}
	eventually(t, "the contract is read", func() (ok bool) {
		var err error
		details, err = p.LatestConfigDetails(ctx, nil)
		return err == nil
	})
	block, err := d.client().BlockByNumber(ctx, nil)
	must(t, err)
	receipt, err := d.client().TransactionReceipt(ctx, block.Transactions()[0].Hash())
	must(t, err)
	log := *receipt.Logs[len(receipt.Logs)-1]
	log.Data = []byte(strings.Replace(string(log.Data), "true", "lies", 1))
	server.Answer("eth_getLogs", func(json.RawMessage) (any, error) { return []any{log}, nil })
	request := &relayerv1.LatestConfigRequest{ChangedInBlock: details.GetChangedInBlock()}
	if _, err := p.LatestConfig(ctx, request); status.Code(err) != codes.Unavailable ||
		!strings.Contains(err.Error(), "whose digest is not that of its content") {
		t.Errorf("a configuration that was tampered with: %v", err)
	}
	server.Answer("eth_getLogs", nil)
	config, err := p.LatestConfig(ctx, request)
	must(t, err)
	if got := config.GetConfig(); string(got.GetOffchainConfig()) != "true" ||
		string(got.GetConfigDigest()) != string(digest[:]) {
		t.Errorf("LatestConfig = %v", got)
	}
}

func TestNoContract(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	x := newFixture(t)
	chain, _ := x.chain(settings("", [2]string{"", d.url}))
	nowhere := address(newKey(t))
	p, _ := x.provider(chain, "p", nowhere, nowhere)
	eventually(t, "the reason is told", func() bool {
		_, err := p.LatestConfigDetails(t.Context(), nil)
		return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "there is no contract at this address")
	})
	r, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
	must(t, err)
	if r.GetNodes()[0].GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
		t.Errorf("a wrong address is held against the node: %v", r.GetNodes()[0])
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	x := newFixture(t)
	ctx := t.Context()
	chain, _ := x.chain(settings("", [2]string{"", "http://127.0.0.1:1"}))
	good := address(newKey(t)).Hex()
	relay := func(json string) *relayerv1.CreateProviderRequest {
		return &relayerv1.CreateProviderRequest{ProviderType: "median", Name: "p", TransmitterId: good,
			Config: &relayerv1.ProviderConfig{ContractId: good, RelayConfigJson: []byte(json)}}
	}
	cases := map[string]struct {
		request *relayerv1.CreateProviderRequest
		want    string
	}{
		"contract": {&relayerv1.CreateProviderRequest{ProviderType: "median", Name: "p", TransmitterId: good,
			Config: &relayerv1.ProviderConfig{
				ContractId: "0x12"}}, `contractID: "0x12" is not an address, which is 0x and 40 hexadecimal digits`},
		"transmitter": {&relayerv1.CreateProviderRequest{ProviderType: "median", Name: "p",
			Config: &relayerv1.ProviderConfig{ContractId: good}}, "transmitterID: expected a transmitterID to be specified: " +
			"the account that sends reports"},
		"gas": {&relayerv1.CreateProviderRequest{ProviderType: "median", Name: "p", TransmitterId: good, GasLimit: 5,
			Config: &relayerv1.ProviderConfig{ContractId: good}}, "gas_limit: a transaction takes at least 21000, got 5"},
		"type": {&relayerv1.CreateProviderRequest{ProviderType: "lottery"},
			`provider_type: this relayer makes no provider of type "lottery"; it has median and config`},
		"other chain": {relay(`{"chainID":1}`), "relayConfig.chainID: chainID is 1, but the job is on chain 1337"},
		"store": {relay(`{"configContractAddress":"0x00000000000000000000000000000000000000aa"}`),
			"relayConfig.configContractAddress: this relayer reads the configuration from the aggregator itself; remove the " +
				"key"},
		"forwarder": {relay(`{"effectiveTransmitterID":"0x00000000000000000000000000000000000000aa"}`),
			"relayConfig.effectiveTransmitterID: this relayer does not send through forwarders; remove the key"},
		"dual": {relay(`{"enableDualTransmission":true}`),
			"relayConfig.enableDualTransmission: this relayer sends each report once; remove the key"},
		"no JSON": {relay(`[`), "relayConfig: it is not a JSON object"},
	}
	for name, c := range cases {
		if _, _, err := chain.CreateProvider(ctx, c.request); status.Code(err) != codes.InvalidArgument ||
			status.Convert(err).Message() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for _, good := range []string{``, `{}`, `{"chainID":1337,"fromBlock":5}`, `{"chainID":"1337"}`, `{"chainId":1337.0}`,
		`{"chainID":1.337e3,"more":[1]}`} {
		p, _, err := chain.CreateProvider(ctx, relay(good))
		if err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		must(t, p.(interface{ Close() error }).Close())
	}
	_, _, err := x.Relayer.CreateChain(ctx,
		&relayerv1.CreateChainRequest{ChainId: "1337",
			ConfigToml: []byte("ChainID = '1337'\nNodes = [{Name = 'a', HTTPURL = 'geheim'}]")}, x.Loans)
	if status.Code(err) != codes.InvalidArgument || strings.Contains(err.Error(), "geheim") {
		t.Errorf("a bad address: %v", err)
	}
	if _, _, err := x.Relayer.CreateChain(ctx,
		&relayerv1.CreateChainRequest{ChainId: "1", ConfigToml: []byte(settings("", [2]string{"", "http://h"}))},
		x.Loans); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another chain's section: %v", err)
	}

	p, _ := x.provider(chain, "q", address(newKey(t)), address(newKey(t)))
	for name, change := range map[string]func(*relayerv1.TransmitRequest){
		"no signature":    func(r *relayerv1.TransmitRequest) { r.Signatures = nil },
		"short signature": func(r *relayerv1.TransmitRequest) { r.Signatures[0].Signature = []byte{1} },
		"Bitcoin's v":     func(r *relayerv1.TransmitRequest) { r.Signatures[0].Signature[64] = 27 },
		"no report":       func(r *relayerv1.TransmitRequest) { r.Report = []byte("no report") },
		"no context":      func(r *relayerv1.TransmitRequest) { r.ReportContext = nil },
	} {
		request := (&feed{oracles: newOracles(t), chain: &devchain{t: t}}).report([32]byte{}, 1, 1, 1)
		change(request)
		if _, err := p.Transmit(ctx, request); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
