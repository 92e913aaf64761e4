package looptest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

// messageLengths are the lengths in bytes of what is signed, by algorithm; 0 means any length.
var messageLengths = map[relayerv1.ReportAlgorithm]int{
	relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS: 32,
	relayerv1.ReportAlgorithm_REPORT_ALGORITHM_ED25519:           0,
	relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK:             32,
}

func relayerReportDigest(ctx context.Context, b *bench) error {
	l, d, err := b.described(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	report, err := l.report(ctx, child, 42)
	if err != nil {
		return err
	}
	other, err := l.report(ctx, child, 43)
	if err != nil {
		return err
	}
	digest := func(reports ...*relayerv1.ReportToDigest) ([]*relayerv1.ReportDigest, error) {
		return l.digest(ctx, child, d, reports)
	}
	at := func(change func(*reportingv1.ReportContext)) *reportingv1.ReportContext {
		c := &reportingv1.ReportContext{Timestamp: round(7), ExtraHash: bytes.Repeat([]byte{3}, 32)}
		c.Timestamp.ConfigDigest[0] = 0
		change(c)
		return c
	}
	all := map[string]*relayerv1.ReportToDigest{
		"the report":    {ReportContext: at(func(*reportingv1.ReportContext) {}), Report: report},
		"other bytes":   {ReportContext: at(func(*reportingv1.ReportContext) {}), Report: other},
		"another epoch": {ReportContext: at(func(c *reportingv1.ReportContext) { c.Timestamp.Epoch++ }), Report: report},
		"another round": {ReportContext: at(func(c *reportingv1.ReportContext) { c.Timestamp.Round++ }), Report: report},
		"another digest": {ReportContext: at(func(c *reportingv1.ReportContext) { c.Timestamp.ConfigDigest[31]++ }),
			Report: report},
		"another extra": {ReportContext: at(func(c *reportingv1.ReportContext) { c.ExtraHash[31]++ }), Report: report},
	}
	if err := distinct(all, digest); err != nil {
		return err
	}
	// Another oracle may send anything.
	_, err = digest(&relayerv1.ReportToDigest{ReportContext: at(func(*reportingv1.ReportContext) {})},
		&relayerv1.ReportToDigest{ReportContext: at(func(c *reportingv1.ReportContext) {
			c.Timestamp.ConfigDigest[0] = 0xff
		}), Report: bytes.Repeat([]byte{0xff}, 1000)})
	return err
}

// distinct checks that reports, which are named by how each differs, have different digests, and the same ones alone as
// together.
func distinct(all map[string]*relayerv1.ReportToDigest,
	digest func(...*relayerv1.ReportToDigest) ([]*relayerv1.ReportDigest, error)) error {
	names := slices.Sorted(maps.Keys(all))
	var together []*relayerv1.ReportToDigest
	for _, name := range names {
		together = append(together, all[name])
	}
	digests, err := digest(together...)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	for i, name := range names {
		alone, err := digest(all[name])
		if err != nil {
			return err
		}
		if !proto.Equal(alone[0], digests[i]) {
			return fmt.Errorf("ReportDigestService.DigestReports of %d reports answers another digest at %d than of that "+
				"report alone; want them in the order of the reports", len(names), i)
		}
		if problem := digests[i].GetProblem(); problem != "" {
			return fmt.Errorf("ReportDigestService.DigestReports refuses %s that the provider's own codec made: %s", name,
				cut(problem))
		}
		if twin := seen[string(digests[i].GetMessage())]; twin != "" {
			return fmt.Errorf("ReportDigestService.DigestReports answers the same for %s and for %s; want whatever is part of "+
				"a report signed", twin, name)
		}
		seen[string(digests[i].GetMessage())] = name
	}
	return nil
}

// digest has a provider digest reports, and checks each answer against what the relayer says of itself.
func (l *generation) digest(ctx context.Context, provider string, d *relayerv1.DescribeRelayerResponse,
	reports []*relayerv1.ReportToDigest) ([]*relayerv1.ReportDigest, error) {
	const method = "ReportDigestService.DigestReports"
	var r relayerv1.DigestReportsResponse
	if err := l.call(ctx, provider, relayerv1.ReportDigestService_DigestReports_FullMethodName,
		&relayerv1.DigestReportsRequest{Reports: reports}, &r); err != nil {
		return nil, wrap(method, err)
	}
	if got := len(r.GetDigests()); got != len(reports) {
		return nil, fmt.Errorf("%s of %d reports answers %d digests; want one for each", method, len(reports), got)
	}
	for _, digest := range r.GetDigests() {
		if digest.GetProblem() != "" {
			if digest.GetScheme() != "" || len(digest.GetMessage()) > 0 {
				return nil, fmt.Errorf("%s answers a scheme or a message beside the problem %q; want nothing to sign", method,
					cut(digest.GetProblem()))
			}
			continue
		}
		i := slices.IndexFunc(d.GetReportSchemes(), func(s *relayerv1.ReportScheme) bool {
			return s.GetName() == digest.GetScheme()
		})
		if i < 0 {
			return nil, fmt.Errorf("%s answers the scheme %q, which DescribeRelayer does not have", method, digest.GetScheme())
		}
		algorithm := d.GetReportSchemes()[i].GetAlgorithm()
		if length := messageLengths[algorithm]; len(digest.GetMessage()) == 0 ||
			length > 0 && len(digest.GetMessage()) != length {
			return nil, fmt.Errorf("%s answers %d bytes to be signed by %s, which signs %d", method, len(digest.GetMessage()),
				algorithm, length)
		}
	}
	return r.GetDigests(), nil
}
