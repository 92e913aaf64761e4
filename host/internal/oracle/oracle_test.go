package oracle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/host/internal/job"
)

func TestStartRefusesWhatNoTimeMends(t *testing.T) {
	t.Parallel()
	n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{})})
	good := n.job(n.spec(n.locator()))
	for name, c := range map[string]struct {
		change func(*Settings)
		says   string
	}{
		"no peer":         {func(s *Settings) { s.Peer = nil }, "no Peer"},
		"no median":       {func(s *Settings) { s.Median = nil }, "no Median"},
		"no bundle":       {func(s *Settings) { s.Bundle = nil }, "no Bundle"},
		"no spec":         {func(s *Settings) { s.Spec = nil }, "no Spec"},
		"another product": {func(s *Settings) { spec := *s.Spec; spec.PluginType = "mercury"; s.Spec = &spec }, "mercury"},
		"no account": {func(s *Settings) {
			spec := *s.Spec
			spec.TransmitterID, spec.Validation = "", nil
			s.Spec = &spec
		}, "transmitterID"},
		"no source": {func(s *Settings) { spec := *s.Spec; spec.Observation = nil; s.Spec = &spec },
			"observationSource"},
		"a timeout too long": {func(s *Settings) { spec := *s.Spec; spec.BlockchainTimeout = time.Hour; s.Spec = &spec },
			"blockchain timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			c.change(&s)
			o, err := Start(t.Context(), s)
			if err == nil {
				o.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q does not say %q", err, c.says)
			}
		})
	}
	if objects := append(n.relayer.Status().Objects, n.median.Status().Objects...); len(objects) != 1 {
		t.Errorf("starts that failed left %v; want the chain alone", objects)
	}
	n.start(good) // nothing of theirs is in its way
}

func TestStartHearsTheVerdictOfPlugins(t *testing.T) {
	t.Parallel()
	t.Run("the relayer refuses", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{})})
		n.fake.become("refuse")
		_, err := Start(t.Context(), n.job(n.spec(n.locator())))
		if err == nil || !strings.Contains(err.Error(), "the fake refuses the contract") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the median refuses", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{mode: "refuse-factory"})})
		_, err := Start(t.Context(), n.job(n.spec(n.locator())))
		if err == nil || !strings.Contains(err.Error(), "deviation function") {
			t.Errorf("error %v", err)
		}
	})
	for mode, says := range map[string]string{"refuse-factory": "deviation function", "old-factory": "no such call"} {
		t.Run("the median is away and later has "+mode, func(t *testing.T) {
			t.Parallel()
			fake := &fakeMedian{mode: "away-factory"}
			n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(fake)})
			failed := make(chan string, 1)
			s := n.job(n.spec(n.locator()))
			s.Failed = func(reason string) { failed <- reason }
			o := n.start(s)
			if absent := o.Facts().Absent; len(absent) != 1 {
				t.Errorf("the job waits for %v", absent)
			}
			fake.become(mode)
			select {
			case reason := <-failed:
				if !strings.Contains(reason, says) || o.Failed() != reason || !o.Refused() {
					t.Errorf("failed with %q; the oracle says %q", reason, o.Failed())
				}
			case <-time.After(time.Minute):
				t.Error("the job did not fail visibly")
			}
			if absent := o.Facts().Absent; len(absent) != 0 {
				t.Errorf("the job still waits for %v", absent)
			}
		})
	}
}

func TestFailureEndsWithTheNextConfiguration(t *testing.T) {
	t.Parallel()
	contract := newAggregator()
	fake := &fakeMedian{mode: "refuse-config"}
	n := newNode(t, nodeSettings{contract: contract, inProcess: inProcess(fake)})
	_, second := newKeys(t)
	_, third := newKeys(t)
	_, fourth := newKeys(t)
	config := contractConfig(t, n.keys, second, third, fourth)
	contract.setConfig(config)
	s := n.job(n.spec(n.locator()))
	told := make(chan string, 10)
	s.Failed = func(reason string) { told <- reason }
	o := n.start(s)
	next := func() string {
		t.Helper()
		select {
		case reason := <-told:
			return reason
		case <-time.After(time.Minute):
			t.Fatal("nobody was told")
			return ""
		}
	}
	if reason := next(); !strings.Contains(reason, "the fake cannot run this configuration") || o.Failed() != reason ||
		!o.Refused() {
		t.Errorf("failed with %q; the oracle says %q", reason, o.Failed())
	}
	eventually(t, "an error of the job", func() bool { return len(o.Errors()) > 0 }) // libocr's, of the same refusal
	fake.become("")
	contract.setConfig(config)
	if reason := next(); reason != "" || o.Failed() != "" || o.Refused() {
		t.Errorf("failed with %q under a good configuration", reason)
	}
}

func TestStopWhileTheMedianIsAway(t *testing.T) {
	t.Parallel()
	n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{mode: "away-factory"})})
	o := n.start(n.job(n.spec(n.locator())))
	begin := time.Now()
	o.Close()
	o.Close()
	if took := time.Since(begin); took > slack {
		t.Errorf("the end took %s", took)
	}
	if log := n.logs.String(); strings.Contains(log, "releasing the job's objects failed") {
		t.Errorf("the end waited for a median that is away:\n%s", log)
	}
}

func TestBootstrapJob(t *testing.T) {
	t.Parallel()
	contract := newAggregator()
	n := newNode(t, nodeSettings{contract: contract, inProcess: inProcess(&fakeMedian{})})
	spec := n.parse(fmt.Sprintf(`
type = "bootstrap"
schemaVersion = 1
relay = "fake"
contractID = %q
contractConfigTrackerPollInterval = "1s"
[relayConfig]
chainID = 1337
`, contractAddress))
	if spec.Type != job.TypeBootstrap {
		t.Fatal(spec.Type)
	}
	s := n.job(spec)
	s.Median, s.Bundle, s.Pipelines = nil, nil, nil
	o := n.start(s)
	if _, ok := o.ConfigDigest(); ok {
		t.Error("there is a configuration before the contract has one")
	}
	_, second := newKeys(t)
	_, third := newKeys(t)
	_, fourth := newKeys(t)
	digest := contract.setConfig(contractConfig(t, n.keys, second, third, fourth))
	eventually(t, "the configuration", func() bool {
		got, ok := o.ConfigDigest()
		return ok && got == digest
	})
	if o.Observations(t.Context(), 5) != nil || o.Failed() != "" {
		t.Errorf("observations %v, failed %q", o.Observations(t.Context(), 5), o.Failed())
	}
	o.Close()
	if objects := n.relayer.Status().Objects; len(objects) != 1 {
		t.Errorf("after the end the relayer has %v; want the chain alone", objects)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]bool{
		codes.OK: false, codes.InvalidArgument: true, codes.FailedPrecondition: true, codes.Unavailable: false,
		codes.DeadlineExceeded: false, codes.Unimplemented: true, codes.AlreadyExists: true, codes.Internal: false,
	} {
		if got := refused(status.Error(code, "x")); got != want {
			t.Errorf("%s: %t; want %t", code, got, want)
		}
	}
}
