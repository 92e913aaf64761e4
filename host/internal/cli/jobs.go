package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/job"
)

func (c *command) jobs() *cobra.Command {
	add := &cobra.Command{
		Use: "add FILE", Short: "Check a job spec, store it and start the job (- reads standard input)",
		Example: "  loop jobs add feed.toml",
		Args:    one("the file of a job spec"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := c.spec(args[0])
			if err != nil {
				return err
			}
			r, err := call(cmd.Context(), c, api.AddJob, &nodev1.AddJobRequest{SpecToml: spec})
			if refused := refusedFor(err); refused != nil {
				printFindings(c.streams.Err, args[0], refused)
				return exit(ExitFailed, fmt.Errorf("the node refused %s, which has %s", args[0], count(refused.Problems)))
			}
			if err != nil {
				return err
			}
			printFindings(c.streams.Err, args[0], &job.Report{Warnings: findings(r.GetWarnings())})
			return c.show(r, func(w io.Writer) { jobTable(w, r.GetJob()) })
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the jobs", Args: none,
		Example: "  loop jobs list\n  loop jobs list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListJobs, &nodev1.ListJobsRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { jobTable(w, r.GetJobs()...) })
		},
	}
	rm := &cobra.Command{
		Use: "rm ID", Short: "Stop a job and remove it", Args: one("a job's id"),
		Example:           "  loop jobs rm 1",
		ValidArgsFunction: c.complete(jobIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := jobID(args[0])
			if err != nil {
				return err
			}
			r, err := call(cmd.Context(), c, api.RemoveJob, &nodev1.RemoveJobRequest{Id: id})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { fmt.Fprintf(w, "removed job %d\n", id) })
		},
	}
	return group("jobs", "Check, try, add, list, look into and remove jobs",
		add, c.validate(), c.try(), list, c.showJob(), c.jobRuns(), c.jobErrors(), c.revealJob(), rm)
}

func jobTable(w io.Writer, jobs ...*nodev1.Job) {
	row(w, "ID", "NAME", "TYPE", "RELAY", "CONTRACT", "STATE", "ERRORS", "AGE")
	for _, j := range jobs {
		state := stateName(j)
		if j.GetReason() != "" {
			state += ": " + brief(j.GetReason())
		}
		var errs uint64
		for _, e := range j.GetErrors() {
			errs += e.GetCount()
		}
		row(w, strconv.FormatInt(j.GetId(), 10), dash(j.GetName()), j.GetType(), j.GetRelay(), j.GetContractId(), state,
			strconv.FormatUint(errs, 10), age(j.GetCreatedAt()))
	}
}
