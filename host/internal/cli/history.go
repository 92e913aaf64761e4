package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// jobID reads a job's id.
func jobID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, exit(ExitUsage, fmt.Errorf("%q is not a job's id; see: loop jobs list", text))
	}
	return id, nil
}

const (
	// shownErrors is how many of a job's errors loop jobs show has.
	shownErrors = 3
	// errorWidth is the width of an error in a line with other things.
	errorWidth = 160
)

func (c *command) showJob() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show what a job does: its state, oracle, peers, last rounds and accounts",
		ValidArgsFunction: c.complete(jobIDs),
		Args:              one("a job's id"),
		Example:           "  loop jobs show 1",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := jobID(args[0])
			if err != nil {
				return err
			}
			r, err := call(cmd.Context(), c, api.ShowJob, &nodev1.ShowJobRequest{Id: id})
			if err != nil {
				return err
			}
			if err := c.show(r, func(w io.Writer) { jobLines(w, r) }); err != nil || c.json || len(r.GetRounds()) == 0 {
				return err
			}
			_, _ = fmt.Fprintln(c.streams.Out)
			return c.show(r, func(w io.Writer) { roundTable(w, r) })
		},
	}
}

// jobLines describe a job, one line for each property.
func jobLines(w io.Writer, r *nodev1.ShowJobResponse) {
	j := r.GetJob()
	line := func(what, format string, args ...any) { row(w, what, fmt.Sprintf(format, args...)) }
	line("job", "%d  %s", j.GetId(), dash(j.GetName()))
	line("type", "%s on %s", j.GetType(), dash(j.GetRelay()))
	line("contract", "%s", dash(j.GetContractId()))
	line("state", "%s for %s", stateName(j), age(j.GetStateSince()))
	if j.GetReason() != "" {
		line("reason", "%s", j.GetReason())
	}
	if j.GetRemedy() != "" {
		line("what to do", "%s", j.GetRemedy())
	}
	digest := "none runs"
	if d := j.GetConfigDigest(); len(d) > 0 {
		digest = fmt.Sprintf("%x", d)
	}
	line("config digest", "%s", digest)
	switch {
	case r.OracleIndex != nil:
		line("oracle", "%d of %d, of which %d may fail", r.GetOracleIndex(), r.GetOracles(), r.GetFaulty())
	case r.GetOracles() > 0:
		line("oracle", "not one of the %d", r.GetOracles())
	}
	if len(r.GetPeers()) > 0 {
		line("peers heard", "%s", peersHeard(r.GetPeers()))
	}
	if a := r.GetContractAnswer(); a != nil {
		line("on the contract", "%s of round %s, %s ago", integer(a.GetAnswer()), roundName(a.GetTimestamp()),
			age(a.GetTransmittedAt()))
	}
	if r.GetTransmitter() != "" {
		line("transmitter", "%s%s", r.GetTransmitter(), funds(r.GetAccount()))
	}
	if r.GetChainTrouble() != "" {
		line("chain", "%s", r.GetChainTrouble())
	}
	for at, e := range j.GetErrors() {
		if at == shownErrors {
			line("", "%s: loop jobs errors %d", plural(len(j.GetErrors())-at, "other error"), j.GetId())
			break
		}
		what := ""
		if at == 0 {
			what = "last errors"
		}
		line(what, "%s ago, %s: %s", age(e.GetLastAt()), times(e.GetCount()), shorten(e.GetMessage(), errorWidth))
	}
}

func stateName(j *nodev1.Job) string {
	return strings.ToLower(strings.TrimPrefix(j.GetState().String(), "JOB_STATE_"))
}

// peersHeard counts the peers that are heard, and says of the others since when they were not.
func peersHeard(peers []*nodev1.Peer) string {
	heard := 0
	var silent []string
	for _, p := range peers {
		at := p.GetHeardAt()
		switch {
		case p.GetHeard():
			heard++
		case at == nil:
			silent = append(silent, fmt.Sprintf("oracle %d never", p.GetOracleIndex()))
		default:
			silent = append(silent, fmt.Sprintf("oracle %d not for %s", p.GetOracleIndex(), age(at)))
		}
	}
	text := fmt.Sprintf("%d of %d", heard, len(peers))
	if len(silent) > 0 {
		text += "; " + strings.Join(silent, ", ")
	}
	return text
}

// roundTable is the last rounds.
func roundTable(w io.Writer, r *nodev1.ShowJobResponse) {
	row(w, "ROUND", "AGE", "OBSERVED", "TOOK", "ANSWER", "SENT BY")
	for _, o := range r.GetRounds() {
		observed := integer(o.GetValue())
		if o.GetValue() == nil && len(o.GetErrors()) > 0 {
			observed = "failed"
		}
		row(w, roundName(o.GetTimestamp()), age(o.GetObservedAt()), observed, milliseconds(o.GetTook().AsDuration()),
			integer(o.GetAnswer()), sender(o, r.GetContractAnswer()))
	}
}

// sender is who sent a round's report, as far as this node knows.
func sender(o *nodev1.RoundObservation, accepted *nodev1.ContractAnswer) string {
	switch {
	case o.GetSendError() != "":
		return "the relayer did not take it: " + shorten(o.GetSendError(), resultWidth)
	case o.GetSentAt() != nil:
		return "this node"
	case accepted != nil && proto.Equal(accepted.GetTimestamp(), o.GetTimestamp()):
		return explained("another node", accepted.GetTransmitter())
	case o.GetLanded():
		return explained("another node", o.GetTransmitter())
	}
	return "-"
}

func (c *command) jobErrors() *cobra.Command {
	return &cobra.Command{
		Use: "errors ID", Short: "List a job's errors, each once with how often and when it came", Args: one("a job's id"),
		ValidArgsFunction: c.complete(jobIDs),
		Example:           "  loop jobs errors 1",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := jobID(args[0])
			if err != nil {
				return err
			}
			r, err := call(cmd.Context(), c, api.ListJobErrors, &nodev1.ListJobErrorsRequest{JobId: id})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				row(w, "LAST", "FIRST", "TIMES", "ERROR")
				for _, e := range r.GetErrors() {
					row(w, clock(e.GetLastAt()), clock(e.GetFirstAt()), strconv.FormatUint(e.GetCount(), 10), e.GetMessage())
				}
			})
		},
	}
}

// integer is a number that may be absent.
func integer(b *pluginv1.BigInt) string {
	if v := wire.Int(b); v != nil {
		return v.String()
	}
	return "-"
}

// roundName is a round as people name it.
func roundName(at *reportingv1.ReportTimestamp) string {
	if at == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", at.GetEpoch(), at.GetRound())
}

// clock is a time, with its day if that is not today.
func clock(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	at := t.AsTime().Local()
	if time.Since(at) < 12*time.Hour {
		return at.Format("15:04:05.000")
	}
	return at.Format("2006-01-02 15:04:05")
}

// times is how often something came.
func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }
