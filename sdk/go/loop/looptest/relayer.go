package looptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// relayerCases are what relayers promise.
func relayerCases() []check {
	return append(describeCases(), []check{
		{"relayer/refused-config", "a chain's configuration that cannot be used is INVALID_ARGUMENT without the RPC address in the text", false, relayerRefusedConfig},
		{"relayer/refused-job", "a contract and a transmitter that are none are INVALID_ARGUMENT", false, relayerRefusedJob},
		{"relayer/chain-down", "construction waits for no answer of the chain, and what does is UNAVAILABLE", false, relayerChainDown},
		{"relayer/no-effects", "construction writes nothing to the Store, signs nothing and sends no transaction, in either of two lives", false, relayerNoEffects},
		{"relayer/views", "every view of the chain and the contract answers a value, or UNAVAILABLE while there is none", false, relayerViews},
		{"relayer/watch", "WatchContractConfigs tells of each provider's contract by the provider's name, and ends with its caller", false, relayerWatch},
		{"relayer/config-provider", "a bootstrap job's provider follows the configuration and answers UNIMPLEMENTED to all else", false, relayerConfigProvider},
		{"relayer/statuses", "ListNodeStatuses counts its nodes and refuses page tokens that it did not give", false, relayerStatuses},
		{"relayer/read-contract", "ReadContract of a contract, an account and a block that are none is INVALID_ARGUMENT; a relayer that reads no contracts answers UNIMPLEMENTED with a sentence", false, relayerReadContract},
		{"relayer/digest", "a config digest begins with the chain's prefix, and every part of the configuration changes it", false, relayerDigest},
		{"relayer/report", "a report's answer is the observation of rank n/2, its length is within the bound, and the order of observations is nothing", false, relayerReport},
		{"relayer/untrusted-report", "bytes that are no report, and values that no report holds, are INVALID_ARGUMENT", false, relayerUntrustedReport},
		{"relayer/onchain-config", "an on-chain configuration comes back as it was, and bounds in the wrong order are INVALID_ARGUMENT", false, relayerOnchainConfig},
		{"relayer/transmit", "Transmit answers when the report is in the Store, and a repeated call has no effect", false, relayerTransmit},
		{"relayer/transmit-refused", "Transmit of what the contract cannot take is INVALID_ARGUMENT and writes nothing", false, relayerTransmitRefused},
		{"relayer/transmit-store", "Transmit while the Store does not answer is UNAVAILABLE", false, relayerTransmitStore},
		{"relayer/secrets", "an RPC address stands in no line of the log and in no status", true, relayerSecrets},
	}...)
}

// observations are three of different oracles.
func observations(values ...int64) *medianv1.BuildReportRequest {
	r := &medianv1.BuildReportRequest{}
	for i, v := range values {
		r.Observations = append(r.Observations, &medianv1.ParsedAttributedObservation{
			Timestamp: &timestamppb.Timestamp{Seconds: 1_700_000_000 + int64(i)}, Value: wire.BigInt(big.NewInt(v)),
			JuelsPerFeeCoin: wire.BigInt(big.NewInt(7)), GasPriceSubunits: wire.BigInt(new(big.Int)), Observer: uint32(i),
		})
	}
	return r
}

// report has a provider's own codec make a report.
func (l *life) report(ctx context.Context, provider string, value int64) ([]byte, error) {
	var built medianv1.BuildReportResponse
	if err := l.call(ctx, provider, medianv1.ReportCodecService_BuildReport_FullMethodName, observations(value, value+1, value+2), &built); err != nil {
		return nil, wrap("ReportCodecService.BuildReport of three observations", err)
	}
	return built.GetReport(), nil
}

// onchainConfig has a provider's own codec encode the bounds of answers.
func (l *life) onchainConfig(ctx context.Context, provider string, least, most int64) ([]byte, error) {
	var r medianv1.EncodeOnchainConfigResponse
	err := l.call(ctx, provider, medianv1.OnchainConfigCodecService_EncodeOnchainConfig_FullMethodName, &medianv1.EncodeOnchainConfigRequest{
		Config: &medianv1.OnchainConfig{Min: wire.BigInt(big.NewInt(least)), Max: wire.BigInt(big.NewInt(most))}}, &r)
	return r.GetEncoded(), err
}

// transmission is a request to hand a report over.
func (l *life) transmission(report []byte, epoch uint32) *relayerv1.TransmitRequest {
	signature := l.bench.settings.Relayer.Signature
	return &relayerv1.TransmitRequest{
		ReportContext: &reportingv1.ReportContext{Timestamp: round(epoch), ExtraHash: make([]byte, 32)}, Report: report,
		Signatures: []*relayerv1.AttributedOnchainSignature{{Signature: signature}, {Signature: signature, Signer: 1}},
	}
}

func (l *life) transmit(ctx context.Context, provider string, report []byte, epoch uint32) error {
	return l.call(ctx, provider, relayerv1.ContractTransmitterService_Transmit_FullMethodName, l.transmission(report, epoch), &relayerv1.TransmitResponse{})
}

func relayerRefusedConfig(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	method, request, reply := l.parentRequest(loan.Name("Conformance"), false)
	good := string(request.(*relayerv1.CreateChainRequest).GetConfigToml())
	for what, toml := range map[string]string{
		"a section that is no TOML":                    good + "\nnonsense = [\n",
		"a section with its content given twice":       good + "\n" + good,
		"an address in a place where it means nothing": strings.Replace(good, "\n", "\n[\""+b.chain.URL+"\"]\n", 1) + "\n= broken",
	} {
		bad := proto.CloneOf(request.(*relayerv1.CreateChainRequest))
		bad.Name, bad.ConfigToml = loan.Name("Conformance"), []byte(toml)
		err := l.call(ctx, "", method, bad, reply)
		if err := want(short(method)+" with "+what, err, codes.InvalidArgument); err != nil {
			return err
		}
		if said := status.Convert(err).Message(); strings.Contains(said, b.chain.Secret) {
			return fmt.Errorf("%s with %s is refused with the RPC address in the text, which may hold a key: %q", short(method), what, cut(strings.ReplaceAll(said, b.chain.Secret, "[the key]")))
		}
	}
	return nil
}

func relayerRefusedJob(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	for what, change := range map[string]func(*relayerv1.CreateProviderRequest){
		"a contract that is no address":    func(r *relayerv1.CreateProviderRequest) { r.Config.ContractId = "conformance" },
		"a transmitter that is no account": func(r *relayerv1.CreateProviderRequest) { r.TransmitterId = "conformance" },
		"a relayConfig that is no JSON":    func(r *relayerv1.CreateProviderRequest) { r.Config.RelayConfigJson = []byte("{") },
	} {
		method, request, reply := l.childRequest(loan.Name("Conformance"), false)
		change(request.(*relayerv1.CreateProviderRequest))
		if err := want(short(method)+" with "+what, l.call(ctx, parent, method, request, reply), codes.InvalidArgument); err != nil {
			return err
		}
	}
	return nil
}

// quiet is how long effects of a construction are awaited. Relayers look at the Store and the chain in that time.
const quiet = 500 * time.Millisecond

func relayerNoEffects(ctx context.Context, b *bench) error {
	w := b.newWorld()
	parent, child := loan.Name("Conformance"), loan.Name("Conformance")
	before := b.chain.Transactions()
	for number := range 2 {
		l, err := b.fresh(ctx, w)
		if err != nil {
			return err
		}
		if _, err := l.makeParent(ctx, parent, false); err != nil {
			return err
		}
		if _, err := l.makeChild(ctx, parent, child, false); err != nil {
			return err
		}
		time.Sleep(quiet) // what does not happen cannot be awaited
		if writes := w.store.Writes(); len(writes) > 0 {
			return fmt.Errorf("construction in life %d wrote to the Store: %s; want no effect that outlives the process", number+1, strings.Join(writes, ", "))
		}
		if n := w.keystore.Signs(); n > 0 {
			return fmt.Errorf("construction in life %d signed %d times; want none", number+1, n)
		}
		if sent := b.chain.Transactions(); !slices.Equal(sent, before) {
			return fmt.Errorf("construction in life %d sent transactions: %s; want none", number+1, strings.Join(sent, ", "))
		}
		l.Close()
	}
	return nil
}

// seesChain skips where the relayer talks to a chain that the suite does not see.
func (b *bench) seesChain() error {
	if !strings.Contains(b.settings.Relayer.ConfigTOML, "$RPC_URL") {
		return skip{"the configuration does not use $RPC_URL, so that the suite cannot touch the chain"}
	}
	return nil
}

func relayerChainDown(ctx context.Context, b *bench) error {
	if err := b.seesChain(); err != nil {
		return err
	}
	b.chain.Hang(true)
	defer b.chain.Hang(false)
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	parent, child, err := l.pair(limited)
	if err != nil {
		return fmt.Errorf("with a chain that does not answer: %w", err)
	}
	for what, err := range map[string]error{
		"ChainService.LatestHead":                   l.call(limited, parent, relayerv1.ChainService_LatestHead_FullMethodName, &relayerv1.LatestHeadRequest{}, &relayerv1.LatestHeadResponse{}),
		"ContractConfigService.LatestConfigDetails": l.call(limited, child, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName, &relayerv1.LatestConfigDetailsRequest{}, &relayerv1.LatestConfigDetailsResponse{}),
	} {
		if err := want(what+" with a chain that does not answer", err, codes.Unavailable); err != nil {
			return err
		}
	}
	return nil
}

func relayerViews(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	for _, v := range []struct {
		object, method string
		request, reply proto.Message
	}{
		{parent, relayerv1.ChainService_ChainStatus_FullMethodName, &relayerv1.ChainStatusRequest{}, &relayerv1.ChainStatusResponse{}},
		{parent, relayerv1.ChainService_LatestHead_FullMethodName, &relayerv1.LatestHeadRequest{}, &relayerv1.LatestHeadResponse{}},
		{child, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName, &relayerv1.LatestConfigDetailsRequest{}, &relayerv1.LatestConfigDetailsResponse{}},
		{child, relayerv1.ContractConfigService_LatestBlockHeight_FullMethodName, &relayerv1.LatestBlockHeightRequest{}, &relayerv1.LatestBlockHeightResponse{}},
		{child, relayerv1.ContractTransmitterService_LatestConfigDigestAndEpoch_FullMethodName, &relayerv1.LatestConfigDigestAndEpochRequest{}, &relayerv1.LatestConfigDigestAndEpochResponse{}},
		{child, relayerv1.ContractTransmitterService_FromAccount_FullMethodName, &relayerv1.FromAccountRequest{}, &relayerv1.FromAccountResponse{}},
		{child, medianv1.MedianContractService_LatestTransmissionDetails_FullMethodName, &medianv1.LatestTransmissionDetailsRequest{}, &medianv1.LatestTransmissionDetailsResponse{}},
		{child, medianv1.MedianContractService_LatestRoundRequested_FullMethodName, &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(time.Hour)}, &medianv1.LatestRoundRequestedResponse{}},
	} {
		// The first poll of a contract takes a moment.
		err := eventually(ctx, func() error { return l.call(ctx, v.object, v.method, v.request, v.reply) })
		if status.Code(err) == codes.Unavailable && b.settings.Relayer.NodeURL != "" {
			continue // a contract that may not be there
		}
		if err != nil {
			return wrap(short(v.method), err)
		}
	}
	var state relayerv1.ChainStatusResponse
	if err := l.call(ctx, parent, relayerv1.ChainService_ChainStatus_FullMethodName, &relayerv1.ChainStatusRequest{}, &state); err != nil {
		return err
	}
	if state.GetChainId() != b.settings.Relayer.ChainID {
		return fmt.Errorf("ChainService.ChainStatus names the chain %q; want %q", state.GetChainId(), b.settings.Relayer.ChainID)
	}
	return nil
}

// eventually repeats a call while it is UNAVAILABLE, for 10 s.
func eventually(ctx context.Context, call func() error) error {
	for begin := time.Now(); ; {
		err := call()
		if status.Code(err) != codes.Unavailable || time.Since(begin) > 10*time.Second {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func relayerWatch(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	parent, first, err := l.pair(ctx)
	if err != nil {
		return err
	}
	if err := eventually(ctx, func() error {
		return l.call(ctx, first, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName, &relayerv1.LatestConfigDetailsRequest{}, &relayerv1.LatestConfigDetailsResponse{})
	}); err != nil {
		return skip{"the contract has not answered, so that there is no configuration to tell of: " + err.Error()}
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(l.Conn, "")).WatchContractConfigs(watching, &relayerv1.WatchContractConfigsRequest{})
	if err != nil {
		return wrap("RelayerService.WatchContractConfigs", err)
	}
	told := make(chan string, 16)
	over := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				over <- err
				return
			}
			select {
			case told <- m.GetProvider():
			default: // who floods is no concern of this case
			}
		}
	}()
	second := loan.Name("Conformance")
	expect := func(provider, when string) error {
		timeout := time.After(10 * time.Second)
		for {
			select {
			case got := <-told:
				if got == provider {
					return nil
				}
				if got != first && got != second {
					return fmt.Errorf("WatchContractConfigs told of %q, which no provider is called", got)
				}
			case err := <-over:
				return fmt.Errorf("WatchContractConfigs ended (%v) before it told of a provider %s", err, when)
			case <-timeout:
				return fmt.Errorf("WatchContractConfigs told nothing within 10s of a provider %s", when)
			}
		}
	}
	if err := expect(first, "that was there when it was opened"); err != nil {
		return err
	}
	if _, err := l.makeChild(ctx, parent, second, true); err != nil {
		return err
	}
	if err := expect(second, "that was made after it was opened"); err != nil {
		return err
	}
	cancel()
	<-over
	return l.alive(ctx, "the end of WatchContractConfigs")
}

func relayerConfigProvider(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	provider := loan.Name("Conformance")
	if err := l.call(ctx, parent, relayerv1.ChainService_CreateProvider_FullMethodName,
		&relayerv1.CreateProviderRequest{ProviderType: "config", Name: provider, Config: b.providerConfig()}, &relayerv1.CreateProviderResponse{}); err != nil {
		return wrap("ChainService.CreateProvider", err)
	}
	if err := l.call(ctx, provider, relayerv1.ContractConfigService_ConfigDigestPrefix_FullMethodName, &relayerv1.ConfigDigestPrefixRequest{}, &relayerv1.ConfigDigestPrefixResponse{}); err != nil {
		return wrap("ContractConfigService.ConfigDigestPrefix of a config provider", err)
	}
	return want("ContractTransmitterService.FromAccount of a config provider", l.probe(ctx, provider), codes.Unimplemented)
}

func relayerStatuses(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	list := func(r *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
		reply := &relayerv1.ListNodeStatusesResponse{}
		return reply, l.call(ctx, parent, relayerv1.ChainService_ListNodeStatuses_FullMethodName, r, reply)
	}
	all, err := list(&relayerv1.ListNodeStatusesRequest{})
	if err != nil {
		return wrap("ChainService.ListNodeStatuses", err)
	}
	if len(all.GetNodes()) == 0 || int(all.GetTotal()) != len(all.GetNodes()) || all.GetNextPageToken() != "" {
		return fmt.Errorf("ChainService.ListNodeStatuses of a whole list answered %d nodes, a total of %d and the token %q; want all nodes and no token",
			len(all.GetNodes()), all.GetTotal(), all.GetNextPageToken())
	}
	var names []string
	for token := ""; ; {
		page, err := list(&relayerv1.ListNodeStatusesRequest{PageSize: 1, PageToken: token})
		if err != nil {
			return wrap("ChainService.ListNodeStatuses, page by page", err)
		}
		for _, n := range page.GetNodes() {
			names = append(names, n.GetName())
		}
		if token = page.GetNextPageToken(); token == "" || len(names) > len(all.GetNodes()) {
			break
		}
	}
	if len(names) != len(all.GetNodes()) {
		return fmt.Errorf("ChainService.ListNodeStatuses answered %d nodes page by page, and %d at once", len(names), len(all.GetNodes()))
	}
	_, err = list(&relayerv1.ListNodeStatusesRequest{PageToken: "conformance"})
	return want("ChainService.ListNodeStatuses with a token that it did not give", err, codes.InvalidArgument)
}

func relayerReadContract(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	read := func(change func(*relayerv1.ReadContractRequest)) error {
		r := &relayerv1.ReadContractRequest{ContractId: b.settings.Relayer.ContractID, CallData: []byte{1, 2, 3, 4}}
		change(r)
		return l.call(ctx, parent, relayerv1.ChainService_ReadContract_FullMethodName, r, &relayerv1.ReadContractResponse{})
	}
	err = eventually(ctx, func() error { return read(func(*relayerv1.ReadContractRequest) {}) })
	if status.Code(err) == codes.Unimplemented {
		if status.Convert(err).Message() == "" {
			return errors.New("ChainService.ReadContract is UNIMPLEMENTED without a word; want a sentence that says what to do instead")
		}
		return skip{"the relayer reads no contracts: " + cut(status.Convert(err).Message())}
	}
	// What the suite calls is no function of a contract that it does not know.
	if err := want("ChainService.ReadContract", err, codes.OK, codes.NotFound, codes.FailedPrecondition); err != nil {
		return err
	}
	for what, change := range map[string]func(*relayerv1.ReadContractRequest){
		"a contract that is no address": func(r *relayerv1.ReadContractRequest) { r.ContractId = "conformance" },
		"a caller that is no account":   func(r *relayerv1.ReadContractRequest) { r.From = "conformance" },
		"a block that is none":          func(r *relayerv1.ReadContractRequest) { r.Block = "conformance" },
	} {
		if err := want("ChainService.ReadContract with "+what, read(change), codes.InvalidArgument); err != nil {
			return err
		}
	}
	return nil
}

func relayerDigest(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	var prefix relayerv1.ConfigDigestPrefixResponse
	if err := l.call(ctx, child, relayerv1.ContractConfigService_ConfigDigestPrefix_FullMethodName, &relayerv1.ConfigDigestPrefixRequest{}, &prefix); err != nil {
		return wrap("ContractConfigService.ConfigDigestPrefix", err)
	}
	compute := func(c *relayerv1.ContractConfig) ([]byte, error) {
		var r relayerv1.ConfigDigestResponse
		err := l.call(ctx, child, relayerv1.ContractConfigService_ConfigDigest_FullMethodName, &relayerv1.ConfigDigestRequest{Config: c}, &r)
		if err != nil {
			return nil, wrap("ContractConfigService.ConfigDigest", err)
		}
		return r.GetConfigDigest(), nil
	}
	bounds, err := l.onchainConfig(ctx, child, 1, 1_000_000)
	if err != nil {
		return wrap("OnchainConfigCodecService.EncodeOnchainConfig", err)
	}
	config := &relayerv1.ContractConfig{ConfigDigest: digest(0), ConfigCount: 1, Signers: b.settings.Relayer.Signers, Transmitters: b.settings.Relayer.Transmitters,
		F: 1, OnchainConfig: bounds, OffchainConfigVersion: 2, OffchainConfig: []byte("conformance")}
	first, err := compute(config)
	if err != nil {
		return err
	}
	if got := uint32(first[0])<<8 | uint32(first[1]); got != prefix.GetPrefix() {
		return fmt.Errorf("a config digest begins with %#04x; want the chain's prefix %#04x", got, prefix.GetPrefix())
	}
	for what, change := range map[string]func(*relayerv1.ContractConfig){
		"config_count":            func(c *relayerv1.ContractConfig) { c.ConfigCount++ },
		"signers":                 func(c *relayerv1.ContractConfig) { slices.Reverse(c.Signers) },
		"transmitters":            func(c *relayerv1.ContractConfig) { slices.Reverse(c.Transmitters) },
		"f":                       func(c *relayerv1.ContractConfig) { c.F = 0 },
		"offchain_config_version": func(c *relayerv1.ContractConfig) { c.OffchainConfigVersion++ },
		"offchain_config":         func(c *relayerv1.ContractConfig) { c.OffchainConfig = []byte("another") },
	} {
		other := proto.CloneOf(config)
		change(other)
		got, err := compute(other)
		if err != nil {
			return fmt.Errorf("with another %s: %w", what, err)
		}
		if bytes.Equal(got, first) {
			return fmt.Errorf("two configurations that differ in %s have one digest", what)
		}
	}
	config.ConfigDigest = digest(9)
	again, err := compute(config)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, again) {
		return errors.New("the digest of a configuration depends on the digest that stands in it; want that one ignored")
	}
	return nil
}

func relayerReport(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	for _, values := range [][]int64{{5}, {1, 2}, {3, 1, 2}, {4, 4, 1, 9}, {-1, -7, 3, 0, 12}, {10, 9, 8, 7, 6, 5, 4}} {
		var built, turned medianv1.BuildReportResponse
		request := observations(values...)
		err := l.call(ctx, child, medianv1.ReportCodecService_BuildReport_FullMethodName, request, &built)
		if b.settings.Relayer.Unsigned && slices.Min(values) < 0 {
			if err := want("ReportCodecService.BuildReport of negative values, which this chain's reports do not hold,", err, codes.InvalidArgument); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return wrap(fmt.Sprintf("ReportCodecService.BuildReport of %v", values), err)
		}
		slices.SortStableFunc(request.Observations, func(a, b *medianv1.ParsedAttributedObservation) int {
			return wire.Int(a.GetValue()).Cmp(wire.Int(b.GetValue()))
		})
		sorted := slices.Sorted(slices.Values(values))
		if len(slices.Compact(slices.Clone(sorted))) == len(values) { // equal values may name their observers in any order
			if err := l.call(ctx, child, medianv1.ReportCodecService_BuildReport_FullMethodName, request, &turned); err != nil {
				return err
			}
			if !bytes.Equal(built.GetReport(), turned.GetReport()) {
				return fmt.Errorf("the report of %v depends on the order of the observations; all oracles must make one", values)
			}
		}
		var answer medianv1.MedianFromReportResponse
		if err := l.call(ctx, child, medianv1.ReportCodecService_MedianFromReport_FullMethodName, &medianv1.MedianFromReportRequest{Report: built.GetReport()}, &answer); err != nil {
			return wrap(fmt.Sprintf("ReportCodecService.MedianFromReport of the report of %v", values), err)
		}
		if got := wire.Int(answer.GetMedian()); got.Cmp(big.NewInt(sorted[len(sorted)/2])) != 0 {
			return fmt.Errorf("the answer of the report of %v is %s; want the observation of rank n/2, %d", values, got, sorted[len(sorted)/2])
		}
		var bound medianv1.MaxReportLengthResponse
		if err := l.call(ctx, child, medianv1.ReportCodecService_MaxReportLength_FullMethodName, &medianv1.MaxReportLengthRequest{N: uint32(len(values))}, &bound); err != nil {
			return wrap("ReportCodecService.MaxReportLength", err)
		}
		if len(built.GetReport()) > int(bound.GetMaxReportLength()) {
			return fmt.Errorf("the report of %v has %d bytes; MaxReportLength says %d", values, len(built.GetReport()), bound.GetMaxReportLength())
		}
	}
	return nil
}

func relayerUntrustedReport(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	good, err := l.report(ctx, child, 42)
	if err != nil {
		return err
	}
	for what, report := range map[string][]byte{"no bytes": nil, "a byte": {1}, "half a report": good[:len(good)/2], "ones": bytes.Repeat([]byte{0xff}, len(good))} {
		err := l.call(ctx, child, medianv1.ReportCodecService_MedianFromReport_FullMethodName, &medianv1.MedianFromReportRequest{Report: report}, &medianv1.MedianFromReportResponse{})
		if err := want("ReportCodecService.MedianFromReport of "+what, err, codes.InvalidArgument); err != nil {
			return err
		}
	}
	late := observations(1, 2, 3)
	late.Observations[1].Timestamp.Seconds = 1 << 32
	err = l.call(ctx, child, medianv1.ReportCodecService_BuildReport_FullMethodName, late, &medianv1.BuildReportResponse{})
	return want("ReportCodecService.BuildReport with a time that does not fit 32 bits", err, codes.InvalidArgument)
}

func relayerOnchainConfig(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	encode := func(least, most int64) ([]byte, error) { return l.onchainConfig(ctx, child, least, most) }
	encoded, err := encode(1, 1_000_000)
	if err != nil {
		return wrap("OnchainConfigCodecService.EncodeOnchainConfig", err)
	}
	var decoded medianv1.DecodeOnchainConfigResponse
	if err := l.call(ctx, child, medianv1.OnchainConfigCodecService_DecodeOnchainConfig_FullMethodName, &medianv1.DecodeOnchainConfigRequest{Encoded: encoded}, &decoded); err != nil {
		return wrap("OnchainConfigCodecService.DecodeOnchainConfig of what was encoded", err)
	}
	if least, most := wire.Int(decoded.GetConfig().GetMin()), wire.Int(decoded.GetConfig().GetMax()); least.Int64() != 1 || most.Int64() != 1_000_000 {
		return fmt.Errorf("the bounds 1 and 1000000 came back as %s and %s", least, most)
	}
	_, err = encode(2, 1)
	if err := want("OnchainConfigCodecService.EncodeOnchainConfig with min above max", err, codes.InvalidArgument); err != nil {
		return err
	}
	err = l.call(ctx, child, medianv1.OnchainConfigCodecService_DecodeOnchainConfig_FullMethodName, &medianv1.DecodeOnchainConfigRequest{Encoded: encoded[:len(encoded)-1]}, &decoded)
	return want("OnchainConfigCodecService.DecodeOnchainConfig of a byte too few", err, codes.InvalidArgument)
}

func puts(writes []string) int {
	n := 0
	for _, w := range writes {
		if strings.HasPrefix(w, "Put ") {
			n++
		}
	}
	return n
}

func relayerTransmit(ctx context.Context, b *bench) error {
	if err := b.seesChain(); err != nil {
		return err
	}
	b.chain.Hang(true) // nothing is sent, nothing becomes stale: the Store holds what was accepted
	defer b.chain.Hang(false)
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	report, err := l.report(ctx, child, 42)
	if err != nil {
		return err
	}
	if err := l.transmit(ctx, child, report, 1); err != nil {
		return wrap("ContractTransmitterService.Transmit", err)
	}
	if puts(l.world.store.Writes()) == 0 {
		return errors.New("ContractTransmitterService.Transmit answered before the report was in the Store; want it durable when the call returns")
	}
	stored := l.world.store.Keys()
	if err := l.transmit(ctx, child, report, 1); err != nil {
		return wrap("ContractTransmitterService.Transmit of the same report again", err)
	}
	if again := l.world.store.Keys(); !slices.Equal(stored, again) {
		return fmt.Errorf("the Store held the keys %q after ContractTransmitterService.Transmit and %q after the same call again; want no effect", stored, again)
	}
	return nil
}

func relayerTransmitRefused(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	if err := want("ContractTransmitterService.Transmit of bytes that are no report", l.transmit(ctx, child, []byte{1, 2, 3}, 1), codes.InvalidArgument); err != nil {
		return err
	}
	if w := l.world.store.Writes(); len(w) > 0 {
		return fmt.Errorf("ContractTransmitterService.Transmit of bytes that are no report wrote to the Store: %s", strings.Join(w, ", "))
	}
	return nil
}

func relayerTransmitStore(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	report, err := l.report(ctx, child, 42)
	if err != nil {
		return err
	}
	l.world.store.Script(func() (any, error) { return nil, status.Error(codes.Unavailable, "the database is away") })
	return want("ContractTransmitterService.Transmit while the Store is UNAVAILABLE", l.transmit(ctx, child, report, 1), codes.Unavailable)
}

func relayerSecrets(ctx context.Context, b *bench) error {
	if err := b.seesChain(); err != nil {
		return err
	}
	s := b.subjectSettings()
	s.LogLevel = slog.LevelDebug
	l, err := b.start(ctx, b.newWorld(), s)
	if err != nil {
		return err
	}
	if err := l.initialise(ctx); err != nil {
		return err
	}
	b.chain.Fail(true) // who is refused has something to say
	defer b.chain.Fail(false)
	parent, _, err := l.pair(ctx)
	if err != nil {
		return err
	}
	time.Sleep(quiet) // what does not happen cannot be awaited
	var state relayerv1.ChainStatusResponse
	if err := l.call(ctx, parent, relayerv1.ChainService_ChainStatus_FullMethodName, &relayerv1.ChainStatusRequest{}, &state); err != nil {
		return wrap("ChainService.ChainStatus", err)
	}
	var nodes relayerv1.ListNodeStatusesResponse
	if err := l.call(ctx, parent, relayerv1.ChainService_ListNodeStatuses_FullMethodName, &relayerv1.ListNodeStatusesRequest{}, &nodes); err != nil {
		return wrap("ChainService.ListNodeStatuses", err)
	}
	for what, said := range map[string]string{"ChainService.ChainStatus": state.GetConfigToml(), "ChainService.ListNodeStatuses": nodes.String()} {
		if strings.Contains(said, b.chain.Secret) {
			return fmt.Errorf("%s answers with the RPC address, which may hold a key", what)
		}
	}
	head := l.call(ctx, parent, relayerv1.ChainService_LatestHead_FullMethodName, &relayerv1.LatestHeadRequest{}, &relayerv1.LatestHeadResponse{})
	if strings.Contains(status.Convert(head).Message(), b.chain.Secret) {
		return errors.New("the error of ChainService.LatestHead holds the RPC address, which may hold a key")
	}
	for _, text := range append(l.Process.Stderr(), l.Process.Stdout()...) {
		if strings.Contains(text, b.chain.Secret) {
			return fmt.Errorf("a line of the log holds the RPC address, which may hold a key: %q", cut(strings.ReplaceAll(text, b.chain.Secret, "[the key]")))
		}
	}
	return nil
}
