package looptest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

func (*fakeRelayer) DescribeRelayer(context.Context,
	*relayerv1.DescribeRelayerRequest) (*relayerv1.DescribeRelayerResponse, error) {
	return &relayerv1.DescribeRelayerResponse{
		Relay: "fake", Section: "Fake", AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1,
		ReportSchemes: []*relayerv1.ReportScheme{{Name: "default",
			Algorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS}},
		ReferenceToml: "# The node.\n[[Nodes]]\nHTTPURL = 'http://127.0.0.1:1'\n",
		ProviderTypes: []string{relayer.ProviderMedian, relayer.ProviderConfig},
	}, nil
}

func (*fakeRelayer) DescribeAccounts(_ context.Context,
	r *relayerv1.DescribeAccountsRequest) (*relayerv1.DescribeAccountsResponse, error) {
	response := &relayerv1.DescribeAccountsResponse{}
	for i, key := range r.GetPublicKeys() {
		if len(key) != 65 || key[0] != 4 {
			return nil, status.Errorf(codes.InvalidArgument, "public_keys[%d]: it is no point", i)
		}
		response.Names = append(response.Names, fmt.Sprintf("0x%x", sha256.Sum256(key)))
	}
	return response, nil
}

// goodName is what chains whose accounts and contracts are named by words take, such as NEAR and EOSIO.
var goodName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// spelled is an id of the fake.
func spelled(text string) (string, error) {
	if !goodName.MatchString(text) {
		return "", fmt.Errorf("is not a word")
	}
	return strings.ToLower(text), nil
}

func (*fakeRelayer) NormalizeIds(_ context.Context,
	r *relayerv1.NormalizeIdsRequest) (*relayerv1.NormalizeIdsResponse, error) {
	response := &relayerv1.NormalizeIdsResponse{}
	for _, id := range r.GetIds() {
		normal := &relayerv1.NormalizedId{}
		var err error
		if normal.Text, err = spelled(id.GetText()); err != nil {
			normal.Problem = err.Error()
		}
		response.Ids = append(response.Ids, normal)
	}
	return response, nil
}

func (*fakeRelayer) ValidateChain(_ context.Context,
	r *relayerv1.ValidateChainRequest) (*relayerv1.ValidateChainResponse, error) {
	response := &relayerv1.ValidateChainResponse{}
	if _, err := urlOf(r.GetConfigToml()); err != nil {
		response.Problems = append(response.Problems, &pluginv1.Problem{Message: err.Error()})
	}
	return response, nil
}

func (*fakeRelayer) ValidateJob(_ context.Context,
	r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	response := &relayerv1.ValidateJobResponse{RelayConfigJson: r.GetRelayConfigJson()}
	problem := func(path, message string) {
		response.Problems = append(response.Problems, &pluginv1.Problem{Path: path, Message: message})
	}
	var err error
	if response.ContractKey, err = spelled(r.GetContractId()); err != nil {
		problem("contractID", err.Error())
	}
	if response.TransmitterKey, err = spelled(r.GetTransmitterId()); err != nil {
		problem("transmitterID", err.Error())
	}
	response.FromAccount = response.TransmitterKey
	if !strings.HasSuffix(string(r.GetRelayConfigJson()), "}") {
		problem("relayConfig", "it is not a JSON object")
	}
	if r.GetProviderType() != relayer.ProviderMedian {
		problem("", "there is no such provider")
	}
	return response, nil
}

func (*fakeProvider) DigestReports(_ context.Context,
	r *relayerv1.DigestReportsRequest) (*relayerv1.DigestReportsResponse, error) {
	response := &relayerv1.DigestReportsResponse{}
	for _, report := range r.GetReports() {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(report)
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(b)
		response.Digests = append(response.Digests, &relayerv1.ReportDigest{Message: digest[:], Scheme: "default"})
	}
	return response, nil
}

// spoilDescription makes wrong single answers that a relayer gives before it has a chain, and those about reports.
func (b *broken) spoilDescription(answer any) {
	switch r := answer.(type) {
	case *relayerv1.DescribeRelayerResponse:
		switch b.what {
		case "unknown-algorithm":
			r.AccountAlgorithm = 99
		case "unknown-report-algorithm":
			r.ReportSchemes[0].Algorithm = 99
		case "schemes-alike":
			r.ReportSchemes = append(r.ReportSchemes, r.GetReportSchemes()...)
		case "relay-misspelled":
			r.Relay = "Fake"
		case "section-astray":
			r.Section = "Other"
		case "types-twice":
			r.ProviderTypes = append(r.ProviderTypes, r.GetProviderTypes()...)
		case "description-changes":
			r.ReferenceToml += fmt.Sprintf("# %d\n", time.Now().UnixNano())
		case "reference-refused":
			r.ReferenceToml += "nonsense = 1\n"
		}
	case *relayerv1.DescribeAccountsResponse:
		switch b.what {
		case "names-fewer":
			r.Names = r.GetNames()[1:]
		case "names-alike":
			r.Names[1] = r.GetNames()[0]
		}
	case *relayerv1.NormalizeIdsResponse:
		switch b.what {
		case "ids-restless":
			for _, id := range r.GetIds() {
				id.Text += strings.Repeat("0", min(len(id.GetText()), 1))
			}
		case "ids-turned":
			slices.Reverse(r.Ids[:len(r.GetIds())/2+1])
		}
	case *relayerv1.ValidateChainResponse:
		switch {
		case b.what == "path-astray" && len(r.GetProblems()) > 0:
			r.Problems[0].Path = "Nodes[9].HTTPURL"
		case b.what == "any-chain":
			r.Problems = nil
		}
	case *relayerv1.ValidateJobResponse:
		switch b.what {
		case "any-job":
			r.Problems = nil
		case "sends-otherwise":
			r.FromAccount = "someone"
		}
	case *relayerv1.DigestReportsResponse:
		switch b.what {
		case "digests-turned":
			slices.Reverse(r.Digests)
		case "digests-fewer":
			r.Digests = r.GetDigests()[1:]
		}
		for _, digest := range r.GetDigests() {
			switch b.what {
			case "unknown-scheme":
				digest.Scheme = "other"
			case "short-message":
				digest.Message = digest.GetMessage()[1:]
			case "constant-message":
				digest.Message = make([]byte, 32)
			}
		}
	}
}
