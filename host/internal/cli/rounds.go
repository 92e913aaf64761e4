package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func (c *command) rounds() *cobra.Command {
	watch := &cobra.Command{
		Use: "watch [ID]", Short: "Show what happens in rounds as it happens, of one job or of all, until Ctrl-C",
		ValidArgsFunction: c.complete(jobIDs),
		Long: "watch prints a line when this node has observed, when the network has made a report, and when this\n" +
			"node has handed the report to its relayer. With --json each line is an object.",
		Example: "  loop rounds watch\n  loop rounds watch 1 --json",
		Args:    atMostOne("a job's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &nodev1.WatchRoundsRequest{}
			if len(args) == 1 {
				id, err := jobID(args[0])
				if err != nil {
					return err
				}
				request.JobId = id
			}
			type stream = connect.ServerStreamForClient[nodev1.WatchRoundsResponse]
			return watchStream(cmd.Context(), c, func(ctx context.Context, a api) (*stream, error) {
				return a.WatchRounds(ctx, request)
			}, func(r *nodev1.WatchRoundsResponse) string {
				return missed(r.GetMissed()) + fmt.Sprintf("%s  job %s  round %s  %s",
					clock(r.GetAt()), jobLabel(r), roundName(r.GetRound().GetTimestamp()), happened(r))
			})
		},
	}
	return group("rounds", "Watch the rounds of jobs", watch)
}

func jobLabel(r *nodev1.WatchRoundsResponse) string {
	if r.GetJobName() == "" {
		return strconv.FormatInt(r.GetJobId(), 10)
	}
	return fmt.Sprintf("%d (%s)", r.GetJobId(), r.GetJobName())
}

// happened says what happened in a round.
func happened(r *nodev1.WatchRoundsResponse) string {
	o := r.GetRound()
	switch r.GetEvent() {
	case nodev1.RoundEvent_ROUND_EVENT_OBSERVED:
		took := milliseconds(o.GetTook().AsDuration())
		if o.GetValue() == nil {
			return "observed nothing in " + took + ": " + strings.Join(o.GetErrors(), "; ")
		}
		return "observed " + integer(o.GetValue()) + " in " + took
	case nodev1.RoundEvent_ROUND_EVENT_REPORTED:
		if o.GetAnswer() == nil {
			return "report"
		}
		return "report with answer " + integer(o.GetAnswer())
	case nodev1.RoundEvent_ROUND_EVENT_SENT:
		if o.GetSendError() != "" {
			return "report not taken by the relayer: " + o.GetSendError()
		}
		return "report handed to the relayer"
	default: // of a newer node
		return strings.ToLower(strings.TrimPrefix(r.GetEvent().String(), "ROUND_EVENT_"))
	}
}
