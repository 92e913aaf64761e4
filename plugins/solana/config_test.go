package solana_test

import (
	"fmt"
	"strings"
	"testing"

	sol "github.com/gagliardetto/solana-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/solana"
	"github.com/loop-plugins/loop/sdk/go/document"
)

func TestParseConfig(t *testing.T) {
	t.Parallel()
	const nodes = "Nodes = [{Name = 'a', URL = 'https://key@geheim.example', WSURL = 'wss://geheim.example'}]\n"
	got, problems := solana.ParseConfig("Solana", []byte("ChainID = 'mainnet'\n"+nodes))
	must(t, problems.Err())
	want := solana.DefaultConfig()
	want.ChainID, want.Nodes = "mainnet", []solana.NodeConfig{{
		Name: "a", URL: document.NewSecret("https://key@geheim.example"), WSURL: document.NewSecret("wss://geheim.example"),
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(document.Duration{})); diff != "" {
		t.Errorf("ParseConfig (-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", got, got, got, got.Nodes[0].URL); strings.Contains(text, "geheim") {
		t.Errorf("it prints %s", text)
	}
	for text, want := range map[string]string{
		"Frob = 1": "Frob: unknown key",
		"TxTimeout = 'geheim'": "TxTimeout: this is not a duration; write a number with a unit, such as " +
			"\"10s\" or \"1m30s\"",
		"Enabled = true\nEnabled = false":     "Enabled: this key is given on line 2 already",
		"[":                                   "line 2: this is not TOML: invalid character at start of key: U+000A",
		"Commitment = 'processed'":            "Commitment: this is not one of confirmed, finalized",
		"FeeEstimatorMode = 'guess'":          "FeeEstimatorMode: this is not one of fixed, blockhistory, recentfees",
		"MaxRetries = -2":                     "MaxRetries: -2 is not between -1 and 32767",
		"BlockHistorySize = 0":                "BlockHistorySize: 0 is not between 1 and 300",
		"BlockHistoryBatchLoadSize = 301":     "BlockHistoryBatchLoadSize: 301 is not between 1 and 300",
		"RecentFeesPercentile = 10001":        "RecentFeesPercentile: 10001 is not between 0 and 10000",
		"BlockTime = '0s'":                    "BlockTime: 0s is not between 50ms and 1m",
		"ComputeUnitPriceMin = 1":             "ComputeUnitPriceDefault: 0 is not between 1 and 1000",
		"ComputeUnitPriceMax = 2000000000000": "ComputeUnitPriceMax: 2000000000000 is not between 0 and 1000000000000",
		"ComputeUnitLimitDefault = 1400001":   "ComputeUnitLimitDefault: 1400001 is not between 1 and 1400000",
		"OCR2CacheTTL = '20ms'":               "OCR2CacheTTL: 20ms is not between 1s and 1h",
		"ConfirmPollPeriod = '0s'":            "ConfirmPollPeriod: 0s is not between 50ms and 1m",
		"FeeBumpPeriod = '-1s'":               "FeeBumpPeriod: -1s is not between 0s and 1m",
		"Nodes = []": "Nodes: Solana chain \"x\" has no node; add a [[Solana.Nodes]] or set " +
			"Enabled = false",
		"Nodes = [{Name = 'a', URL = 'http://geheim', SendOnly = true}]": "Nodes: every node of the chain is SendOnly; one " +
			"must be for reading too",
		"Nodes = [{Name = 'a', URL = 'http://geheim', Order = 101}]": "Nodes[0].Order: 101 is not between 0 and 100",
		"MultiNode.SelectionMode = 'Best'": "MultiNode.SelectionMode: this is not one of " +
			"PriorityLevel, HighestHead, TotalDifficulty, RoundRobin",
		"MultiNode.NodeNoNewHeadsThreshold = '-1s'": "MultiNode.NodeNoNewHeadsThreshold: -1s is not between 0s and 1h",
		"Nodes = [{Name = 'a', URL = 'geheim'}]": "Nodes[0].URL: the address of node \"a\" of Solana chain \"x\" is not " +
			"a http:// or https:// URL",
	} {
		section := "ChainID = 'x'\n" + text + "\n"
		if !strings.Contains(text, "Nodes") && text != "[" {
			section += nodes
		}
		_, problems := solana.ParseConfig("Solana", []byte(section))
		if err := problems.Err(); err == nil || err.Error() != want || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	x := newFixture(t)
	ctx := t.Context()
	chain, _ := x.chain(settings("", devnode{RPC: "http://127.0.0.1:1"}))
	key := sol.PublicKey{1, 2, 3}.String()
	good := fmt.Sprintf(`{"chainID":"localnet","ocr2ProgramID":%q,"storeProgramID":%[1]q,"transmissionsID":%[1]q}`, key)
	request := func(contract, transmitter, relay string, gas uint32) *relayerv1.CreateProviderRequest {
		return &relayerv1.CreateProviderRequest{
			ProviderType: "median", Name: "p", TransmitterId: transmitter, GasLimit: gas,
			Config: &relayerv1.ProviderConfig{ContractId: contract, RelayConfigJson: []byte(relay)},
		}
	}
	const missing = "relayConfig.ocr2ProgramID: the key is missing or empty; relayConfig.transmissionsID: the key is " +
		"missing or empty; " +
		"relayConfig.storeProgramID: the key is missing or empty"
	for name, c := range map[string]struct {
		request *relayerv1.CreateProviderRequest
		want    string
	}{
		"contract": {request("0x12", key, good, 0), `contractID: "0x12" is not a public key, which is 32 bytes in base58`},
		"transmitter": {request(key, "", good, 0),
			"transmitterID: expected a transmitterID to be specified: the account that sends reports"},
		"units": {request(key, key, good, 2_000_000),
			"gas_limit: the chain gives a transaction 1400000 compute units at most, got 2000000"},
		"other chain": {request(key, key, strings.Replace(good, "localnet", "mainnet", 1), 0),
			"relayConfig.chainID: chainID is mainnet, but the job is on chain localnet"},
		"no program": {request(key, key, `{}`, 0), missing},
		"no JSON":    {request(key, key, `[`, 0), "relayConfig: it is not a JSON object"},
		"nothing":    {request(key, key, ``, 0), missing},
	} {
		if _, _, err := chain.CreateProvider(ctx, c.request); status.Code(err) != codes.InvalidArgument ||
			status.Convert(err).Message() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, _, err := x.Relayer.CreateChain(ctx,
		&relayerv1.CreateChainRequest{ChainId: "mainnet", ConfigToml: []byte(settings("", devnode{RPC: "http://h"}))},
		x.Loans); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another chain's section: %v", err)
	}
	p, _, err := chain.CreateProvider(ctx, request(key, key, good, 300_000))
	must(t, err)
	t.Cleanup(func() { must(t, p.(interface{ Close() error }).Close()) })
	d := &devchain{t: t, Feeds: []devfeed{{Digest: strings.Repeat("00", 32)}}, F: -1}
	for name, change := range map[string]func(*relayerv1.TransmitRequest){
		"no signature": func(*relayerv1.TransmitRequest) {},
		"short signature": func(r *relayerv1.TransmitRequest) {
			r.Signatures = []*relayerv1.AttributedOnchainSignature{{Signature: []byte{1}}}
		},
		"no context": func(r *relayerv1.TransmitRequest) { r.ReportContext = nil },
		"no report":  func(r *relayerv1.TransmitRequest) { r.Report = []byte("no report") },
	} {
		d.Oracles = append(d.Oracles[:0], struct {
			Signer      string     `json:"signer_private_key"`
			Transmitter privateKey `json:"transmitter_private_key"`
		}{})
		r := d.report(0, 1, 1, 1)
		change(r)
		if _, err := p.Transmit(ctx, r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
