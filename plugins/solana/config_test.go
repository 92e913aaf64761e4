package solana_test

import (
	"fmt"
	"strings"
	"testing"

	sol "github.com/gagliardetto/solana-go"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/solana"
)

func TestParseConfig(t *testing.T) {
	t.Parallel()
	const nodes = "Nodes = [{Name = 'a', URL = 'https://key@geheim.example', WSURL = 'wss://geheim.example'}]\n"
	got, err := solana.ParseConfig([]byte("ChainID = 'mainnet'\n" + nodes))
	must(t, err)
	want := solana.DefaultConfig()
	want.ChainID, want.Nodes = "mainnet", []solana.NodeConfig{{Name: "a", URL: "https://key@geheim.example", WSURL: "wss://geheim.example"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseConfig (-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", got, got, got, got.Nodes[0].URL); strings.Contains(text, "geheim") {
		t.Errorf("it prints %s", text)
	}
	for text, want := range map[string]string{
		"Frob = 1":                            "line 2: the key Frob is not known; remove it or correct its spelling",
		"TxTimeout = 'geheim'":                "line 2: the value of TxTimeout cannot be read; check its type, its unit and its quotes",
		"Enabled = true\nEnabled = false":     "line 3: the key Enabled is given twice; remove one",
		"[":                                   "line 2: the value of  cannot be read; check its type, its unit and its quotes",
		"Commitment = 'processed'":            "Commitment must be confirmed or finalized",
		"FeeEstimatorMode = 'guess'":          "FeeEstimatorMode must be fixed, blockhistory or recentfees",
		"MaxRetries = -2":                     "MaxRetries must be at least -1, which leaves it to the node",
		"BlockHistorySize = 0":                "BlockHistorySize must be from 1 to 300",
		"BlockHistoryBatchLoadSize = 301":     "BlockHistoryBatchLoadSize must be from 1 to 300",
		"RecentFeesPercentile = 10001":        "RecentFeesPercentile must be at most 10000, which is 100 %",
		"BlockTime = '0s'":                    "BlockTime must be at least 10ms",
		"ComputeUnitPriceMin = 1":             "ComputeUnitPriceDefault must be from ComputeUnitPriceMin to ComputeUnitPriceMax",
		"ComputeUnitPriceMax = 2000000000000": "ComputeUnitPriceMax must be at most 1000000000000",
		"ComputeUnitLimitDefault = 1400001":   "ComputeUnitLimitDefault must be from 1 to 1400000, which is the most that the chain gives a transaction",
		"OCR2CacheTTL = '20ms'":               "OCR2CacheTTL must be at least OCR2CachePollPeriod",
		"ConfirmPollPeriod = '0s'":            "ConfirmPollPeriod must be at least 10ms",
		"FeeBumpPeriod = '-1s'":               "FeeBumpPeriod must not be negative",
		"Nodes = []":                          "Nodes must hold at least one node that is not SendOnly",
		"Nodes = [{Name = 'a', URL = 'http://geheim', SendOnly = true}]": "Nodes must hold at least one node that is not SendOnly",
		"Nodes = [{Name = 'a', URL = 'http://geheim', Order = 101}]":     "Nodes[0].Order must be from 0 to 100",
		"MultiNode.SelectionMode = 'Best'":                               "MultiNode.SelectionMode must be PriorityLevel, HighestHead, TotalDifficulty or RoundRobin",
		"MultiNode.NodeNoNewHeadsThreshold = '-1s'":                      "MultiNode.NodeNoNewHeadsThreshold must not be negative",
		"Nodes = [{Name = 'a', URL = 'geheim'}]":                         "Nodes[0].URL must be an http:// or https:// address",
	} {
		document := "ChainID = 'x'\n" + text + "\n"
		if !strings.Contains(text, "Nodes") && text != "[" {
			document += nodes
		}
		if _, err := solana.ParseConfig([]byte(document)); err == nil || err.Error() != want {
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
			ProviderType: "median", Name: "p", TransmitterId: transmitter, GasLimit: gas, Config: &relayerv1.ProviderConfig{ContractId: contract, RelayConfigJson: []byte(relay)},
		}
	}
	const missing = "relayConfig.ocr2ProgramID: the key is missing or empty; relayConfig.transmissionsID: the key is missing or empty; " +
		"relayConfig.storeProgramID: the key is missing or empty"
	for name, c := range map[string]struct {
		request *relayerv1.CreateProviderRequest
		want    string
	}{
		"contract":    {request("0x12", key, good, 0), `contractID: "0x12" is not a public key, which is 32 bytes in base58`},
		"transmitter": {request(key, "", good, 0), "transmitterID: expected a transmitterID to be specified: the account that sends reports"},
		"units":       {request(key, key, good, 2_000_000), "gas_limit: the chain gives a transaction 1400000 compute units at most, got 2000000"},
		"other chain": {request(key, key, strings.Replace(good, "localnet", "mainnet", 1), 0), "relayConfig.chainID: chainID is mainnet, but the job is on chain localnet"},
		"no program":  {request(key, key, `{}`, 0), missing},
		"no JSON":     {request(key, key, `[`, 0), "relayConfig: it is no JSON object"},
		"nothing":     {request(key, key, ``, 0), missing},
	} {
		if _, _, err := chain.CreateProvider(ctx, c.request); status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, _, err := x.Relayer.CreateChain(ctx, &relayerv1.CreateChainRequest{ChainId: "mainnet", ConfigToml: []byte(settings("", devnode{RPC: "http://h"}))}, x.Loans); status.Code(err) != codes.InvalidArgument {
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
