package cli

import (
	"encoding/json"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Programs are told what tables show: digits, and not the bytes of messages.
func TestDocument(t *testing.T) {
	t.Parallel()
	v, err := document(&nodev1.ListObservationsResponse{Observations: []*nodev1.RoundObservation{
		{
			Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: []byte{0, 0xab}, Epoch: 4}, Errors: []string{"gas: a -> b"},
			Value: wire.BigInt(big.NewInt(-256)), Answer: wire.BigInt(new(big.Int)),
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"observations":[{"answer":"0","errors":["gas: a -\u003e b"],"gasPriceSubunits":null,"juelsPerFeeCoin":null,` +
		`"landed":false,"observedAt":null,"sendError":"","sentAt":null,"timestamp":{"configDigest":"00ab","epoch":4,"round":0},"took":null,"transmitter":"","value":"-256"}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
