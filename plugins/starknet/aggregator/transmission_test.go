package aggregator

import (
	"strings"
	"testing"

	"github.com/loop-plugins/loop/plugins/stark"
)

func TestNewTransmission(t *testing.T) {
	t.Parallel()
	v := read(t)
	report := v.Reports[0]
	digest, err := stark.FromBytes(report.Context.Digest)
	if err != nil {
		t.Fatal(err)
	}
	felt := stark.FromUint64
	at := felt(uint64(report.Context.Epoch)<<8 | uint64(report.Context.Round))
	keys := []stark.Felt{Selector("NewTransmission"), felt(9), felt(0xacc)}
	data := []stark.Felt{felt(42), felt(1), felt(2), felt(3), felt(41), felt(42), felt(43), felt(7), felt(8), digest, at,
		felt(5)}
	want := NewTransmission{Digest: digest.Bytes(), Epoch: report.Context.Epoch, Round: report.Context.Round,
		Transmitter: felt(0xacc)}
	if got, err := ParseNewTransmission(keys, data); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	tooLong, tooLate := append(data[:3:3], felt(9)), append(data[:10:10], felt(1<<40), felt(5))
	for name, bad := range map[string]struct {
		keys, data []stark.Felt
		want       string
	}{
		"another event":       {append([]stark.Felt{Selector("ConfigSet")}, keys[1:]...), data, "selector of another event"},
		"no transmitter":      {keys[:2], data, "it ends after 2 elements, before transmitter"},
		"one key more":        {append(keys[:3:3], felt(1)), data, "it has 4 elements, and 3 are expected"},
		"many observations":   {keys, tooLong, "observations_len is 9, and there is room for 0"},
		"an epoch of 33 bits": {keys, tooLate, "epoch_and_round has 41 bits, and the contract's have at most 40"},
		"nothing":             {keys, nil, "it ends after 0 elements, before answer"},
		"no reimbursement":    {keys, data[:11], "it ends after 11 elements, before reimbursement"},
	} {
		if _, err := ParseNewTransmission(bad.keys, bad.data); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v; want %q", name, err, bad.want)
		}
	}
}
