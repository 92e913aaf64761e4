package api

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/prototext"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
)

func TestURLsWithoutSecrets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://adapter:8080":                    "http://adapter:8080",
		"http://adapter:8080/":                   "http://adapter:8080",
		"http://adapter:8080/v3/s3cr3t":          "http://adapter:8080/xxxxx",
		"https://s3cr3t@adapter":                 "https://xxxxx@adapter",
		"https://user:s3cr3t@adapter/":           "https://xxxxx@adapter",
		"https://adapter?key=s3cr3t":             "https://adapter?xxxxx",
		"https://adapter/#s3cr3t":                "https://adapter?xxxxx",
		"https://u:s3cr3t@[::1]:1/s3cr3t?s3cr3t": "https://xxxxx@[::1]:1/xxxxx?xxxxx",
		"http://adapter/%2f%2Fs3cr3t":            "http://adapter/xxxxx",
		"http://s3cr3t\x7f":                      "xxxxx",
	} {
		if got := hideSecrets(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

// Secrets of bridges and jobs are in no answer but that which an admin asks for, and that has a line in the audit.
func TestSecretsOfBridgesAndJobs(t *testing.T) {
	t.Parallel()
	d := start(t, onEVM(t))
	const secret = "s3cr3t"
	spec := `
type = "bootstrap"
schemaVersion = 1
relay = "evm"
contractID = "0x613a38AC1659769640aaE063C651F48E0250454C"
# X-API-Key: ` + secret + `
[relayConfig]
chainID = 1337
`
	bridge := &nodev1.Bridge{Name: "prices", Url: "https://user:" + secret + "@adapter/" + secret + "?key=" + secret}
	addedBridge, err := d.admin.AddBridge(t.Context(), &nodev1.AddBridgeRequest{Bridge: bridge})
	if err != nil {
		t.Fatal(err)
	}
	addedJob, err := d.admin.AddJob(t.Context(), &nodev1.AddJobRequest{SpecToml: spec})
	if err != nil {
		t.Fatal(err)
	}
	bridges, err := d.admin.ListBridges(t.Context(), &nodev1.ListBridgesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := d.admin.ListJobs(t.Context(), &nodev1.ListJobsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(bridges.GetBridges()) != 1 || len(jobs.GetJobs()) != 1 {
		t.Fatalf("the lists are %v and %v", bridges, jobs)
	}
	for _, answer := range []string{
		prototext.Format(addedBridge), prototext.Format(addedJob), prototext.Format(bridges), prototext.Format(jobs),
	} {
		if strings.Contains(answer, secret) {
			t.Errorf("an answer has the secret: %s", answer)
		}
	}
	id := addedJob.GetJob().GetId()
	operate := nodev1connect.NewNodeServiceClient(
		&http.Client{Transport: bearer("Bearer " + d.token(t, "operator", nodev1.Role_ROLE_OPERATE))}, "http://"+d.Address())
	_, err = operate.RevealBridge(t.Context(), &nodev1.RevealBridgeRequest{Name: "prices"})
	wantCode(t, "an operator who asks for a URL", err, connect.CodePermissionDenied)
	_, err = operate.RevealJob(t.Context(), &nodev1.RevealJobRequest{Id: id})
	wantCode(t, "an operator who asks for a spec", err, connect.CodePermissionDenied)

	if r, err := d.admin.RevealBridge(t.Context(), &nodev1.RevealBridgeRequest{Name: "Prices"}); err != nil ||
		r.GetBridge().GetUrl() != bridge.GetUrl() {
		t.Errorf("an admin is shown %v, %v", r, err)
	}
	if r, err := d.admin.RevealJob(t.Context(), &nodev1.RevealJobRequest{Id: id}); err != nil ||
		r.GetJob().GetSpecToml() != spec {
		t.Errorf("an admin is shown %v, %v", r, err)
	}
	_, err = d.admin.RevealBridge(t.Context(), &nodev1.RevealBridgeRequest{Name: "gas"})
	wantCode(t, "a bridge that is not there", err, connect.CodeNotFound)
	_, err = d.admin.RevealJob(t.Context(), &nodev1.RevealJobRequest{Id: id + 1})
	wantCode(t, "a job that is not there", err, connect.CodeNotFound)
	d.logged(t, `audit.method=RevealBridge audit.object="bridge Prices" audit.outcome=done`,
		`audit.method=RevealJob audit.object="job 1" audit.outcome=done`)
	d.neverLogged(t, secret)
}
