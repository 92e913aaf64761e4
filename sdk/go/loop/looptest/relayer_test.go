package looptest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// fakeRelayer is a relayer of a chain that does nothing. It keeps all that the suite asks.
type fakeRelayer struct {
	hub relayer.Hub
}

func newFakeRelayer(*loop.Host) relayerv1loop.RelayerService { return &fakeRelayer{} }

var (
	goodLine = regexp.MustCompile(`^(\w+ = '[^']*'|\[\[Nodes\]\]|# .*|)$`)
	rpcURL   = regexp.MustCompile(`HTTPURL = '([^']*)'`)
)

func (f *fakeRelayer) CreateChain(_ context.Context, r *relayerv1.CreateChainRequest,
	loans relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	url, err := urlOf(r.GetConfigToml())
	if err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "config_toml: %v", err)
	}
	return &fakeChain{hub: &f.hub, id: r.GetChainId(), url: url, loans: loans}, &relayerv1.CreateChainResponse{}, nil
}

// urlOf is the address of a section's first node. The fake ignores keys of nodes that it does not know.
func urlOf(table []byte) (string, error) {
	seen := map[string]bool{}
	for i, line := range strings.Split(string(table), "\n") {
		if !goodLine.MatchString(line) {
			return "", fmt.Errorf("line %d cannot be read", i+1)
		}
		if strings.HasPrefix(line, "[[") {
			clear(seen)
		}
		key, _, assigned := strings.Cut(line, " = ")
		if assigned && seen[key] {
			return "", fmt.Errorf("line %d repeats a key", i+1)
		}
		seen[key] = true
	}
	urls := rpcURL.FindStringSubmatch(string(table))
	if urls == nil {
		return "", errors.New("there is no node")
	}
	return urls[1], nil
}

func (f *fakeRelayer) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	s grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	return f.hub.Watch(s.Context(), s.Send)
}

type fakeChain struct {
	hub     *relayer.Hub
	id, url string
	loans   relayerv1loop.CreateChainLoans
}

// reach fails if the chain's server does not answer.
func (c *fakeChain) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}`))
	if err == nil {
		var response *http.Response
		if response, err = http.DefaultClient.Do(r); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return status.Error(codes.Unavailable, "no node answers")
}

func (c *fakeChain) CreateProvider(_ context.Context,
	r *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	if !goodName.MatchString(r.GetConfig().GetContractId()) ||
		!bytes.HasSuffix(r.GetConfig().GetRelayConfigJson(), []byte("}")) {
		return nil, nil, status.Error(codes.InvalidArgument, "config: it names no contract")
	}
	p := &fakeProvider{name: r.GetName(), chain: c}
	switch r.GetProviderType() {
	case relayer.ProviderConfig:
	case relayer.ProviderMedian:
		if p.account = r.GetTransmitterId(); !goodName.MatchString(p.account) {
			return nil, nil, status.Error(codes.InvalidArgument, "transmitter_id: it is not a name")
		}
	default:
		return nil, nil, status.Error(codes.InvalidArgument, "provider_type: it is neither median nor config")
	}
	c.hub.Publish(r.GetName(), 0, [32]byte{})
	return p, &relayerv1.CreateProviderResponse{}, nil
}

func (c *fakeChain) LatestHead(ctx context.Context,
	_ *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	return &relayerv1.LatestHeadResponse{Number: 7, Timestamp: timestamppb.Now()}, c.reach(ctx)
}

func (c *fakeChain) ChainStatus(context.Context,
	*relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	return &relayerv1.ChainStatusResponse{ChainId: c.id, Enabled: true}, nil
}

func (*fakeChain) ListNodeStatuses(_ context.Context,
	r *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	if r.GetPageToken() != "" {
		return nil, status.Error(codes.InvalidArgument, "page_token: it is none of ours")
	}
	return &relayerv1.ListNodeStatusesResponse{Total: 1,
		Nodes: []*relayerv1.NodeStatus{{Name: "conformance", State: relayerv1.NodeState_NODE_STATE_ALIVE}}}, nil
}

func (*fakeChain) Transact(context.Context, *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	return nil, status.Error(codes.FailedPrecondition, "the balance is too small")
}

func (*fakeChain) Replay(context.Context, *relayerv1.ReplayRequest) (*relayerv1.ReplayResponse, error) {
	return &relayerv1.ReplayResponse{}, nil
}

func (c *fakeChain) ReadContract(ctx context.Context,
	r *relayerv1.ReadContractRequest) (*relayerv1.ReadContractResponse, error) {
	if !goodName.MatchString(r.GetContractId()) || r.GetBlock() != "" ||
		r.GetFrom() != "" && !goodName.MatchString(r.GetFrom()) {
		return nil, status.Error(codes.InvalidArgument, "it names what this chain does not have")
	}
	return &relayerv1.ReadContractResponse{ReturnData: make([]byte, 32)}, c.reach(ctx)
}

type fakeProvider struct {
	name    string
	account string // empty of a provider that only follows
	chain   *fakeChain
}

// Close implements io.Closer.
func (p *fakeProvider) Close() error {
	p.chain.hub.Remove(p.name)
	return nil
}

func (p *fakeProvider) LatestConfigDetails(ctx context.Context,
	_ *relayerv1.LatestConfigDetailsRequest) (*relayerv1.LatestConfigDetailsResponse, error) {
	return &relayerv1.LatestConfigDetailsResponse{ConfigDigest: make([]byte, 32)}, p.chain.reach(ctx)
}

func (*fakeProvider) LatestConfig(context.Context,
	*relayerv1.LatestConfigRequest) (*relayerv1.LatestConfigResponse, error) {
	return nil, status.Error(codes.NotFound, "there is no configuration")
}

func (*fakeProvider) LatestBlockHeight(context.Context,
	*relayerv1.LatestBlockHeightRequest) (*relayerv1.LatestBlockHeightResponse, error) {
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: 7}, nil
}

func (*fakeProvider) ConfigDigest(_ context.Context,
	r *relayerv1.ConfigDigestRequest) (*relayerv1.ConfigDigestResponse, error) {
	c := proto.CloneOf(r.GetConfig())
	c.ConfigDigest = nil
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(b)
	digest[0], digest[1] = 0, 0x77
	return &relayerv1.ConfigDigestResponse{ConfigDigest: digest[:]}, nil
}

func (*fakeProvider) ConfigDigestPrefix(context.Context,
	*relayerv1.ConfigDigestPrefixRequest) (*relayerv1.ConfigDigestPrefixResponse, error) {
	return &relayerv1.ConfigDigestPrefixResponse{Prefix: 0x77}, nil
}

func (p *fakeProvider) Transmit(ctx context.Context,
	r *relayerv1.TransmitRequest) (*relayerv1.TransmitResponse, error) {
	if _, err := p.MedianFromReport(ctx, &medianv1.MedianFromReportRequest{Report: r.GetReport()}); err != nil {
		return nil, err
	}
	t := r.GetReportContext().GetTimestamp()
	_, err := p.chain.loans.Store.Put(ctx,
		&hostservicev1.PutRequest{Key: fmt.Sprintf("%x/%d/%d", t.GetConfigDigest(), t.GetEpoch(), t.GetRound()),
			Value: []byte("x")})
	if err != nil && status.Code(err) != codes.Aborted {
		return nil, err
	}
	hash := sha256.Sum256(r.GetReport())
	_, err = p.chain.loans.Keystore.Sign(ctx,
		&hostservicev1.SignRequest{Account: p.account, Data: hash[:], Transaction: r.GetReport()})
	return &relayerv1.TransmitResponse{}, err
}

func (*fakeProvider) LatestConfigDigestAndEpoch(context.Context,
	*relayerv1.LatestConfigDigestAndEpochRequest) (*relayerv1.LatestConfigDigestAndEpochResponse, error) {
	return &relayerv1.LatestConfigDigestAndEpochResponse{ConfigDigest: make([]byte, 32)}, nil
}

func (p *fakeProvider) FromAccount(context.Context,
	*relayerv1.FromAccountRequest) (*relayerv1.FromAccountResponse, error) {
	if p.account == "" {
		return nil, status.Error(codes.Unimplemented, "a config provider transmits nothing")
	}
	return &relayerv1.FromAccountResponse{Account: p.account}, nil
}

func (*fakeProvider) LatestTransmissionDetails(context.Context,
	*medianv1.LatestTransmissionDetailsRequest) (*medianv1.LatestTransmissionDetailsResponse, error) {
	return &medianv1.LatestTransmissionDetailsResponse{
		Timestamp:    &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)},
		LatestAnswer: &pluginv1.BigInt{}, LatestTimestamp: timestamppb.Now()}, nil
}

func (*fakeProvider) LatestRoundRequested(context.Context,
	*medianv1.LatestRoundRequestedRequest) (*medianv1.LatestRoundRequestedResponse, error) {
	return &medianv1.LatestRoundRequestedResponse{
		Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}}, nil
}

// BuildReport writes "report" and the values in order, 24 bytes each.
func (*fakeProvider) BuildReport(_ context.Context,
	r *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	all := slices.SortedFunc(slices.Values(r.GetObservations()), func(a, b *medianv1.ParsedAttributedObservation) int {
		return wire.Int(a.GetValue()).Cmp(wire.Int(b.GetValue()))
	})
	report := []byte("report")
	for _, o := range all {
		if o.GetTimestamp().GetSeconds() >= 1<<32 {
			return nil, status.Error(codes.InvalidArgument, "observations: a time does not fit 32 bits")
		}
		report = append(report, encode(wire.Int(o.GetValue()))...)
	}
	return &medianv1.BuildReportResponse{Report: report}, nil
}

func (*fakeProvider) MedianFromReport(_ context.Context,
	r *medianv1.MedianFromReportRequest) (*medianv1.MedianFromReportResponse, error) {
	values, ok := bytes.CutPrefix(r.GetReport(), []byte("report"))
	if !ok || len(values) == 0 || len(values)%24 != 0 {
		return nil, status.Error(codes.InvalidArgument, "report: it is none")
	}
	middle := values[len(values)/24/2*24:]
	return &medianv1.MedianFromReportResponse{Median: wire.BigInt(decode(middle[:24]))}, nil
}

func (*fakeProvider) MaxReportLength(_ context.Context,
	r *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	return &medianv1.MaxReportLengthResponse{MaxReportLength: 6 + 24*r.GetN()}, nil
}

func (*fakeProvider) EncodeOnchainConfig(_ context.Context,
	r *medianv1.EncodeOnchainConfigRequest) (*medianv1.EncodeOnchainConfigResponse, error) {
	least, most := wire.Int(r.GetConfig().GetMin()), wire.Int(r.GetConfig().GetMax())
	if least.Cmp(most) > 0 {
		return nil, status.Error(codes.InvalidArgument, "config: min is above max")
	}
	return &medianv1.EncodeOnchainConfigResponse{Encoded: append(encode(least), encode(most)...)}, nil
}

func (*fakeProvider) DecodeOnchainConfig(_ context.Context,
	r *medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	if len(r.GetEncoded()) != 48 {
		return nil, status.Error(codes.InvalidArgument, "encoded: it has no 48 bytes")
	}
	return &medianv1.DecodeOnchainConfigResponse{
		Config: &medianv1.OnchainConfig{Min: wire.BigInt(decode(r.GetEncoded()[:24])),
			Max: wire.BigInt(decode(r.GetEncoded()[24:]))}}, nil
}
