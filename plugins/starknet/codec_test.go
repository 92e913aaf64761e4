package starknet

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// TestSecretsAreNotShown checks that no way to print a configuration shows what its nodes are reached by.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	config, problems := ParseConfig("Starknet",
		[]byte("ChainID = 'x'\n[[Nodes]]\nName = 'a'\nURL = 'http://h/geheim'\nAPIKey = 'geheim'\n"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	redacted, err := config.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(redacted, "APIKey = '[redacted]'") {
		t.Errorf("that there is a key is not shown:\n%s", redacted)
	}
	if config.Nodes[0].APIKey.Reveal() != "geheim" {
		t.Error("the configuration itself has lost its key")
	}
	for _, shown := range []string{redacted, fmt.Sprint(config), fmt.Sprintf("%+v %#v", config, config)} {
		if strings.Contains(shown, "geheim") {
			t.Errorf("it shows %s", shown)
		}
	}
}

// served is the codec as a provider serves it.
var served = service.CodecServer{Codec: codec{}}

func number(n int64) *pluginv1.BigInt { return wire.BigInt(big.NewInt(n)) }

func observation(value *pluginv1.BigInt, seconds int64, observer uint32) *medianv1.ParsedAttributedObservation {
	return &medianv1.ParsedAttributedObservation{
		Timestamp: &timestamppb.Timestamp{Seconds: seconds}, Value: value, JuelsPerFeeCoin: number(1),
		GasPriceSubunits: number(0), Observer: observer,
	}
}

func TestReportCodec(t *testing.T) {
	t.Parallel()
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	report, err := served.BuildReport(t.Context(),
		&medianv1.BuildReportRequest{Observations: []*medianv1.ParsedAttributedObservation{
			observation(wire.BigInt(new(big.Int).Sub(limit, big.NewInt(1))), 1, 0), observation(number(0), 1<<32-1, 1),
			observation(number(7), 3, 2),
		}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := served.MedianFromReport(t.Context(), &medianv1.MedianFromReportRequest{Report: report.GetReport()})
	if err != nil || wire.Int(answer.GetMedian()).Int64() != 7 {
		t.Errorf("the median is %v, %v, want 7", answer, err)
	}
	if observers := report.GetReport()[32:37]; !bytes.Equal(observers, []byte{1, 1, 2, 0, 0}) {
		t.Errorf("observers %v, want the marker, then 1, 2 and 0 by their values", observers)
	}
	longest, err := served.MaxReportLength(t.Context(), &medianv1.MaxReportLengthRequest{N: 3})
	if err != nil || int(longest.GetMaxReportLength()) != len(report.GetReport()) {
		t.Errorf("MaxReportLength = %v, %v, the report has %d", longest, err, len(report.GetReport()))
	}
	if _, err := served.MaxReportLength(t.Context(),
		&medianv1.MaxReportLengthRequest{N: 32}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("MaxReportLength of 32: %v", err)
	}
	cases := map[string]struct {
		observation *medianv1.ParsedAttributedObservation
		want        string
	}{
		"negative": {observation(number(-1), 1, 0),
			"observations[0].value: Starknet's reports hold integers of 128 bits and no negative ones: value = (-1), fee = " +
				"(1), gas = (0)"},
		"late": {observation(number(1), 1<<32, 0),
			"observations[0].timestamp: the report holds seconds in 32 bits, got 4294967296"},
		"observer":       {observation(number(1), 1, 256), "observations[0].observer: the report holds 8 bits, got 256"},
		"nil altogether": {nil, "observations[0].timestamp: the report holds seconds in 32 bits, got 0"},
	}
	for name, c := range cases {
		_, err := served.BuildReport(context.Background(),
			&medianv1.BuildReportRequest{Observations: []*medianv1.ParsedAttributedObservation{c.observation}})
		if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := served.MedianFromReport(t.Context(),
		&medianv1.MedianFromReportRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("the median of nothing: %v", err)
	}
}

func TestOnchainConfigCodec(t *testing.T) {
	t.Parallel()
	config := &medianv1.OnchainConfig{Min: number(0), Max: number(5)}
	encoded, err := served.EncodeOnchainConfig(t.Context(), &medianv1.EncodeOnchainConfigRequest{Config: config})
	if err != nil || len(encoded.GetEncoded()) != 96 || encoded.GetEncoded()[31] != 1 {
		t.Fatalf("encode: %v, %v", encoded, err)
	}
	decoded, err := served.DecodeOnchainConfig(t.Context(),
		&medianv1.DecodeOnchainConfigRequest{Encoded: encoded.GetEncoded()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config, decoded.GetConfig(), protocmp.Transform()); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	for name, bad := range map[string]*medianv1.OnchainConfig{
		"reversed": {Min: number(1), Max: number(0)}, "negative": {Min: number(-1), Max: number(0)},
		"no min": {Max: number(0)}, "nothing": nil,
	} {
		if _, err := served.EncodeOnchainConfig(t.Context(),
			&medianv1.EncodeOnchainConfigRequest{Config: bad}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := served.DecodeOnchainConfig(t.Context(),
		&medianv1.DecodeOnchainConfigRequest{Encoded: encoded.GetEncoded()[1:]}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("95 bytes: %v", err)
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	const node = "\n[[Nodes]]\nName = 'a'\nURL = 'http://u:geheim@h/geheim'\n"
	relayertest.Refuses(t, map[string][2]string{
		"least":    {"ChainID = 'SN_MAIN'" + node, ""},
		"disabled": {"ChainID = 'SN_MAIN'\nEnabled = false", ""},
		"all": {"ChainID = 'x'\nOCR2CachePollPeriod = '1s'\nOCR2CacheTTL = '1s'\nRequestTimeout = " +
			"'1s'\nTxTimeout = '1s'\nConfirmationPoll = '1s'\nFeeMultiplier = 1\nFeeEstimationMaxAttempts = 1\nFeeToken = " +
			"'0x1'" + node, ""},
		"unknown key": {"ChainID = 'x'\nOCR2CachePollPeriodd = 3" + node,
			"OCR2CachePollPeriodd: unknown key; did you mean OCR2CachePollPeriod?"},
		"bad token": {"ChainID = 'x'\nFeeToken = 'geheim'" + node,
			"FeeToken: this is not a contract's address, which is 0x and hexadecimal digits in lower case, without leading " +
				"zeros"},
		"no TOML":  {"geheim://", ""},
		"no chain": {node, "ChainID: every chain needs a ChainID"},
		"long chain": {"ChainID = '" + strings.Repeat("x", 32) + "'" + node,
			"ChainID: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" has more than the 31 characters of a network's name"},
		"no nodes": {"ChainID = 'x'",
			"Nodes: Starknet chain \"x\" has no node; add a [[Starknet.Nodes]] or set Enabled = false"},
		"no address": {"ChainID = 'x'\n[[Nodes]]\nName = 'a'",
			"Nodes[0].URL: node \"a\" of Starknet chain \"x\" has no URL"},
		"key": {"ChainID = 'x'" + node + "APIKey = 'geheim !~'", ""},
		"key of two lines": {"ChainID = 'x'" + node + "APIKey = \"geheim\\nX: y\"",
			"Nodes[0].APIKey: the key of node \"a\" of Starknet chain \"x\" has characters that are not printable ASCII, and " +
				"cannot be sent in a header"},
		"scheme": {"ChainID = 'x'\n[[Nodes]]\nName = 'a'\nURL = 'ws://geheim'",
			"Nodes[0].URL: the address of node \"a\" of Starknet chain \"x\" is not a http:// or https:// URL"},
		"times": {"ChainID = 'x'\nOCR2CachePollPeriod = '2m'\nTxTimeout = '0s'" + node,
			"OCR2CacheTTL: 1m is not between 2m and 1h; TxTimeout: 0s is not between 100ms and 1h"},
		"fees": {"ChainID = 'x'\nFeeMultiplier = nan\nFeeMax = nan\nFeeEstimationMaxAttempts = 101\nFeeToken = '0x0'" + node,
			"FeeMultiplier: NaN is not between 1 and 10; FeeMax: NaN is not between 0.001 and 100000; " +
				"FeeEstimationMaxAttempts: 101 is not between 1 and 100; FeeToken: \"0x0\" " +
				"is not a contract's address, which is 0x and hexadecimal digits in lower case, without leading zeros"},
	}, func(text []byte) error { _, problems := ParseConfig("Starknet", text); return problems.Err() })
}
