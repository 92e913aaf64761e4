package looptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// observations are one of each value, from different oracles.
func observations(values ...int64) *medianv1.BuildReportRequest {
	r := &medianv1.BuildReportRequest{}
	for i, v := range values {
		r.Observations = append(r.Observations, &medianv1.ParsedAttributedObservation{
			Timestamp: &timestamppb.Timestamp{Seconds: 1_700_000_000 + int64(i)}, Value: wire.BigInt(big.NewInt(v)),
			JuelsPerFeeCoin: wire.BigInt(big.NewInt(7)), GasPriceSubunits: wire.BigInt(new(big.Int)), Observer: uint32(i),
		})
	}
	return r
}

// report has a provider's own codec make a report.
func (l *generation) report(ctx context.Context, provider string, value int64) ([]byte, error) {
	var built medianv1.BuildReportResponse
	if err := l.call(ctx, provider, medianv1.ReportCodecService_BuildReport_FullMethodName,
		observations(value, value+1, value+2), &built); err != nil {
		return nil, wrap("ReportCodecService.BuildReport of three observations", err)
	}
	return built.GetReport(), nil
}

// onchainConfig has a provider's own codec encode the bounds of answers.
func (l *generation) onchainConfig(ctx context.Context, provider string, least, most int64) ([]byte, error) {
	var r medianv1.EncodeOnchainConfigResponse
	err := l.call(ctx, provider, medianv1.OnchainConfigCodecService_EncodeOnchainConfig_FullMethodName,
		&medianv1.EncodeOnchainConfigRequest{
			Config: &medianv1.OnchainConfig{Min: wire.BigInt(big.NewInt(least)), Max: wire.BigInt(big.NewInt(most))}}, &r)
	return r.GetEncoded(), err
}

func relayerDigest(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	var prefix relayerv1.ConfigDigestPrefixResponse
	if err := l.call(ctx, child, relayerv1.ContractConfigService_ConfigDigestPrefix_FullMethodName,
		&relayerv1.ConfigDigestPrefixRequest{}, &prefix); err != nil {
		return wrap("ContractConfigService.ConfigDigestPrefix", err)
	}
	compute := func(c *relayerv1.ContractConfig) ([]byte, error) {
		var r relayerv1.ConfigDigestResponse
		err := l.call(ctx, child, relayerv1.ContractConfigService_ConfigDigest_FullMethodName,
			&relayerv1.ConfigDigestRequest{Config: c}, &r)
		if err != nil {
			return nil, wrap("ContractConfigService.ConfigDigest", err)
		}
		return r.GetConfigDigest(), nil
	}
	bounds, err := l.onchainConfig(ctx, child, 1, 1_000_000)
	if err != nil {
		return wrap("OnchainConfigCodecService.EncodeOnchainConfig", err)
	}
	config := &relayerv1.ContractConfig{ConfigDigest: digest(0), ConfigCount: 1, Signers: b.settings.Relayer.Signers,
		Transmitters: b.settings.Relayer.Transmitters,
		F:            1, OnchainConfig: bounds, OffchainConfigVersion: 2, OffchainConfig: []byte("conformance")}
	first, err := compute(config)
	if err != nil {
		return err
	}
	if got := uint32(first[0])<<8 | uint32(first[1]); got != prefix.GetPrefix() {
		return fmt.Errorf("a config digest begins with %#04x; want the chain's prefix %#04x", got, prefix.GetPrefix())
	}
	for what, change := range map[string]func(*relayerv1.ContractConfig){
		"config_count":            func(c *relayerv1.ContractConfig) { c.ConfigCount++ },
		"signers":                 func(c *relayerv1.ContractConfig) { slices.Reverse(c.Signers) },
		"transmitters":            func(c *relayerv1.ContractConfig) { slices.Reverse(c.Transmitters) },
		"f":                       func(c *relayerv1.ContractConfig) { c.F = 0 },
		"offchain_config_version": func(c *relayerv1.ContractConfig) { c.OffchainConfigVersion++ },
		"offchain_config":         func(c *relayerv1.ContractConfig) { c.OffchainConfig = []byte("another") },
	} {
		other := proto.CloneOf(config)
		change(other)
		got, err := compute(other)
		if err != nil {
			return fmt.Errorf("with another %s: %w", what, err)
		}
		if bytes.Equal(got, first) {
			return fmt.Errorf("two configurations that differ in %s have one digest", what)
		}
	}
	config.ConfigDigest = digest(9)
	again, err := compute(config)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, again) {
		return errors.New("the digest of a configuration depends on the digest that stands in it; want that one ignored")
	}
	return nil
}

func relayerReport(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	for _, values := range [][]int64{{5}, {1, 2}, {3, 1, 2}, {4, 4, 1, 9}, {-1, -7, 3, 0, 12}, {10, 9, 8, 7, 6, 5, 4}} {
		var built, turned medianv1.BuildReportResponse
		request := observations(values...)
		err := l.call(ctx, child, medianv1.ReportCodecService_BuildReport_FullMethodName, request, &built)
		if b.settings.Relayer.Unsigned && slices.Min(values) < 0 {
			if err := want("ReportCodecService.BuildReport of negative values, which this chain's reports do not hold,", err,
				codes.InvalidArgument); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return wrap(fmt.Sprintf("ReportCodecService.BuildReport of %v", values), err)
		}
		slices.SortStableFunc(request.Observations, func(a, b *medianv1.ParsedAttributedObservation) int {
			return wire.Int(a.GetValue()).Cmp(wire.Int(b.GetValue()))
		})
		sorted := slices.Sorted(slices.Values(values))
		if len(slices.Compact(slices.Clone(sorted))) == len(values) { // equal values may name their observers in any order
			if err := l.call(ctx, child, medianv1.ReportCodecService_BuildReport_FullMethodName, request, &turned); err != nil {
				return err
			}
			if !bytes.Equal(built.GetReport(), turned.GetReport()) {
				return fmt.Errorf("the report of %v depends on the order of the observations; all oracles must make one", values)
			}
		}
		var answer medianv1.MedianFromReportResponse
		if err := l.call(ctx, child, medianv1.ReportCodecService_MedianFromReport_FullMethodName,
			&medianv1.MedianFromReportRequest{Report: built.GetReport()}, &answer); err != nil {
			return wrap(fmt.Sprintf("ReportCodecService.MedianFromReport of the report of %v", values), err)
		}
		if got := wire.Int(answer.GetMedian()); got.Cmp(big.NewInt(sorted[len(sorted)/2])) != 0 {
			return fmt.Errorf("the answer of the report of %v is %s; want the observation of rank n/2, %d", values, got,
				sorted[len(sorted)/2])
		}
		var bound medianv1.MaxReportLengthResponse
		if err := l.call(ctx, child, medianv1.ReportCodecService_MaxReportLength_FullMethodName,
			&medianv1.MaxReportLengthRequest{N: uint32(len(values))}, &bound); err != nil {
			return wrap("ReportCodecService.MaxReportLength", err)
		}
		if len(built.GetReport()) > int(bound.GetMaxReportLength()) {
			return fmt.Errorf("the report of %v has %d bytes; MaxReportLength says %d", values, len(built.GetReport()),
				bound.GetMaxReportLength())
		}
	}
	return nil
}

func relayerUntrustedReport(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	good, err := l.report(ctx, child, 42)
	if err != nil {
		return err
	}
	for what, report := range map[string][]byte{"no bytes": nil, "a byte": {1}, "half a report": good[:len(good)/2],
		"ones": bytes.Repeat([]byte{0xff}, len(good))} {
		err := l.call(ctx, child, medianv1.ReportCodecService_MedianFromReport_FullMethodName,
			&medianv1.MedianFromReportRequest{Report: report}, &medianv1.MedianFromReportResponse{})
		if err := want("ReportCodecService.MedianFromReport of "+what, err, codes.InvalidArgument); err != nil {
			return err
		}
	}
	late := observations(1, 2, 3)
	late.Observations[1].Timestamp.Seconds = 1 << 32
	err = l.call(ctx, child, medianv1.ReportCodecService_BuildReport_FullMethodName, late, &medianv1.BuildReportResponse{})
	return want("ReportCodecService.BuildReport with a time that does not fit 32 bits", err, codes.InvalidArgument)
}

func relayerOnchainConfig(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	encode := func(least, most int64) ([]byte, error) { return l.onchainConfig(ctx, child, least, most) }
	encoded, err := encode(1, 1_000_000)
	if err != nil {
		return wrap("OnchainConfigCodecService.EncodeOnchainConfig", err)
	}
	var decoded medianv1.DecodeOnchainConfigResponse
	if err := l.call(ctx, child, medianv1.OnchainConfigCodecService_DecodeOnchainConfig_FullMethodName,
		&medianv1.DecodeOnchainConfigRequest{Encoded: encoded}, &decoded); err != nil {
		return wrap("OnchainConfigCodecService.DecodeOnchainConfig of what was encoded", err)
	}
	if least, most := wire.Int(decoded.GetConfig().GetMin()), wire.Int(decoded.GetConfig().GetMax()); least.Int64() != 1 ||
		most.Int64() != 1_000_000 {
		return fmt.Errorf("the bounds 1 and 1000000 came back as %s and %s", least, most)
	}
	_, err = encode(2, 1)
	if err := want("OnchainConfigCodecService.EncodeOnchainConfig with min above max", err,
		codes.InvalidArgument); err != nil {
		return err
	}
	err = l.call(ctx, child, medianv1.OnchainConfigCodecService_DecodeOnchainConfig_FullMethodName,
		&medianv1.DecodeOnchainConfigRequest{Encoded: encoded[:len(encoded)-1]}, &decoded)
	return want("OnchainConfigCodecService.DecodeOnchainConfig of a byte too few", err, codes.InvalidArgument)
}
