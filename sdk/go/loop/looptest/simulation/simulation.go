// Package simulation runs the oracles of a product in one test and without a network. Each oracle has a reporting
// plugin, in its own process or inside the test's. Messages are lost and duplicated, oracles send nonsense, leaders
// change and plugins are restarted.
//
// It simulates OCR3's rounds over the interface of reporting plugins, but is not OCR3: nothing is signed, no time
// passes between phases, and the next leader repeats a round that brings no outcome. It checks what OCR3 relies on: all
// oracles compute the same outcomes and reports, byte for byte, whatever each was asked before and however often its
// plugin was restarted; they keep the limits that they declared; a quorum that was reached stays reached.
//
// It must not know any product. Its contract and report codec are those of package looptest.
package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
)

// Settings say what to run. Exactly one of Command and InProcess is required.
type Settings struct {
	// Command is the product's program and its arguments, and Env the environment of its processes. Each oracle has its
	// own process.
	Command []string
	Env     []string
	// InProcess is a product in Go to run inside this process, once for each oracle.
	InProcess *loop.Plugin
	// StartTimeout bounds the time from a process's start to its handshake; 0 means 30 s, as in a node.
	StartTimeout time.Duration
	// PluginConfigJSON is the job's pluginConfig, and ProviderType the type of its provider; empty means the first that
	// the product accepts.
	PluginConfigJSON []byte
	ProviderType     string
	// OnchainConfig and OffchainConfig are the product's parts of the contract's configuration.
	OnchainConfig, OffchainConfig []byte
	// N is the number of oracles, and F how many of them may be faulty; 0 and 0 mean 4 and 1.
	N, F int
	// Outcomes is the number of outcomes to agree on; 0 means 20.
	Outcomes int
	// Lose, Double, Garble and Restart are probabilities from 0 to 1: that a message is lost; that it is delivered
	// twice; that an observation arrives as nonsense, from at most F oracles in a round; that a plugin is restarted
	// before a phase of a round.
	Lose, Double, Garble, Restart float64
	// Seed chooses what happens. The same seed gives the same events if the product itself is deterministic.
	Seed uint64
	// Pipeline answers an oracle's run of a pipeline, once for each run_id. If it is nil, every pipeline results in the
	// number of the oracle plus 100.
	Pipeline func(oracle int, r *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error)
}

// Value returns the answer of a pipeline with one task that results in a JSON value, such as "1.5".
func Value(json string) *hostservicev1.RunResponse { return loan.Value(json) }

// Outcome is one outcome that the network agreed on.
type Outcome struct {
	SeqNr   uint64
	Query   []byte
	Outcome []byte
	// Observations are the observations that the outcome was made from.
	Observations []*reportingv1.AttributedObservation
	// Reports are the reports of the outcome.
	Reports []*reportingv1.ReportPlus
	// Transmitted are the oracles that transmitted each report, in order.
	Transmitted [][]int
}

// Result is the result of a simulation.
type Result struct {
	Outcomes []Outcome
	// Attempts counts rounds, including those without an outcome.
	Attempts int
	// Lost, Doubled, Garbled and Restarts count events.
	Lost, Doubled, Garbled, Restarts int
	// Errors are the errors of Query and Observation, one sentence each. An oracle with such an error takes no part in
	// its round.
	Errors []string
}

// mostAttempts is how many rounds in a row may bring no outcome.
const mostAttempts = 100

// Run simulates a network. Its error is one sentence that says how the product violated OCR3; the result says what
// happened before.
func Run(ctx context.Context, s Settings) (*Result, error) {
	if (len(s.Command) > 0) == (s.InProcess != nil) {
		return nil, errors.New("one of a command and an in-process plugin is wanted: say what to run")
	}
	if s.N == 0 && s.F == 0 {
		s.N, s.F = 4, 1
	}
	if s.F < 0 || 3*s.F >= s.N || s.N > 31 {
		return nil, fmt.Errorf(
			"OCR3 has no network of %d oracles of which %d may be faulty: 3*F is less than N, and N at most 31",
			s.N,
			s.F,
		)
	}
	s.Outcomes, s.StartTimeout = cmp.Or(s.Outcomes, 20), cmp.Or(s.StartTimeout, 30*time.Second)
	if s.Pipeline == nil {
		s.Pipeline = func(oracle int, _ *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) {
			return loan.Value(fmt.Sprint(100 + oracle)), nil
		}
	}
	n := &network{settings: s, random: rand.New(rand.NewPCG(s.Seed, 0)), result: &Result{}}
	defer n.close()
	for id := range s.N {
		n.oracles = append(n.oracles, newOracle(&n.settings, id))
	}
	var starts sync.WaitGroup // at the same time, because processes start slowly
	errs := make([]error, s.N)
	for id, o := range n.oracles {
		starts.Go(func() { errs[id] = o.begin(ctx) })
	}
	starts.Wait()
	for id, err := range errs {
		if err != nil {
			return n.result, fmt.Errorf("oracle %d: %w", id, err)
		}
	}
	return n.result, n.run(ctx)
}

// network is a running simulation.
type network struct {
	settings Settings
	random   *rand.Rand
	oracles  []*oracle
	result   *Result
}

func (n *network) close() {
	for _, o := range n.oracles {
		o.close()
	}
}

func (n *network) run(ctx context.Context) error {
	var previous []byte
	for seqNr := uint64(1); seqNr <= uint64(n.settings.Outcomes); {
		for attempts := 0; ; attempts++ {
			if attempts == mostAttempts {
				return fmt.Errorf(
					"the network rests at seq_nr %d: %d rounds in a row came to nothing%s",
					seqNr,
					attempts,
					n.lastError(),
				)
			}
			n.result.Attempts++
			r := &round{network: n, context: &reportingv1.OutcomeContext{SeqNr: seqNr, PreviousOutcome: previous}}
			r.leader = n.oracles[n.result.Attempts%len(n.oracles)]
			agreed, err := r.run(ctx)
			if err != nil {
				return fmt.Errorf("round %d, seq_nr %d: %w", n.result.Attempts, seqNr, err)
			}
			if ctx.Err() != nil {
				return fmt.Errorf("the simulation was ended at seq_nr %d: %w", seqNr, ctx.Err())
			}
			if agreed != nil {
				n.result.Outcomes = append(n.result.Outcomes, *agreed)
				previous = agreed.Outcome
				break
			}
		}
		seqNr++
	}
	return nil
}

func (n *network) lastError() string {
	if e := n.result.Errors; len(e) > 0 {
		return "; the latest error is " + e[len(e)-1]
	}
	return ""
}

func (n *network) chance(p float64) bool { return n.random.Float64() < p }

// lost decides whether a message is lost.
func (n *network) lost() bool {
	lost := n.chance(n.settings.Lose)
	if lost {
		n.result.Lost++
	}
	return lost
}

// times decides how often a message that is not lost is delivered.
func (n *network) times() int {
	if n.chance(n.settings.Double) {
		n.result.Doubled++
		return 2
	}
	return 1
}

// disturb restarts an oracle's plugin with the probability Restart.
func (n *network) disturb(ctx context.Context, o *oracle) error {
	if !n.chance(n.settings.Restart) {
		return nil
	}
	n.result.Restarts++
	if err := o.restart(ctx); err != nil {
		return fmt.Errorf("oracle %d after a restart: %w", o.id, err)
	}
	return nil
}
