package evm

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// served is the codec as a provider serves it.
var served = service.CodecServer{Codec: codec{}}

func number(n int64) *pluginv1.BigInt { return wire.BigInt(big.NewInt(n)) }

func observation(value *pluginv1.BigInt, seconds int64) *medianv1.ParsedAttributedObservation {
	return &medianv1.ParsedAttributedObservation{Timestamp: &timestamppb.Timestamp{Seconds: seconds}, Value: value,
		JuelsPerFeeCoin: number(1), GasPriceSubunits: number(0)}
}

func TestReportCodec(t *testing.T) {
	t.Parallel()
	limit := new(big.Int).Lsh(big.NewInt(1), 191)
	least := new(big.Int).Neg(limit)
	report, err := served.BuildReport(t.Context(),
		&medianv1.BuildReportRequest{Observations: []*medianv1.ParsedAttributedObservation{
			observation(wire.BigInt(new(big.Int).Sub(limit, big.NewInt(1))), 1), observation(wire.BigInt(least), 1<<32-1),
			observation(number(-7), 3),
		}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := served.MedianFromReport(t.Context(), &medianv1.MedianFromReportRequest{Report: report.GetReport()})
	if err != nil || wire.Int(answer.GetMedian()).Int64() != -7 {
		t.Errorf("the median is %v, %v, want -7", answer, err)
	}
	longest, err := served.MaxReportLength(t.Context(), &medianv1.MaxReportLengthRequest{N: 3})
	if err != nil || int(longest.GetMaxReportLength()) != len(report.GetReport()) {
		t.Errorf("MaxReportLength = %v, %v, the report has %d", longest, err, len(report.GetReport()))
	}

	many := make([]*medianv1.ParsedAttributedObservation, 32)
	for i := range many {
		many[i] = observation(number(1), 1)
	}
	cases := map[string]struct {
		observations []*medianv1.ParsedAttributedObservation
		want         string
	}{
		"none":     {nil, "observations: a report holds 1 to 31, got 0"},
		"too many": {many, "observations: a report holds 1 to 31, got 32"},
		"too large": {[]*medianv1.ParsedAttributedObservation{observation(wire.BigInt(limit), 1)},
			"observations[0].value: the report holds signed integers of 192 bits"},
		"nil value": {[]*medianv1.ParsedAttributedObservation{observation(nil, 1)},
			"observations[0].value: the report holds signed integers of 192 bits"},
		"late": {[]*medianv1.ParsedAttributedObservation{observation(number(1), 1<<32)},
			"observations[0].timestamp: the report holds seconds in 32 bits, got 4294967296"},
		"nil altogether": {[]*medianv1.ParsedAttributedObservation{nil},
			"observations[0].timestamp: the report holds seconds in 32 bits, got 0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := served.BuildReport(context.Background(), &medianv1.BuildReportRequest{Observations: c.observations})
			if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestReportVectors compares reports byte for byte with those of testdata/reports.py, which shares nothing with this
// code nor with libocr's: signatures of a network add up only if all its nodes order the observers of equal values
// alike.
func TestReportVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/reports.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors map[string]struct {
		Observers     []uint32
		Times         []int64
		Values, Juels []string
		Report        string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	sizes := map[int]bool{}
	integer := func(decimal string) *pluginv1.BigInt {
		i, ok := new(big.Int).SetString(decimal, 10)
		if !ok {
			t.Fatalf("%q is not an integer", decimal)
		}
		return wire.BigInt(i)
	}
	for name, v := range vectors {
		request := &medianv1.BuildReportRequest{}
		for i, value := range v.Values {
			request.Observations = append(request.Observations, &medianv1.ParsedAttributedObservation{
				Observer: v.Observers[i], Timestamp: &timestamppb.Timestamp{Seconds: v.Times[i]}, Value: integer(value),
				JuelsPerFeeCoin: integer(v.Juels[i]), GasPriceSubunits: number(0),
			})
		}
		sizes[len(v.Values)] = true
		response, err := served.BuildReport(t.Context(), request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(v.Report, hex.EncodeToString(response.GetReport())); diff != "" {
			t.Errorf("%s: report (-want +got):\n%s", name, diff)
		}
	}
	for n := 4; n <= aggregator.MaxSignatures; n++ {
		if !sizes[n] {
			t.Errorf("no vector has %d observers", n)
		}
	}
}

func TestOnchainConfigCodec(t *testing.T) {
	t.Parallel()
	config := &medianv1.OnchainConfig{Min: number(-5), Max: number(5)}
	encoded, err := served.EncodeOnchainConfig(t.Context(), &medianv1.EncodeOnchainConfigRequest{Config: config})
	if err != nil || len(encoded.GetEncoded()) != 49 {
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
		"reversed": {Min: number(1), Max: number(0)},
		"no min":   {Max: number(0)},
		"nothing":  nil,
		"huge":     {Min: number(0), Max: wire.BigInt(new(big.Int).Lsh(big.NewInt(1), 200))},
	} {
		if _, err := served.EncodeOnchainConfig(t.Context(),
			&medianv1.EncodeOnchainConfigRequest{Config: bad}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzMedianFromReport(f *testing.F) {
	report, err := served.BuildReport(context.Background(),
		&medianv1.BuildReportRequest{Observations: []*medianv1.ParsedAttributedObservation{observation(number(5), 1),
			observation(number(6), 2)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(report.GetReport())
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 192))
	f.Fuzz(func(t *testing.T, report []byte) {
		response, err := served.MedianFromReport(context.Background(), &medianv1.MedianFromReportRequest{Report: report})
		if err != nil && status.Code(err) != codes.InvalidArgument {
			t.Errorf("untrusted bytes give %v", err)
		}
		if err == nil && !fits(wire.Int(response.GetMedian())) {
			t.Errorf("the median %v is no int192", response)
		}
	})
}

func FuzzDecodeOnchainConfig(f *testing.F) {
	f.Add(append([]byte{1}, make([]byte, 48)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		response, err := served.DecodeOnchainConfig(context.Background(),
			&medianv1.DecodeOnchainConfigRequest{Encoded: encoded})
		if err != nil {
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("untrusted bytes give %v", err)
			}
			return
		}
		again, err := served.EncodeOnchainConfig(context.Background(),
			&medianv1.EncodeOnchainConfigRequest{Config: response.GetConfig()})
		if err != nil || !bytes.Equal(again.GetEncoded(), encoded) {
			t.Errorf("%x decodes to %v, which encodes to %x (%v)", encoded, response, again.GetEncoded(), err)
		}
	})
}
