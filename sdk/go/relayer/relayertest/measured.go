package relayertest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
)

// measured are the metrics that every relayer has of a chain on which a job has transmitted.
var measured = []string{
	"loop_relayer_account_balance",
	"loop_relayer_account_unfunded",
	"loop_relayer_contract_answer",
	"loop_relayer_contract_answer_timestamp_seconds",
	"loop_relayer_head",
	"loop_relayer_landing_duration_seconds",
	"loop_relayer_queue_age_seconds",
	"loop_relayer_queue_length",
	"loop_relayer_rpc_call_duration_seconds",
	"loop_relayer_rpc_calls_total",
	"loop_relayer_rpc_node_up",
	"loop_relayer_transmissions_total",
}

// Measured checks the relayer's metrics of a chain on which a job has transmitted to a contract with the given newest
// answer.
func (f *Fixture) Measured(contract string, answer float64) {
	f.t.Helper()
	var names []string
	end := time.Now().Add(time.Minute)
	for ; len(names) < len(measured) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		families, err := f.Metrics.Gather()
		Must(f.t, err)
		names = nil
		for _, family := range families {
			if slices.Contains(measured, family.GetName()) { // the relayer may have others of its own
				names = append(names, family.GetName())
			}
		}
	}
	if d := cmp.Diff(measured, names); d != "" {
		f.t.Errorf("metrics (-want +got):\n%s", d)
	}
	answers := f.Gathered("loop_relayer_contract_answer", "contract")
	if d := cmp.Diff(map[string]float64{contract: answer}, answers); d != "" {
		f.t.Errorf("the answers of contracts (-want +got):\n%s", d)
	}
	if up := f.Gathered("loop_relayer_rpc_node_up", ""); up[""] == 0 {
		f.t.Error("no RPC node is up, but the chain was read")
	}
	for account, balance := range f.Gathered("loop_relayer_account_balance", "account") {
		if balance <= 0 {
			f.t.Errorf("account %s, which has paid for transactions, holds %v coins", account, balance)
		}
	}
}
