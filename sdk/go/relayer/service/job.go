package service

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// providerTypes are the types of providers that a Chain makes.
var providerTypes = []string{relayer.ProviderMedian, relayer.ProviderConfig}

// Job is what a job says about its contract. Its relayer reads it when the job is checked and again when its provider
// is made, and reports problems by the keys of the job.
type Job struct {
	// ProviderType is the type of provider that the job needs.
	ProviderType string
	// ChainID is the id of the chain that the job names; empty if it names none.
	ChainID string
	// Contract and Transmitter are the job's contractID and transmitterID in canonical spelling. They are empty if the
	// job has none, or an invalid one.
	Contract, Transmitter string
	// From is the account that sends the job's transactions, in the spelling of the contract's configuration:
	// Transmitter unless the relayer sets another. Like Contract, it must hold no slash if the job transmits.
	From string
	// RelayConfig is the job's relayConfig.
	RelayConfig *Table

	spell              func(kind relayerv1.IdKind, text string) (string, error)
	problems, warnings []*pluginv1.Problem
}

// Problem reports what keeps the job from running. If a table has a problem, problems with its keys follow from that
// and are left out.
func (j *Job) Problem(path, format string, arguments ...any) {
	if slices.ContainsFunc(j.problems, func(p *pluginv1.Problem) bool {
		return strings.HasPrefix(path, p.GetPath()+".")
	}) {
		return
	}
	j.problems = append(j.problems, problem(path, fmt.Sprintf(format, arguments...)))
}

// Warning reports what an operator should know although the job runs.
func (j *Job) Warning(path, format string, arguments ...any) {
	j.warnings = append(j.warnings, problem(path, fmt.Sprintf(format, arguments...)))
}

// ID returns the canonical spelling of a text that names an account or a contract. It returns "" and reports a problem
// if there is none.
func (j *Job) ID(kind relayerv1.IdKind, path, text string) string {
	if text == "" {
		j.Problem(path, "the key is missing or empty")
		return ""
	}
	spelling, err := j.spell(kind, text)
	if err != nil {
		j.Problem(path, "%s %v", strconv.Quote(text), err)
		return ""
	}
	return spelling
}

// err is all that is wrong, as the plugin's answer.
func (j *Job) err() error {
	if len(j.problems) == 0 {
		return nil
	}
	var texts []string
	for _, p := range j.problems {
		texts = append(texts, p.GetPath()+": "+p.GetMessage())
	}
	return status.Error(codes.InvalidArgument, strings.Join(texts, "; "))
}

// job reads what a job says.
func (r *Relayer[C]) job(request *relayerv1.ValidateJobRequest) *Job {
	j := &Job{ProviderType: request.GetProviderType(), ChainID: request.GetChainId(), spell: r.kind.Spell}
	j.RelayConfig = newTable(j, "relayConfig", request.GetRelayConfigJson())
	j.Contract = j.ID(relayerv1.IdKind_ID_KIND_CONTRACT, "contractID", request.GetContractId())
	switch sends := j.ProviderType == relayer.ProviderMedian; {
	case request.GetTransmitterId() != "":
		j.Transmitter = j.ID(relayerv1.IdKind_ID_KIND_ACCOUNT, "transmitterID", request.GetTransmitterId())
	case sends:
		j.Problem("transmitterID", "expected a transmitterID to be specified: the account that sends reports")
	}
	j.From = j.Transmitter
	if r.kind.Job != nil {
		r.kind.Job(j)
	}
	if j.ProviderType == relayer.ProviderMedian {
		j.keepable("contractID", j.Contract)
		j.keepable("transmitterID", j.From)
	}
	return j
}

// keepable reports a problem with a name by which no report can be kept: slashes divide the queue's keys in the Store.
func (j *Job) keepable(path, name string) {
	if strings.Contains(name, "/") {
		j.Problem(path, "the relayer spells it %s, and reports of a name with a slash cannot be kept; the relayer's author "+
			"must spell it without one", strconv.Quote(name))
	}
}

// ValidateJob implements relayerv1loop.RelayerService.
func (r *Relayer[C]) ValidateJob(_ context.Context,
	request *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	j := r.job(request)
	if err := knownProvider(j.ProviderType); err != nil {
		j.Problem("", "%v", err)
	}
	// The host finds out which chain it is, by the one spelling of the key. The relayer gets the chain's id, whatever the
	// job has.
	j.RelayConfig.asked = append(j.RelayConfig.asked, "chainID")
	if _, given := j.RelayConfig.values["chainID"]; given {
		j.RelayConfig.read["chainID"] = true
	}
	j.RelayConfig.leftovers()
	if j.ChainID != "" {
		j.RelayConfig.values["chainID"] = j.ChainID
	}
	response := &relayerv1.ValidateJobResponse{
		Problems: most(j.problems), Warnings: most(j.warnings), RelayConfigJson: j.RelayConfig.json(),
		ContractKey: j.Contract, TransmitterKey: j.Transmitter,
	}
	if j.ProviderType == relayer.ProviderMedian {
		response.FromAccount = j.From
	}
	return response, nil
}

// provided reads the job that a provider is asked for on a chain.
func (r *Relayer[C]) provided(request *relayerv1.CreateProviderRequest, chainID string) (*Job, error) {
	if err := knownProvider(request.GetProviderType()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "provider_type: %v", err)
	}
	config := request.GetConfig()
	j := r.job(&relayerv1.ValidateJobRequest{
		ChainId: chainID, ContractId: config.GetContractId(), TransmitterId: request.GetTransmitterId(),
		RelayConfigJson: config.GetRelayConfigJson(), ProviderType: request.GetProviderType(),
	})
	if given, ok := j.RelayConfig.lookup("chainID"); ok && chainIDOf(given) != chainID {
		j.RelayConfig.Problem("chainID", "chainID is %v, but the job is on chain %s", given, chainID)
	}
	return j, j.err()
}

// knownProvider refuses a type of provider that a Chain does not make.
func knownProvider(providerType string) error {
	if slices.Contains(providerTypes, providerType) {
		return nil
	}
	return fmt.Errorf("this relayer makes no provider of type %q; it has %s", providerType,
		strings.Join(providerTypes, " and "))
}

// chainIDOf is a chain's id, which may be a number that has passed through a float.
func chainIDOf(value any) string {
	number, ok := value.(json.Number)
	if !ok {
		return fmt.Sprint(value)
	}
	if float, _, err := big.ParseFloat(number.String(), 10, 64, big.ToNearestEven); err == nil && float.IsInt() {
		return float.Text('f', 0)
	}
	return number.String()
}

// Bounds of the contract's Problem and of lists of it. What is beyond them is of no use to a reader.
const (
	mostProblems   = 256
	longestPath    = 256
	longestMessage = 1024
)

func problem(path, message string) *pluginv1.Problem {
	if len(path) > longestPath { // a key of such a length
		path, _, _ = strings.Cut(path, ".")
	}
	if len(path) > longestPath {
		path = ""
	}
	return &pluginv1.Problem{Path: path, Message: shortened(message)}
}

// shortened is the beginning of a text that is too long.
func shortened(text string) string {
	if len(text) <= longestMessage {
		return text
	}
	return strings.ToValidUTF8(text[:longestMessage-3], "") + "..."
}

func most(list []*pluginv1.Problem) []*pluginv1.Problem { return list[:min(len(list), mostProblems)] }
