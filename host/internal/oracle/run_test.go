package oracle

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// toldRounds checks what operators are told of the rounds of a feed: what was observed, what the network made of it,
// who sent it, and what the contract took of it.
func toldRounds(t *testing.T, oracles []*Oracle, contract *aggregator) {
	t.Helper()
	sent, taken := 0, contract.count()
	for at, o := range oracles {
		for _, round := range o.Observations(t.Context(), 100) {
			if round.GetAnswer() != nil && wire.Int(round.GetAnswer()).Int64() != 100 {
				t.Errorf("oracle %d has the answer %v", at, round.GetAnswer())
			}
			if round.GetSentAt() != nil {
				sent++
			}
		}
		if m := o.Facts().Members; m == nil || m.Index != at {
			t.Errorf("oracle %d is %+v", at, m)
		}
		told(t, at, o)
	}
	if sent < taken/2 { // one that was sent a moment ago may have no record yet
		t.Errorf("%d reports are told to be sent, and the contract took %d", sent, taken)
	}
	accepted, err := oracles[0].ContractAnswer(t.Context())
	if err != nil || accepted == nil || wire.Int(accepted.GetAnswer()).Int64() != 100 ||
		accepted.GetTimestamp().GetEpoch() == 0 || accepted.GetTransmitter() == "" {
		t.Errorf("the contract accepted %v, %v", accepted, err)
	}
}

// tookPart reports whether an oracle knows the answer of a round, and its clock beside those of the others. Three of
// four make rounds, so that the last may come to them late.
func tookPart(t *testing.T, o *Oracle) bool {
	return !o.Facts().Compared.IsZero() && slices.ContainsFunc(o.Observations(t.Context(), 100),
		func(r *nodev1.RoundObservation) bool { return r.GetAnswer() != nil })
}

// observedWhole reports whether an observation has all that belongs to one. The newest may be under way, and a busy
// machine does not end each in its time.
func observedWhole(r *nodev1.RoundObservation) bool {
	is := func(got *pluginv1.BigInt, want int64) bool {
		return got != nil && wire.Int(got).Cmp(big.NewInt(want)) == 0
	}
	return is(r.GetValue(), 100) && is(r.GetJuelsPerFeeCoin(), 7) && is(r.GetGasPriceSubunits(), 0) &&
		len(r.GetErrors()) == 0 && r.GetTook().AsDuration() > 0
}

// loggedAnswer checks what the log has of a transmission of a node's own.
func loggedAnswer(t *testing.T, nodes []*testNode) {
	t.Helper()
	line := regexp.MustCompile(handedOver + `[0-9]+ digest=[0-9a-f]{64} epoch=[1-9][0-9]* round=[1-9][0-9]* answer=100\n`)
	eventually(t, "a line with the answer of a report that a node handed over", func() bool {
		return slices.ContainsFunc(nodes, func(n *testNode) bool { return line.MatchString(n.logs.String()) })
	})
}

// told checks what an oracle knows of the contract's times, of its own, and of its clock beside those of the others.
func told(t *testing.T, at int, o *Oracle) {
	t.Helper()
	f := o.Facts()
	if f.Ready.IsZero() || f.Ready.After(time.Now()) {
		t.Errorf("oracle %d could begin at %s", at, f.Ready)
	}
	if f.Compared.IsZero() || f.Ahead.Abs() > time.Minute {
		t.Errorf("oracle %d is %s ahead of the others, at %s", at, f.Ahead, f.Compared)
	}
	if f.Report.Well == 0 {
		t.Errorf("oracle %d has made no report: %+v", at, f.Report)
	}
	if f.Members == nil || len(f.Members.Budgets) != 6 || f.Members.Budgets[2].Name != "MaxDurationObservation" ||
		f.Members.Budgets[2].Time <= 0 || o.Longest() <= 0 {
		t.Errorf("oracle %d took %s at most, and has the times %+v", at, o.Longest(), f.Members)
	}
}

// TestFeed runs four oracles on libocr's own network, each with the real median in a process of its own and a fake
// chain that they share, and breaks things under them.
func TestFeed(t *testing.T) {
	contract := newAggregator()
	var nodes []*testNode
	var locators []string
	for range 4 {
		n := newNode(t, nodeSettings{contract: contract})
		nodes = append(nodes, n)
		locators = append(locators, n.locator())
	}
	contract.verify = func(signer types.OnchainPublicKey, at types.ReportContext, report types.Report,
		signature []byte) bool {
		asked, err := hashed(t.Context(), &relayerv1.ReportToDigest{ReportContext: ocr2.ReportContextTo(at), Report: report})
		return err == nil && keystore.Secp256k1.VerifyReport(signer, asked.GetDigests()[0].GetMessage(), signature)
	}
	var keys []*keystore.Keystore
	for _, n := range nodes {
		keys = append(keys, n.keys)
	}
	config := contractConfig(t, keys...)
	first := contract.setConfig(config)
	registry := prometheus.NewRegistry()
	var oracles []*Oracle
	var settings []Settings
	for i, n := range nodes {
		s := n.job(n.spec(locators...)) // every oracle is a bootstrapper: none needs another process
		if i == 0 {
			s.Metrics = NewMetrics(registry)
		}
		settings = append(settings, s)
		oracles = append(oracles, n.start(s))
	}
	more := func(what string, n int) {
		t.Helper()
		from := contract.count()
		eventually(t, what, func() bool { return contract.count() >= from+n })
	}
	more("the first transmissions", 3)

	o := oracles[0]
	if digest, ok := o.ConfigDigest(); !ok || digest != first {
		t.Errorf("the oracle runs %s, %t; want %s", digest, ok, first)
	}
	if reason := o.Failed(); reason != "" {
		t.Errorf("failed: %s", reason)
	}
	for at, o := range oracles {
		eventually(t, fmt.Sprintf("a round of oracle %d", at), func() bool { return tookPart(t, o) })
	}
	eventually(t, "a whole observation", func() bool {
		return slices.ContainsFunc(o.Observations(t.Context(), 100), observedWhole)
	})
	toldRounds(t, oracles, contract)
	loggedAnswer(t, nodes)
	countedByLibocr(t, registry, settings[0].JobID)

	// Trap 3: the instance that libocr holds works again by itself, in every oracle at once.
	for _, n := range nodes {
		if err := syscall.Kill(n.median.Status().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		eventually(t, "the relaunch of a median", func() bool { return n.median.Status().Generation >= 2 })
		n.price.set("200")
	}
	eventually(t, "the new price", func() bool {
		contract.mu.Lock()
		defer contract.mu.Unlock()
		return contract.answer.Int64() == 200
	})
	more("transmissions with new medians", 2)

	// An adapter that fails is in the errors and the runs of the job, and the network goes on without the node.
	nodes[3].price.set("")
	eventually(t, "an error of the adapter", func() bool {
		return slices.ContainsFunc(oracles[3].Errors(), func(e hostservice.JobError) bool {
			return strings.HasPrefix(e.Message, "value: task parse (jsonparse): ") ||
				strings.HasPrefix(e.Message, "value: cannot make")
		})
	})
	runs, _, err := oracles[3].settings.History.Runs(t.Context(), 0, 1, true)
	if err != nil || len(runs) != 1 || !runs[0].Failed || runs[0].Epoch == 0 || len(runs[0].Trace.Tasks) != 2 {
		t.Errorf("failed runs %+v, %v", runs, err)
	}
	nodes[3].price.set("200")

	// Trap 10: a closed job has left the network, and the same configuration starts on the same peer at once.
	oracles[0].Close()
	oracles[0] = nodes[0].start(settings[0])
	nodes[0].price.set("300")
	eventually(t, "an observation of the restarted oracle", func() bool {
		return len(oracles[0].Observations(t.Context(), 10)) > 0
	})
	// With one of three others away, the feed lives only if the restarted one takes part.
	oracles[1].Close()
	more("transmissions with the restarted oracle", 2)
	oracles[1] = nodes[1].start(settings[1])

	// A new configuration is run by all, and instances of the old one are released.
	second := contract.setConfig(config)
	for i := range oracles {
		eventually(t, "the new configuration", func() bool {
			digest, _ := oracles[i].ConfigDigest()
			return digest == second
		})
	}
	more("transmissions under the new configuration", 2)
	for _, n := range nodes {
		instances := 0
		for _, object := range n.median.Status().Objects {
			if strings.HasPrefix(object.Name, "ReportingPlugin/") {
				instances++
			}
		}
		if instances != 1 {
			t.Errorf("the median has %d instances; want that of the new configuration alone", instances)
		}
	}
	countedByLibocr(t, registry, settings[0].JobID)
	for _, o := range oracles {
		o.Close()
	}
	if families, err := registry.Gather(); err != nil || len(families) > 0 {
		t.Errorf("after the end of the job its series are %v, %v", families, err)
	}
	for _, n := range nodes {
		if objects := n.median.Status().Objects; len(objects) > 0 {
			t.Errorf("after the end the median still has %v", objects)
		}
		if objects := n.relayer.Status().Objects; len(objects) != 1 {
			t.Errorf("after the end the relayer has %v; want the chain alone", objects)
		}
	}
}
