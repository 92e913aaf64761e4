package wire_test

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func round(change func(*reportingv1.ReportTimestamp)) *reportingv1.ReportTimestamp {
	t := &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32), Epoch: 1 << 31, Round: 255}
	if change != nil {
		change(t)
	}
	return t
}

func shift(n int64, bits uint) *big.Int { return new(big.Int).Lsh(big.NewInt(n), bits) }

func observed(v *pluginv1.BigInt) *hostservicev1.ObserveResponse {
	return &hostservicev1.ObserveResponse{Value: v}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	one := big.NewInt(1)
	tests := map[string]struct {
		message proto.Message
		want    *wire.Violation // nil: it keeps the contract
	}{
		"len":                     {round(nil), nil},
		"len, short":              {round(func(t *reportingv1.ReportTimestamp) { t.ConfigDigest = make([]byte, 31) }), &wire.Violation{Field: "config_digest", Problem: "has 31 bytes; it must have 32"}},
		"len, empty":              {round(func(t *reportingv1.ReportTimestamp) { t.ConfigDigest = nil }), &wire.Violation{Field: "config_digest", Problem: "has 0 bytes; it must have 32"}},
		"max":                     {round(func(t *reportingv1.ReportTimestamp) { t.Round = 256 }), &wire.Violation{Field: "round", Problem: "is 256; the largest value is 255"}},
		"observer 255":            {&reportingv1.AttributedObservation{Observer: 255}, &wire.Violation{Field: "observer", Problem: "is 255; the largest value is 254"}},
		"min":                     {&medianv1.MaxReportLengthRequest{}, &wire.Violation{Field: "n", Problem: "is 0; the least value is 1"}},
		"min and max":             {&medianv1.MaxReportLengthRequest{N: 255}, nil},
		"required message":        {&reportingv1.QueryRequest{}, &wire.Violation{Field: "timestamp", Problem: "is absent; it is required"}},
		"required string":         {&hostservicev1.ReadRequest{}, &wire.Violation{Field: "key", Problem: "is empty; it is required"}},
		"required bytes":          {&hostservicev1.SignResponse{}, &wire.Violation{Field: "signature", Problem: "is empty; it is required"}},
		"required list":           {&pluginv1.ReleaseRequest{}, &wire.Violation{Field: "objects", Problem: "is empty; at least one element is wanted"}},
		"max_len of a string":     {&hostservicev1.ReadRequest{Key: strings.Repeat("é", 256)}, nil},
		"max_len counts bytes":    {&hostservicev1.ReadRequest{Key: strings.Repeat("é", 257)}, &wire.Violation{Field: "key", Problem: "has 514 bytes; the limit is 512"}},
		"max_len of bytes":        {&hostservicev1.PutRequest{Key: "k", Value: make([]byte, 65537)}, &wire.Violation{Field: "value", Problem: "has 65537 bytes; the limit is 65536"}},
		"max_len of a list":       {&reportingv1.ReportRequest{Timestamp: round(nil), Observations: make([]*reportingv1.AttributedObservation, 256)}, &wire.Violation{Field: "observations", Problem: "has 256 elements; the limit is 255"}},
		"not UTF-8":               {&hostservicev1.ReadRequest{Key: "\xff"}, &wire.Violation{Field: "key", Problem: "is not UTF-8"}},
		"not UTF-8, no rule":      {&hostservicev1.ListAccountsResponse{Accounts: []string{"a", "\xff"}}, &wire.Violation{Field: "accounts[1]", Problem: "is not UTF-8"}},
		"nested":                  {&reportingv1.QueryRequest{Timestamp: round(func(t *reportingv1.ReportTimestamp) { t.Round = 256 })}, &wire.Violation{Field: "timestamp.round", Problem: "is 256; the largest value is 255"}},
		"element":                 {&reportingv1.ReportRequest{Timestamp: round(nil), Observations: []*reportingv1.AttributedObservation{{}, {Observer: 300}}}, &wire.Violation{Field: "observations[1].observer", Problem: "is 300; the largest value is 254"}},
		"element of bytes":        {&relayerv1.ContractConfig{ConfigDigest: make([]byte, 32), Signers: [][]byte{nil, {1}}}, nil},
		"first field by number":   {&reportingv1.ReportContext{Timestamp: round(func(t *reportingv1.ReportTimestamp) { t.ConfigDigest = nil }), ExtraHash: nil}, &wire.Violation{Field: "timestamp.config_digest", Problem: "has 0 bytes; it must have 32"}},
		"name of a new object":    {&medianv1.CreateMedianFactoryRequest{}, &wire.Violation{Field: "name", Problem: "is empty; it is required"}},
		"name of a lent object":   {&medianv1.CreateMedianFactoryRequest{Name: "n"}, &wire.Violation{Field: "provider", Problem: "is empty; it is required"}},
		"endless name":            {&medianv1.CreateMedianFactoryRequest{Name: strings.Repeat("n", 257)}, &wire.Violation{Field: "name", Problem: "has 257 bytes; the limit is 256"}},
		"zero":                    {observed(wire.BigInt(new(big.Int))), nil},
		"absent integer":          {observed(nil), &wire.Violation{Field: "value", Problem: "is absent; it is required"}},
		"negative zero":           {observed(&pluginv1.BigInt{Negative: true}), &wire.Violation{Field: "value.negative", Problem: "is set for zero"}},
		"leading zero":            {observed(&pluginv1.BigInt{Magnitude: []byte{0, 1}}), &wire.Violation{Field: "value.magnitude", Problem: "begins with a zero byte; the shortest form is wanted"}},
		"endless integer":         {observed(&pluginv1.BigInt{Magnitude: bytes.Repeat([]byte{1}, 1025)}), &wire.Violation{Field: "value.magnitude", Problem: "has 1025 bytes; the limit is 1024"}},
		"bits, largest":           {observed(wire.BigInt(new(big.Int).Sub(shift(1, 191), one))), nil},
		"bits, one more":          {observed(wire.BigInt(shift(1, 191))), &wire.Violation{Field: "value", Problem: "does not fit a signed integer of 192 bits"}},
		"bits, least":             {observed(wire.BigInt(shift(-1, 191))), nil},
		"bits, one less":          {observed(wire.BigInt(new(big.Int).Sub(shift(-1, 191), one))), &wire.Violation{Field: "value", Problem: "does not fit a signed integer of 192 bits"}},
		"non_negative integer":    {&relayerv1.TransactRequest{From: "a", To: "b", Amount: wire.BigInt(big.NewInt(-1))}, &wire.Violation{Field: "amount", Problem: "is negative"}},
		"non_negative duration":   {&pluginv1.DrainRequest{Grace: durationpb.New(-1)}, &wire.Violation{Field: "grace", Problem: "is negative"}},
		"optional duration":       {&reportingv1.CreateReportingPluginRequest{Name: "n", ConfigDigest: make([]byte, 32), N: 1}, nil},
		"non_negative timestamp":  {&medianv1.ParsedAttributedObservation{Timestamp: &timestamppb.Timestamp{Seconds: -1}}, &wire.Violation{Field: "timestamp", Problem: "is before 1970"}},
		"timestamp out of range":  {&relayerv1.LatestHeadResponse{Timestamp: &timestamppb.Timestamp{Nanos: 1e9}}, &wire.Violation{Field: "timestamp", Problem: "is not a valid timestamp: proto: timestamp (nanos:1000000000) has out-of-range nanos"}},
		"timestamp before 1970":   {&relayerv1.LatestHeadResponse{Timestamp: &timestamppb.Timestamp{Seconds: -1}}, nil},
		"message without a rule":  {&pluginv1.DrainResponse{}, nil},
		"message of another kind": {&durationpb.Duration{Seconds: 1}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := wire.Check(test.message)
			if got != nil { // protobuf varies a space of its own texts on purpose
				got.Problem = strings.ReplaceAll(strings.ReplaceAll(got.Problem, "\u00a0", " "), "  ", " ")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestViolationAsStatus(t *testing.T) {
	t.Parallel()
	v := &wire.Violation{Field: "timestamp.round", Problem: "is 256; the largest value is 255"}
	s := v.Status("loop.reporting.v1.QueryRequest")
	if want := "loop.reporting.v1.QueryRequest.timestamp.round: is 256; the largest value is 255"; s.Code() != codes.InvalidArgument || s.Message() != want {
		t.Errorf("status is %s %q; want %q", s.Code(), s.Message(), want)
	}
	if b, ok := s.Details()[0].(*errdetails.BadRequest); !ok || b.GetFieldViolations()[0].GetField() != v.Field || b.GetFieldViolations()[0].GetDescription() != v.Problem {
		t.Errorf("details are %v", s.Details())
	}
	if want := "timestamp.round: is 256; the largest value is 255"; v.Error() != want {
		t.Errorf("Error is %q; want %q", v.Error(), want)
	}
}

func TestBigIntRoundTrip(t *testing.T) {
	t.Parallel()
	if wire.BigInt(nil) != nil || wire.Int(nil) != nil {
		t.Error("nil does not stay nil")
	}
	rapid.Check(t, func(t *rapid.T) {
		i := integer(t, "integer", 8*rapid.IntRange(8, 128).Draw(t, "bytes"), false)
		before := new(big.Int).Set(i)
		b := wire.BigInt(i)
		if v := wire.Check(b); v != nil {
			t.Fatalf("%s becomes %v, which breaks the contract: %v", i, b, v)
		}
		back := wire.Int(b)
		if back.Cmp(i) != 0 || i.Cmp(before) != 0 {
			t.Fatalf("%s became %s", before, back)
		}
		if again := wire.BigInt(back); !proto.Equal(b, again) {
			t.Fatalf("%s has two forms: %v and %v", i, b, again)
		}
		// Neither form shares memory with the other: whoever changes his own must not change it for others.
		back.Add(back, big.NewInt(1))
		for k := range b.GetMagnitude() {
			b.Magnitude[k]++
		}
		if i.Cmp(before) != 0 {
			t.Fatalf("changing a copy of %s made it %s", before, i)
		}
	})
}

// What decodes but is not canonical is refused by Check, and Int never panics on it.
func TestIntTakesAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := &pluginv1.BigInt{Negative: rapid.Bool().Draw(t, "negative"), Magnitude: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "magnitude")}
		canonical := proto.Equal(wire.BigInt(wire.Int(b)), b)
		if v := wire.Check(b); (v == nil) != canonical {
			t.Fatalf("%v is canonical: %t; Check says %v", b, canonical, v)
		}
	})
}
