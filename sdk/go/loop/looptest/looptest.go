// Package looptest tests plugins against the contract between a node and its plugins: any command, written in any
// language, and Go plugins inside the test's own process. Run is for tests of plugins, Check for programs such as
// tools/conformance.
//
// A case is one promise of the contract. It calls the plugin as a host would, over connections and fakes of its own, so
// that it can also do what no host does, and fails with one sentence if the promise is not kept. docs/conformance.md
// lists the cases.
//
// The package must not know any chain or product beyond the contract and the vectors, nor import the host.
package looptest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Settings say what to judge. Kind and one of Command and InProcess are required.
type Settings struct {
	// Kind is "median", "product" or "relayer".
	Kind string
	// Command is the plugin's program and its arguments.
	Command []string
	// Env is the environment of the process. As under a node, it inherits only PATH and the folder for temporary files.
	Env []string
	// InProcess is a Go plugin to run inside this process. Cases about processes are left out.
	InProcess *loop.Plugin
	// GRPC makes plugin and suite call each other over gRPC only; otherwise they use frames (docs/wire.md) if the
	// plugin supports them.
	GRPC bool
	// Run chooses cases by their names; nil means all.
	Run *regexp.Regexp
	// KnownFailures are the names of cases that are expected to fail, with the reasons. They run anyway.
	KnownFailures map[string]string
	// Relayer configures tests of a relayer; the zero value means DefaultRelayer.
	Relayer Relayer
	// Product configures tests of a product.
	Product Product
	// StartTimeout bounds the time from a process's start to its handshake; 0 means 30 s, as in a node.
	StartTimeout time.Duration
	// Patience multiplies the other bounds, for a busy machine; 0 means 1.
	Patience int
	// Progress, if set, is called with each result as soon as there is one.
	Progress func(Result)
}

// Relayer is the input for a relayer under test. The contract prescribes none of it.
type Relayer struct {
	// ChainID is the chain's id as operators write it.
	ChainID string
	// ConfigTOML is the chain's section of a node's configuration. In it, $RPC_URL stands for the address of the
	// suite's JSON-RPC server. Without it, the relayer uses a chain that the suite cannot see.
	ConfigTOML string
	// NodeURL is the HTTP address of a node to which the suite's JSON-RPC server passes requests on. If it is empty,
	// the server is a fake that answers like an idle EVM chain of id ChainID.
	NodeURL string
	// ContractID, TransmitterID and RelayConfigJSON come from a job.
	ContractID, TransmitterID, RelayConfigJSON string
	// Signers and Transmitters are those of the contract configuration whose digest the suite asks for.
	Signers      [][]byte
	Transmitters []string
	// Signature is a signature in the chain's form.
	Signature []byte
	// SignedHash is the hash of a transaction that the chain's accounts sign; nil if they sign something else, or if
	// the suite does not know what.
	SignedHash func(transaction []byte) []byte
	// Unsigned says that reports of the chain cannot hold negative values: the relayer must refuse them.
	Unsigned bool
}

// DefaultRelayer suits relayers of EVM chains that are configured like loop-evm.
func DefaultRelayer() Relayer {
	r := Relayer{
		ChainID: "1337",
		ConfigTOML: "ChainID = '1337'\nPollInterval = '100ms'\nRequestTimeout = '2s'\n\n[[Nodes]]\nName = " +
			"'conformance'\nHTTPURL = '$RPC_URL'\n",
		ContractID:      "0x00000000000000000000000000000000000000c0",
		TransmitterID:   "0x0000000000000000000000000000000000000011",
		RelayConfigJSON: `{"chainID":"1337"}`,
		Signature:       make([]byte, 65),
	}
	for i := range 4 {
		r.Signers = append(r.Signers, append(make([]byte, 19), byte(i+1)))
		r.Transmitters = append(r.Transmitters, fmt.Sprintf("0x%040d", i+1))
	}
	return r
}

// Product is the input for a product under test. Its zero value suits products that need no configuration.
type Product struct {
	// PluginConfigJSON is the job's pluginConfig; empty means {}.
	PluginConfigJSON string
	// OnchainConfig and OffchainConfig are the product's parts of the contract's configuration.
	OnchainConfig, OffchainConfig []byte
	// Value is the result of every pipeline, as JSON; empty means 100.
	Value string
}

// State is how a case ended.
type State string

// The states of results.
const (
	// Passed means that the plugin keeps the promise.
	Passed State = "ok"
	// Failed means that it does not.
	Failed State = "failed"
	// Known means that it does not, as expected.
	Known State = "known"
	// Fixed means that it keeps the promise although the case is listed as a known failure.
	Fixed State = "fixed"
	// Skipped means that the case does not apply to this plugin; Reason says why.
	Skipped State = "skipped"
)

// Result is a case and how it ended.
type Result struct {
	Name string `json:"name"`
	// About says what the case is about, in one sentence.
	About string `json:"about"`
	State State  `json:"state"`
	// Reason is one sentence; empty if the case passed.
	Reason string `json:"reason,omitempty"`
	// Stderr is, for a failed case, the end of what the plugin wrote to stderr meanwhile: at most 20 lines and 8 KiB,
	// without control characters, RPC addresses and values of the environment.
	Stderr []string `json:"stderr,omitempty"`
	// Took is in nanoseconds.
	Took time.Duration `json:"took"`
}

// Explanation returns the reason and, on lines of their own, the end of stderr; empty if the case passed.
func (r Result) Explanation() string {
	if len(r.Stderr) == 0 {
		return r.Reason
	}
	return r.Reason + "\nthe end of its stderr:\n| " + strings.Join(r.Stderr, "\n| ")
}

// Run tests a plugin in a Go test: each case is a subtest.
func Run(t *testing.T, s Settings) {
	t.Helper()
	cases, b, err := prepare(s)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			switch r := b.judge(t.Context(), c); r.State {
			case Failed:
				t.Error(r.Explanation())
			case Skipped, Known:
				t.Skip(r.Explanation())
			case Fixed:
				t.Log(r.Reason)
			case Passed:
			}
		})
	}
}

// Check tests a plugin and returns the results in the order of the cases. It returns an error if nothing could be
// tested.
func Check(ctx context.Context, s Settings) ([]Result, error) {
	cases, b, err := prepare(s)
	if err != nil {
		return nil, err
	}
	defer b.close()
	var results []Result
	for _, c := range cases {
		if err := ctx.Err(); err != nil {
			return results, fmt.Errorf("the run was ended after %d of %d cases: %w", len(results), len(cases), err)
		}
		r := b.judge(ctx, c)
		results = append(results, r)
		if s.Progress != nil {
			s.Progress(r)
		}
	}
	return results, nil
}

// Cases returns the cases of a kind, without results, in order.
func Cases(kind string) ([]Result, error) {
	all, err := table(kind)
	if err != nil {
		return nil, err
	}
	var list []Result
	for _, c := range all {
		list = append(list, Result{Name: c.name, About: c.about})
	}
	return list, nil
}

// check is one case.
type check struct {
	name, about string
	// process says that the case is about processes.
	process bool
	run     func(context.Context, *bench) error
}

// skip is the error of a case that does not apply.
type skip struct{ why string }

// Error implements error.
func (s skip) Error() string { return s.why }

// table lists the cases of a kind.
func table(kind string) ([]check, error) {
	all := slices.Concat(handshakeCases(), objectCases(), callCases(), lifecycleCases())
	switch kind {
	case "median":
		vectors, err := vectorCases()
		if err != nil {
			return nil, err
		}
		all = slices.Concat(all, medianCases(), vectors)
	case "product":
		all = append(all, productCases()...)
	case "relayer":
		all = append(all, relayerCases()...)
	default:
		return nil, fmt.Errorf("the kind %q is not known: want median, product or relayer", kind)
	}
	return slices.Concat(all, inputCases(kind)), nil
}

func prepare(s Settings) ([]check, *bench, error) {
	all, err := table(s.Kind)
	if err != nil {
		return nil, nil, err
	}
	if (len(s.Command) > 0) == (s.InProcess != nil) {
		return nil, nil, errors.New("one of a command and an in-process plugin is wanted: say what to judge")
	}
	for name := range s.KnownFailures {
		if !slices.ContainsFunc(all, func(c check) bool { return c.name == name }) {
			return nil, nil, fmt.Errorf(
				"the known failure %q is not a case of kind %s: remove it from the list or correct its name", name, s.Kind)
		}
	}
	if s.Run != nil {
		all = slices.DeleteFunc(all, func(c check) bool { return !s.Run.MatchString(c.name) })
		if len(all) == 0 {
			return nil, nil, fmt.Errorf("no case of kind %s has a name that matches %s", s.Kind, s.Run)
		}
	}
	b, err := newBench(s)
	return all, b, err
}

func kindOf(name string) wire.Kind {
	switch name {
	case "product":
		return productv1loop.ProductKind()
	case "relayer":
		return relayerv1loop.RelayerKind()
	}
	return medianv1loop.MedianKind()
}

const (
	// caseTimeout is far longer than any case takes if the plugin answers at all, without the starts of its processes.
	caseTimeout = 90 * time.Second
	// mostStarts is how many processes a case starts at most, one after another: the disturbed network of a product has
	// four oracles, and restarts some.
	mostStarts = 10
)

// judge runs one case.
func (b *bench) judge(ctx context.Context, c check) Result {
	r := Result{Name: c.name, About: c.about, State: Passed}
	ctx, cancel := context.WithTimeout(ctx, b.within(caseTimeout)+mostStarts*b.settings.StartTimeout)
	defer cancel()
	begin, before := time.Now(), b.begin()
	var err error
	if c.process && b.settings.InProcess != nil {
		err = skip{"it is about processes, and the plugin runs inside this one"}
	} else {
		err = b.finish(c.run(ctx, b))
	}
	r.Took = time.Since(begin)
	why, known := b.settings.KnownFailures[c.name]
	var s skip
	switch {
	case errors.As(err, &s):
		r.State, r.Reason = Skipped, s.why
	case err != nil && known:
		r.State, r.Reason = Known, fmt.Sprintf("%s (known: %s)", oneLine(err), why)
	case err != nil:
		r.State, r.Reason = Failed, oneLine(err)
	case known:
		r.State, r.Reason = Fixed, fmt.Sprintf("it passes although it is listed as a known failure (%s): remove it from "+
			"the list", why)
	}
	if r.State == Failed || r.State == Known {
		r.Stderr = b.stderr(before)
	}
	return r
}

func oneLine(err error) string { return printable(strings.Join(strings.Fields(err.Error()), " ")) }
