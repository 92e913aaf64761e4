package product

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"google.golang.org/grpc"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// The plugin keeps the contract.
func TestConformance(t *testing.T) {
	t.Parallel()
	p := productv1loop.ProductPlugin(func(h *loop.Host) productv1loop.ProductService { return New(h, "test") })
	looptest.Run(t, looptest.Settings{Kind: "product", InProcess: &p, Patience: 10})
}

// codec is not a relayer's: its reports are the values, in their order.
type codec struct {
	medianv1.ReportCodecServiceClient
}

func (codec) BuildReport(
	_ context.Context, r *medianv1.BuildReportRequest, _ ...grpc.CallOption,
) (*medianv1.BuildReportResponse, error) {
	var values []string
	for _, o := range r.GetObservations() {
		values = append(values, fmt.Sprintf("%d:%s", o.GetObserver(), wire.Int(o.GetValue())))
	}
	return &medianv1.BuildReportResponse{Report: []byte(strings.Join(values, " "))}, nil
}

// A report has what decodes, in the order of the values, and there is one if the median is sound.
func TestReport(t *testing.T) {
	t.Parallel()
	i := &instance{f: 1, logger: slog.New(slog.DiscardHandler)}
	i.loans.Provider.ReportCodecServiceClient = codec{}
	i.bounds = &medianv1.OnchainConfig{Min: wire.BigInt(big.NewInt(1)), Max: wire.BigInt(big.NewInt(9))}
	for want, sent := range map[string][]string{
		"1:3 3:3 0:7 2:12": {"100 7", "100 3", "100 12", "100 3"},
		"1:1 2:9 0:10":     {"100 10", "100 1", "100 9", "100 +1"},
		"":                 {"100 7", "100 3"},
	} {
		request := &reportingv1.ReportRequest{}
		for observer, text := range sent {
			request.Observations = append(request.Observations, &reportingv1.AttributedObservation{
				Observer: uint32(observer), Observation: []byte(text),
			})
		}
		response, err := i.Report(t.Context(), request)
		if err != nil || string(response.GetReport()) != want || response.GetShouldReport() != (want != "") {
			t.Errorf("of %q: %q, %v, error %v; want %q", sent, response.GetReport(), response.GetShouldReport(), err, want)
		}
	}
	out := &reportingv1.ReportRequest{}
	for observer := range uint32(3) {
		out.Observations = append(out.Observations,
			&reportingv1.AttributedObservation{Observer: observer, Observation: []byte("1 10")})
	}
	if response, err := i.Report(t.Context(), out); err != nil || response.GetShouldReport() {
		t.Errorf("an answer that the contract refuses is reported: %v, %v", response, err)
	}
}

// FuzzDecode checks that each observation has only one spelling.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"1 2", "4294967295 -1", "01 2", "1 +2", "1  2", "1 2 ", "-1 2", "",
		"1 " + strings.Repeat("9", 58)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if o, err := decode(encoded); err == nil && string(o.encode()) != string(encoded) {
			t.Errorf("%q was read as %q", encoded, o.encode())
		}
	})
}
