package node

import (
	"context"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/oracle"
)

// Job is a job of the node, whether it runs or not.
type Job struct {
	Stored database.Job
	// Spec is nil if nobody can read what is stored any more. That of a job that fails need not be valid.
	Spec *job.Spec
	// Oracle is nil if the job does not run.
	Oracle *oracle.Oracle

	node *Node
	job  *running
}

func (n *Node) shown(r *running) *Job {
	return &Job{Stored: r.stored, Spec: r.spec, Oracle: r.oracle, node: n, job: r}
}

// Title returns the name of the job for people.
func (j *Job) Title() string { return j.job.title() }

// State returns the job's state now, by what was found last of the parts that it needs.
func (j *Job) State() health.Part { return j.node.states.job(j.job) }

// Chain returns what was found last of the chain on which the job follows its contract: why it does not serve as it
// should, and the account that sends the job's reports, which is nil if the relayer did not report it.
func (j *Job) Chain() (trouble string, account *relayerv1.AccountStatus) {
	found := j.node.states.last()
	if c := found.chains[j.job.chainPart()]; c != nil {
		trouble = c.state.Reason
	}
	return trouble, j.job.transmitter(found)
}

// Jobs returns the jobs of the node by their numbers.
func (n *Node) Jobs() []*Job {
	var all []*Job
	for _, r := range n.jobs.list() {
		all = append(all, n.shown(r))
	}
	return all
}

// Job returns the job of a number; nil, if there is none.
func (n *Node) Job(id int64) *Job {
	if r := n.jobs.get(id); r != nil {
		return n.shown(r)
	}
	return nil
}

// CheckJob checks a spec against this node, as AddJob does.
func (n *Node) CheckJob(ctx context.Context, spec string) *job.Report {
	_, report := job.Parse(ctx, []byte(spec), n.jobs.checks(n.jobs))
	return report
}

// AddJob checks a spec, stores it and starts its job. If the report has problems there is no job.
func (n *Node) AddJob(ctx context.Context, spec string) (*Job, *job.Report, error) {
	added, report, err := n.jobs.add(ctx, spec)
	if added == nil {
		return nil, report, err
	}
	return n.shown(added), report, err
}

// RemoveJob stops and forgets a job. If there is none of the number, the error is database.ErrNotFound.
func (n *Node) RemoveJob(ctx context.Context, id int64) error { return n.jobs.remove(ctx, id) }
