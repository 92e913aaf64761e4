package api

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
)

// spec is a job on acme's chain 1 of a contract, an account and a bundle of keys.
const spec = `
type = "offchainreporting2"
schemaVersion = 1
pluginType = "median"
relay = "acme"
contractID = %q
transmitterID = %q
ocrKeyBundleID = %q
allowNoBootstrappers = true
observationSource = "one [type=sum values=<[1]>]"
[relayConfig]
chainID = 1
[pluginConfig]
juelsPerFeeCoinSource = "one [type=sum values=<[1]>]"
`

// A viewer hears of runs as they end, and finds them in pages and whole. At the end of the node a stream ends and holds
// it up no longer.
func TestRunsOfANode(t *testing.T) {
	t.Parallel()
	d := start(t, onAcme(t))
	viewer := nodev1connect.NewNodeServiceClient(
		&http.Client{Transport: bearer("Bearer " + d.token(t, "viewer", nodev1.Role_ROLE_VIEW))}, "http://"+d.Address())
	heard, err := viewer.WatchRuns(t.Context(), &nodev1.WatchRunsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	var jobs []*nodev1.Job
	for _, contract := range []string{"0a", "0b"} {
		added, err := d.admin.AddJob(t.Context(), &nodev1.AddJobRequest{SpecToml: fmt.Sprintf(spec, contract,
			d.Keys().Accounts("acme")[0], d.Keys().Bundles("acme")[0].ID())})
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, added.GetJob())
		if !heard.Receive() { // the price of the fee coin is fetched when a job starts
			t.Fatal(heard.Err())
		}
		r := heard.Msg().GetRun()
		if r.GetJobId() != jobs[len(jobs)-1].GetId() || r.GetId() != 1 || r.GetSource() != "juels" || r.GetValue() != "1" ||
			len(r.GetTasks()) != 1 || r.GetTasks()[0].GetResultJson() != "1" || r.GetTimestamp() != nil {
			t.Errorf("heard %v", r)
		}
	}
	job := jobs[0].GetId()
	past, _ := d.History().Of(job)
	for range 4 {
		past.Errors.Record("what differs: " + string(rune('a'+len(past.Errors.Latest()))))
	}
	var messages []string
	for token := ""; ; {
		p, err := viewer.ListJobErrors(t.Context(), &nodev1.ListJobErrorsRequest{JobId: job, PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.GetErrors() {
			messages = append(messages, e.GetMessage())
		}
		if token = p.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(messages) < 4 {
		t.Errorf("errors %q", messages)
	}
	list, err := viewer.ListRuns(t.Context(), &nodev1.ListRunsRequest{JobId: job})
	if err != nil || len(list.GetRuns()) != 1 || len(list.GetRuns()[0].GetTasks()) != 0 || list.GetNextPageToken() != "" {
		t.Errorf("runs %v, %v", list, err)
	}
	got, err := viewer.GetRun(t.Context(), &nodev1.GetRunRequest{JobId: job, Id: 1})
	if err != nil || len(got.GetRun().GetTasks()) != 1 {
		t.Errorf("run %v, %v", got, err)
	}
	shown, err := viewer.ShowJob(t.Context(), &nodev1.ShowJobRequest{Id: job})
	if err != nil || shown.GetJob().GetId() != job || shown.GetTransmitter() == "" {
		t.Errorf("job %v, %v", shown, err)
	}
	_, err = viewer.ListRuns(t.Context(), &nodev1.ListRunsRequest{JobId: job, PageToken: "x"})
	wantCode(t, "a page token that is none", err, connect.CodeInvalidArgument)
	_, err = viewer.ListRuns(t.Context(), &nodev1.ListRunsRequest{JobId: 99})
	wantCode(t, "a job that is not there", err, connect.CodeNotFound)
	rounds, err := viewer.WatchRounds(t.Context(), &nodev1.WatchRoundsRequest{JobId: 99})
	if err == nil {
		rounds.Receive()
		err = rounds.Err()
	}
	wantCode(t, "rounds of a job that is not there", err, connect.CodeNotFound)

	d.Close(context.Background())
	if heard.Receive() {
		t.Errorf("after the end %v is heard", heard.Msg())
	}
	wantCode(t, "a stream at the end of the node", heard.Err(), connect.CodeUnavailable)
}
