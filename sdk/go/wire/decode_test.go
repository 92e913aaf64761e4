package wire_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	telemetryv1 "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Bytes that would take many times as much memory when they are decoded are refused before.
func TestDecodeBoundsElements(t *testing.T) {
	t.Parallel()
	element := []byte{1<<3 | 2, 0}
	for name, c := range map[string]struct {
		elements int
		into     proto.Message
		want     string // empty: it is decoded
	}{
		"a list much longer than its rule": {1 << 22, &telemetryv1.SendTelemetryRequest{},
			"loop.telemetry.v1.SendTelemetryRequest.entries: has more than 2000 elements; the limit is 1000"},
		"one for the check of its rule": {2000, &telemetryv1.SendTelemetryRequest{}, ""},
		"a list without a rule": {1 << 20, &relayerv1.ListNodeStatusesResponse{},
			"the message loop.relayer.v1.ListNodeStatusesResponse has more than 262144 elements"},
		"as long as may be": {1 << 18, &relayerv1.ListNodeStatusesResponse{}, ""},
	} {
		err := wire.Decode(bytes.Repeat(element, c.elements), c.into, nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

// What long messages leave is collected before it is much.
func TestMemoryCollects(t *testing.T) {
	collections := func() uint32 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.NumForcedGC
	}
	var m wire.Memory
	before := collections()
	m.Take(16 << 20)
	if n := collections() - before; n != 0 {
		t.Errorf("%d collections for the first message", n)
	}
	m.Take(1 << 20)
	for range 6 {
		m.Take(1 << 20)
	}
	if n := collections() - before; n != 1 {
		t.Errorf("%d collections after a message of 16 MiB and seven of 1 MiB; want 1", n)
	}
	m.Take(2 << 20)
	if n := collections() - before; n != 2 {
		t.Errorf("%d collections after 9 MiB more; want 2", n)
	}
	(*wire.Memory)(nil).Take(1 << 30)
}
