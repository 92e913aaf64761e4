package evm

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// established is a section by the names of the established node.
const established = `ChainID = '1'
[GasEstimator]
Mode = 'BlockHistory'
EIP1559DynamicFees = true
PriceDefault = '20 gwei'
PriceMax = '115792089237316195423570985008687907853269984665.640564039457584007913129639935 tether'
PriceMin = '1 gwei'
LimitDefault = 600_000
LimitMax = 900_000
LimitMultiplier = '1.5'
EstimateLimit = false
BumpMin = '5 gwei'
BumpPercent = 30
BumpThreshold = 7
FeeCapDefault = '90 gwei'
TipCapDefault = '3 gwei'
TipCapMin = '1 wei'
LimitJobType = {OCR2 = 700_000}
BlockHistory = {BlockHistorySize = 16, TransactionPercentile = 70}
[Transactions]
MaxInFlight = 4
ResendAfterThreshold = '1m'
[[KeySpecific]]
Key = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
GasEstimator.PriceMax = '70 gwei'
`

func TestParseConfig(t *testing.T) {
	t.Parallel()
	const node = "\n[[Nodes]]\nName = 'a'\nHTTPURL = 'http://u:geheim@h/geheim'\n"
	relayertest.Refuses(t, map[string][2]string{
		"least":    {"ChainID = '1'" + node, ""},
		"disabled": {"ChainID = '1'\nEnabled = false", ""},
		"units": {
			"ChainID = '1'\nFeeCapDefault = '0.5 gwei'\nTipCapDefault = '1_000 wei'\nFeeCapMax = '1 ether'" + node, ""},
		"unknown key": {"ChainID = '1'\nFinalityDeph = 3" + node,
			"FinalityDeph: unknown key; did you mean FinalityDepth?"},
		"bad amount": {"ChainID = '1'\nFeeCapMax = 'geheim'" + node,
			"FeeCapMax: this is not an amount; write a whole number of wei or an amount with a unit, such as \"100 gwei\""},
		"no TOML":  {"geheim://", ""},
		"no chain": {node, "ChainID: every chain needs a ChainID"},
		"hexadecimal chain": {"ChainID = '0x1'" + node,
			"ChainID: \"0x1\" is not a chain's number in decimal, which is 1 to 2^64-1"},
		"no nodes": {"ChainID = '1'", "Nodes: EVM chain \"1\" has no node; add a [[EVM.Nodes]] or set Enabled = false"},
		"twice a name": {"ChainID = '1'" + node + node,
			"Nodes[1].Name: node \"a\" of EVM chain \"1\" has the name of an earlier one"},
		"no address": {"ChainID = '1'\n[[Nodes]]\nName = 'a'",
			"Nodes[0]: node \"a\" of EVM chain \"1\" has neither WSURL nor HTTPURL; give one of them"},
		"schemes": {"ChainID = '1'\n[[Nodes]]\nName = 'a'\nWSURL = 'http://geheim'\nHTTPURL = 'geheim'",
			"Nodes[0].WSURL: the address of node \"a\" of EVM chain \"1\" is not a ws:// or wss:// URL; Nodes[0].HTTPURL: the " +
				"address of node \"a\" of EVM chain \"1\" is not a http:// or https:// URL"},
		"least fees": {"ChainID = '1'\nFeeCapDefault = '0'\nTipCapDefault = '0'" + node, ""},
		"network": {"ChainID = '1'\nNoNewHeadsThreshold = '-1s'\nLogPollInterval = '-1s'\nLogBackfillBatchSize = " +
			"0\nRPCDefaultBatchSize = 0\n" +
			"NodePool = {SelectionMode = 'Best', NewHeadsPollInterval = '-1s'}" + node + "SendOnly = true",
			"NoNewHeadsThreshold: -1s is not between 0s and 24h; LogPollInterval: -1s is not between 0s and 1h; " +
				"LogBackfillBatchSize: 0 is not between 1 and 1000000; RPCDefaultBatchSize: 0 is not between 1 and 1000; " +
				"NodePool.SelectionMode: this is not one of PriorityLevel, HighestHead, TotalDifficulty, RoundRobin; " +
				"NodePool.NewHeadsPollInterval: -1s is not between 50ms and 5m; Nodes: every node of the chain is SendOnly; one " +
				"must be for reading too"},
		"established names": {established + node, ""},
		"a mode": {"ChainID = '1'\nGasEstimator.Mode = 'Guess'" + node,
			"GasEstimator.Mode: this is not one of FixedPrice, BlockHistory, FeeHistory, SuggestedPrice, L2Suggested, Arbitrum"},
		"gas": {"ChainID = '1'\nGasEstimator.LimitMax = 1\nGasEstimator.LimitMultiplier = " +
			"0.0\nGasEstimator.LimitJobType.OCR2 = 9" + node,
			"GasEstimator.LimitMax: 1 is below 21000, which is what a bare transfer takes; GasEstimator.LimitMultiplier: " +
				"\"0.0\" is not a number from 0.1 to 100; GasEstimator.LimitJobType.OCR2: 9 is below 21000, which is what a bare " +
				"transfer takes"},
		"history": {
			"ChainID = '1'\nGasEstimator.BlockHistory = {BlockHistorySize = 0, TransactionPercentile = 101}" + node,
			"GasEstimator.BlockHistory.BlockHistorySize: 0 is not between 1 and 1024; " +
				"GasEstimator.BlockHistory.TransactionPercentile: 101 is not between 1 and 100"},
		"least of a chain": {"ChainID = '137'\nFeeCapMax = '20 gwei'" + node,
			"GasEstimator.PriceMin: 30 gwei, which is what nodes of Polygon want unless it is set, is more than FeeCapMax, 20 " +
				"gwei; GasEstimator.TipCapMin: 30 gwei, which is what nodes of Polygon want unless it is set, is more than " +
				"FeeCapMax, 20 gwei"},
		"least prices": {"ChainID = '1'\nFeeCapMax = '5 gwei'\nGasEstimator.PriceMin = '6 gwei'\nGasEstimator.TipCapMin = " +
			"'7 gwei'\nGasEstimator.PriceDefault = '8 gwei'" + node,
			"GasEstimator.PriceMin: 6 gwei is more than FeeCapMax, 5 gwei; GasEstimator.TipCapMin: 7 gwei is more than " +
				"FeeCapMax, 5 gwei; GasEstimator.PriceDefault: 8 gwei is more than FeeCapMax, 5 gwei"},
		"a key twice": {"ChainID = '1'\nKeySpecific = [{Key = '0x00000000000000000000000000000000000000Ab'}, {Key = " +
			"'0x00000000000000000000000000000000000000aB'}]" + node,
			"KeySpecific[1].Key: account 0x00000000000000000000000000000000000000aB has an earlier entry; merge the two"},
		"a key's price": {"ChainID = '1'\nKeySpecific = [{Key = 'geheim', GasEstimator.PriceMax = '1 gwei'}]" + node,
			"KeySpecific[0].Key: this is not an account, which is 0x and 40 hexadecimal digits"},
		"fees": {"ChainID = '1'\nFeeCapDefault = '600 gwei'\nFeeBumpPercent = 9" + node,
			"FeeCapMax: 500 gwei is less than FeeCapDefault, 600 gwei; FeeBumpPercent: 9 is not between 10 and 1000"},
	}, func(text []byte) error { _, problems := ParseConfig("EVM", text); return problems.Err() })
}

// TestEstablishedNames checks that the established names of prices and limits do what they say.
func TestEstablishedNames(t *testing.T) {
	t.Parallel()
	c, problems := ParseConfig("EVM", []byte(established+"[[Nodes]]\nName = 'a'\nHTTPURL = 'http://h'\n"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	gwei := func(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e9)) }
	want := account.Fees{
		History: 16, Percentile: 70, CapDefault: gwei(90), TipDefault: gwei(3), PriceDefault: gwei(20), PriceMin: gwei(1),
		TipMin: big.NewInt(1),
		CapMax: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)), BumpThreshold: 7, BumpPercent: 30,
		BumpMin: gwei(5),
	}
	same := cmp.Comparer(func(a, b *big.Int) bool { return (a == nil) == (b == nil) && (a == nil || a.Cmp(b) == 0) })
	if diff := cmp.Diff(want, c.fees(common.Address{}), same); diff != "" {
		t.Errorf("fees (-want +got):\n%s", diff)
	}
	want.CapMax = gwei(70)
	if diff := cmp.Diff(want, c.fees(common.HexToAddress("0x7e5f4552091a69125d5dfcb7b8c2659029395bdf")),
		same); diff != "" {
		t.Errorf("fees of an account with a price of its own (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(account.Limit{Multiplier: 1.5, Max: 900_000}, c.limits()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if c.GasLimitDefault != 600_000 || c.transmissionGas() != 700_000 {
		t.Errorf("gas of a filler %d, of a transmission %d", c.GasLimitDefault, c.transmissionGas())
	}
	if in := c.Transactions; *in.MaxInFlight != 4 || in.ResendAfterThreshold.Duration != time.Minute {
		t.Errorf("transactions: %+v", in)
	}
	text, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	again, problems := ParseConfig("EVM", []byte(strings.ReplaceAll(text, "[redacted]", "http://h")))
	if err := problems.Err(); err != nil {
		t.Fatalf("%v, of\n%s", err, text)
	}
	if diff := cmp.Diff(want, again.fees(common.HexToAddress(c.KeySpecific[0].Key)), same); diff != "" {
		t.Errorf("the configuration in force, read again (-want +got):\n%s", diff)
	}
}

// TestPeculiarities checks that each chain of the table can be configured, that its id or its ChainType suffices, and
// that the operator's settings take precedence over the table's.
func TestPeculiarities(t *testing.T) {
	t.Parallel()
	parse := func(text string) Config {
		c, problems := ParseConfig("EVM", []byte(text+"\nEnabled = false"))
		if err := problems.Err(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		return c
	}
	ids, kinds := map[string]string{}, map[string]string{}
	for _, p := range peculiars {
		var c Config
		if err := toml.NewDecoder(strings.NewReader(p.keys)).DisallowUnknownFields().Decode(&c); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		for _, id := range p.ids {
			if ids[id] != "" {
				t.Errorf("%s has the id of %s", p.name, ids[id])
			}
			ids[id] = p.name
			parse("ChainID = '" + id + "'")
		}
		if p.kind != "" && kinds[p.kind] != "" {
			t.Errorf("%s has the ChainType of %s", p.name, kinds[p.kind])
		}
		kinds[p.kind] = p.name
	}
	type facts struct {
		Threshold, Percent uint64
		Legacy, Estimate   bool
		TipMin, TipDefault string
	}
	cases := map[string]struct {
		text string
		want facts
	}{
		"any":               {"ChainID = '1'", facts{3, 20, false, false, "<nil>", "1000000000"}},
		"Linea":             {"ChainID = '59144'", facts{3, 40, false, false, "<nil>", "1000000000"}},
		"Scroll":            {"ChainID = '534352'", facts{0, 20, false, false, "<nil>", "1000000000"}},
		"a kind of Scroll":  {"ChainID = '77777'\nChainType = 'scroll'", facts{0, 20, false, false, "<nil>", "1000000000"}},
		"Scroll, otherwise": {"ChainID = '534352'\nFeeBumpThreshold = 9", facts{9, 20, false, false, "<nil>", "1000000000"}},
		"Rootstock": {"ChainID = '30'\nGasEstimator.BumpPercent = 50",
			facts{3, 50, true, false, "<nil>", "1000000000"}},
		"Monad":         {"ChainID = '143'", facts{3, 20, false, true, "<nil>", "1000000000"}},
		"Monad testnet": {"ChainID = '10143'", facts{3, 20, false, true, "<nil>", "1000000000"}},
		"Hedera":        {"ChainID = '295'", facts{0, 20, true, true, "<nil>", "1000000000"}},
		"Polygon":       {"ChainID = '137'", facts{3, 20, false, false, "30000000000", "1000000000"}},
		"Polygon, less": {"ChainID = '137'\nGasEstimator.TipCapMin = '1 wei'", facts{3, 20, false, false, "1", "1000000000"}},
		"Mantle":        {"ChainID = '5000'", facts{3, 20, false, true, "<nil>", "0"}},
		"Kaia":          {"ChainID = '8217'", facts{3, 20, true, false, "<nil>", "1000000000"}},
		"Kava": {"ChainID = '2222'\nGasEstimator.EIP1559DynamicFees = true",
			facts{3, 20, false, false, "<nil>", "1000000000"}},
		"Arbitrum": {"ChainID = '42161'\nGasEstimator.EstimateLimit = false",
			facts{3, 20, false, false, "<nil>", "1000000000"}},
	}
	for name, c := range cases {
		config := parse(c.text)
		fees := config.fees(common.Address{})
		tipMin := "<nil>"
		if fees.TipMin != nil {
			tipMin = fees.TipMin.String()
		}
		got := facts{fees.BumpThreshold, fees.BumpPercent, fees.Legacy, config.limits().Estimate, tipMin,
			fees.TipDefault.String()}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPeculiarCeiling checks that Hedera's price, 1,320 gwei in July 2024 (hiero-json-rpc-relay#2680), may be offered
// and signed there, and not where the operator sets a lower ceiling.
func TestPeculiarCeiling(t *testing.T) {
	t.Parallel()
	price := big.NewInt(1320e9)
	for text, want := range map[string]bool{
		"ChainID = '295'": true, "ChainID = '296'": true, "ChainID = '77777'\nChainType = 'hedera'": true,
		"ChainID = '1'": false, "ChainID = '295'\nFeeCapMax = '1000 gwei'": false,
		"ChainID = '295'\nGasEstimator.PriceMax = '1000 gwei'": false,
	} {
		c, problems := ParseConfig("EVM", []byte(text+"\nEnabled = false"))
		if err := problems.Err(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := c.fees(common.Address{}).CapMax.Cmp(price) >= 0; got != want {
			t.Errorf("%s: may be offered: %t", text, got)
		}
		signed := policy{config: c}.bounded(common.Address{}, account.Unsigned{Cap: price, Gas: 21_000}, nil)
		if signed == nil != want {
			t.Errorf("%s: may be signed: %v", text, signed)
		}
	}
}

// TestLowCeiling checks that a ceiling below the defaults lowers those that are not given.
func TestLowCeiling(t *testing.T) {
	t.Parallel()
	c, problems := ParseConfig("EVM", []byte("ChainID = '1'\nEnabled = false\nGasEstimator.PriceMax = '1 wei'"))
	if err := problems.Err(); err != nil || c.FeeCapDefault.Int64() != 1 || c.TipCapDefault.Int64() != 1 {
		t.Errorf("FeeCapDefault %v, TipCapDefault %v, %v", c.FeeCapDefault, c.TipCapDefault, problems.Err())
	}
	_, problems = ParseConfig("EVM",
		[]byte("ChainID = '1'\nEnabled = false\nGasEstimator.PriceMax = '1 wei'\nFeeCapDefault = '5 wei'"))
	if err := problems.Err(); err == nil ||
		err.Error() != "GasEstimator.PriceMax: 1 wei is less than FeeCapDefault, 5 wei" {
		t.Errorf("a ceiling below a default that is given: %v", err)
	}
}

// What is known of a chain's blocks applies if the section says nothing else.
func TestPeculiarBlocks(t *testing.T) {
	t.Parallel()
	type facts struct {
		Depth   uint32
		Silence time.Duration
	}
	for name, c := range map[string]struct {
		text string
		want facts
	}{
		"any":                 {"ChainID = '1'", facts{50, 3 * time.Minute}},
		"Arbitrum":            {"ChainID = '42161'", facts{50, 0}},
		"a kind of Arbitrum":  {"ChainID = '77777'\nChainType = 'arbitrum'", facts{50, 0}},
		"Arbitrum, otherwise": {"ChainID = '42161'\nNoNewHeadsThreshold = '1m'\nFinalityDepth = 9", facts{9, time.Minute}},
		"Scroll":              {"ChainID = '534352'", facts{50, 0}},
		"Linea":               {"ChainID = '59144'", facts{50, 0}},
		"Metis":               {"ChainID = '1088'", facts{1, 0}},
		"Rootstock":           {"ChainID = '30'", facts{20, 3 * time.Minute}},
		"a kind of Rootstock": {"ChainID = '77777'\nChainType = 'rootstock'", facts{20, 3 * time.Minute}},
		"Polygon":             {"ChainID = '137'", facts{500, 3 * time.Minute}},
		"Amoy":                {"ChainID = '80002'", facts{500, 3 * time.Minute}},
		"Polygon zkEVM":       {"ChainID = '1101'", facts{500, 3 * time.Minute}},
		"ZKsync":              {"ChainID = '324'", facts{10, 3 * time.Minute}},
		"Avalanche":           {"ChainID = '43114'", facts{1, 3 * time.Minute}},
		"Kava":                {"ChainID = '2222'", facts{1, 3 * time.Minute}},
		"Kaia":                {"ChainID = '8217'", facts{1, 3 * time.Minute}},
	} {
		config, problems := ParseConfig("EVM", []byte(c.text+"\nEnabled = false"))
		if err := problems.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, facts{config.FinalityDepth, config.NoNewHeadsThreshold.Duration}); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
