package looptest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
)

// relayerCases are what relayers promise.
func relayerCases() []check {
	return append(describeCases(), []check{
		{"relayer/refused-config",
			"a chain's configuration that cannot be used is INVALID_ARGUMENT without the RPC address in the text", false,
			relayerRefusedConfig},
		{"relayer/refused-job", "a contract and a transmitter that are none are INVALID_ARGUMENT", false, relayerRefusedJob},
		{"relayer/chain-down",
			"construction does not wait for the chain, and calls that need its answer are UNAVAILABLE", false,
			relayerChainDown},
		{"relayer/no-effects",
			"construction writes nothing to the Store, signs nothing and sends nothing, in either of two generations", false,
			relayerNoEffects},
		{"relayer/views", "every view of the chain and the contract answers a value, or UNAVAILABLE while there is none",
			false, relayerViews},
		{"relayer/watch",
			"WatchContractConfigs tells of each provider's contract by the provider's name, and ends with its caller", false,
			relayerWatch},
		{"relayer/drain-watching", "Drain does not wait for WatchContractConfigs, and the process ends all the same", true,
			relayerDrainWatching},
		{"relayer/config-provider",
			"a bootstrap job's provider follows the configuration and answers UNIMPLEMENTED to all else", false,
			relayerConfigProvider},
		{"relayer/statuses", "ListNodeStatuses counts its nodes and refuses page tokens that it did not give", false,
			relayerStatuses},
		{"relayer/read-contract",
			"ReadContract of a contract, an account and a block that are none is INVALID_ARGUMENT; a relayer that reads no " +
				"contracts answers UNIMPLEMENTED with a sentence", false, relayerReadContract},
		{"relayer/digest", "a config digest begins with the chain's prefix, and every part of the configuration changes it",
			false, relayerDigest},
		{"relayer/report",
			"a report's answer is the observation of rank n/2, its length is within the bound, and the order of observations " +
				"is nothing", false, relayerReport},
		{"relayer/untrusted-report",
			"bytes that are not a report, and values that no report holds, are INVALID_ARGUMENT", false,
			relayerUntrustedReport},
		{"relayer/onchain-config",
			"an on-chain configuration comes back as it was, and bounds in the wrong order are INVALID_ARGUMENT", false,
			relayerOnchainConfig},
		{"relayer/transmit", "Transmit answers when the report is in the Store, and a repeated call has no effect", false,
			relayerTransmit},
		{"relayer/transmit-refused", "Transmit of what the contract cannot take is INVALID_ARGUMENT and writes nothing",
			false, relayerTransmitRefused},
		{"relayer/transmit-store", "Transmit while the Store does not answer is UNAVAILABLE", false, relayerTransmitStore},
		{"relayer/signs-what-it-shows", "what is to be signed is the hash of the transaction that is shown to the host",
			false, relayerSignsWhatItShows},
		{"relayer/secrets", "an RPC address stands in no line of the log and in no status", true, relayerSecrets},
	}...)
}

func relayerRefusedConfig(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	method, request, reply := l.parentRequest(loan.Name("Conformance"), false)
	good := string(request.(*relayerv1.CreateChainRequest).GetConfigToml())
	for what, toml := range map[string]string{
		"a section that is not TOML":       good + "\nnonsense = [\n",
		"a section with a key given twice": strings.Repeat("ChainID = '"+b.settings.Relayer.ChainID+"'\n", 2) + good,
		"an address in a place where it means nothing": strings.Replace(good, "\n", "\n[\""+b.chain.URL+"\"]\n", 1) +
			"\n= broken",
	} {
		bad := proto.CloneOf(request.(*relayerv1.CreateChainRequest))
		bad.Name, bad.ConfigToml = loan.Name("Conformance"), []byte(toml)
		err := l.call(ctx, "", method, bad, reply)
		if err := want(short(method)+" with "+what, err, codes.InvalidArgument); err != nil {
			return err
		}
		if said := status.Convert(err).Message(); strings.Contains(said, b.chain.Secret) {
			return fmt.Errorf("%s with %s is refused with the RPC address in the text, which may hold a key: %q", short(method),
				what, cut(strings.ReplaceAll(said, b.chain.Secret, "[the key]")))
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
		"a contract that is not an address":    func(r *relayerv1.CreateProviderRequest) { r.Config.ContractId = nameless },
		"a transmitter that is not an account": func(r *relayerv1.CreateProviderRequest) { r.TransmitterId = nameless },
		"a relayConfig that is not JSON": func(r *relayerv1.CreateProviderRequest) {
			r.Config.RelayConfigJson = []byte("{")
		},
	} {
		method, request, reply := l.childRequest(loan.Name("Conformance"), false)
		change(request.(*relayerv1.CreateProviderRequest))
		if err := want(short(method)+" with "+what, l.call(ctx, parent, method, request, reply),
			codes.InvalidArgument); err != nil {
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
			return fmt.Errorf("construction in generation %d wrote to the Store: %s; want no effect that outlives the process",
				number+1, strings.Join(writes, ", "))
		}
		if n := w.keystore.Signs(); n > 0 {
			return fmt.Errorf("construction in generation %d signed %d times; want none", number+1, n)
		}
		if sent := b.chain.Transactions(); !slices.Equal(sent, before) {
			return fmt.Errorf("construction in generation %d sent transactions: %s; want none", number+1,
				strings.Join(sent, ", "))
		}
		l.Close()
	}
	return nil
}

// seesChain skips the case if the relayer talks to a chain that the suite does not see.
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
	limited, cancel := context.WithTimeout(ctx, b.within(2*time.Second))
	defer cancel()
	parent, child, err := l.pair(limited)
	if err != nil {
		return fmt.Errorf("with a chain that does not answer: %w", err)
	}
	// A relayer may wait for its chain for most of the time that a caller has. The rest must suffice for the answer.
	ask := func(what, object, method string, request, reply proto.Message) error {
		err := b.growing(3*time.Second, func(limit time.Duration) error {
			limited, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return l.call(limited, object, method, request, reply)
		})
		return want(what+" with a chain that does not answer", err, codes.Unavailable)
	}
	return cmp.Or(
		ask("ChainService.LatestHead", parent, relayerv1.ChainService_LatestHead_FullMethodName,
			&relayerv1.LatestHeadRequest{}, &relayerv1.LatestHeadResponse{}),
		ask("ContractConfigService.LatestConfigDetails", child,
			relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName, &relayerv1.LatestConfigDetailsRequest{},
			&relayerv1.LatestConfigDetailsResponse{}))
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
	// The first poll of a contract takes a moment. The views share it, for all may wait for the same contract.
	until := time.Now().Add(b.hang())
	for _, v := range []struct {
		object, method string
		request, reply proto.Message
	}{
		{parent, relayerv1.ChainService_ChainStatus_FullMethodName, &relayerv1.ChainStatusRequest{},
			&relayerv1.ChainStatusResponse{}},
		{parent, relayerv1.ChainService_LatestHead_FullMethodName, &relayerv1.LatestHeadRequest{},
			&relayerv1.LatestHeadResponse{}},
		{child, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName, &relayerv1.LatestConfigDetailsRequest{},
			&relayerv1.LatestConfigDetailsResponse{}},
		{child, relayerv1.ContractConfigService_LatestBlockHeight_FullMethodName, &relayerv1.LatestBlockHeightRequest{},
			&relayerv1.LatestBlockHeightResponse{}},
		{child, relayerv1.ContractTransmitterService_LatestConfigDigestAndEpoch_FullMethodName,
			&relayerv1.LatestConfigDigestAndEpochRequest{}, &relayerv1.LatestConfigDigestAndEpochResponse{}},
		{child, relayerv1.ContractTransmitterService_FromAccount_FullMethodName, &relayerv1.FromAccountRequest{},
			&relayerv1.FromAccountResponse{}},
		{child, medianv1.MedianContractService_LatestTransmissionDetails_FullMethodName,
			&medianv1.LatestTransmissionDetailsRequest{}, &medianv1.LatestTransmissionDetailsResponse{}},
		{child, medianv1.MedianContractService_LatestRoundRequested_FullMethodName,
			&medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(time.Hour)},
			&medianv1.LatestRoundRequestedResponse{}},
	} {
		err := eventually(ctx, until, func() error { return l.call(ctx, v.object, v.method, v.request, v.reply) })
		if status.Code(err) == codes.Unavailable && !b.fakesChain() {
			continue // a contract that may not be there
		}
		if err != nil {
			return wrap(short(v.method), err)
		}
	}
	var state relayerv1.ChainStatusResponse
	if err := l.call(ctx, parent, relayerv1.ChainService_ChainStatus_FullMethodName, &relayerv1.ChainStatusRequest{},
		&state); err != nil {
		return err
	}
	if state.GetChainId() != b.settings.Relayer.ChainID {
		return fmt.Errorf("ChainService.ChainStatus names the chain %q; want %q", state.GetChainId(),
			b.settings.Relayer.ChainID)
	}
	return nil
}

// fakesChain reports whether the chain surely answers for the job's contract. Only the suite's own fake does, and only
// to relayers of EVM chains, whose ids are numbers.
func (b *bench) fakesChain() bool {
	_, err := strconv.ParseUint(b.settings.Relayer.ChainID, 10, 64)
	return err == nil && b.settings.Relayer.NodeURL == "" && b.seesChain() == nil
}

// eventually repeats a call while it is UNAVAILABLE, until a time.
func eventually(ctx context.Context, until time.Time, call func() error) error {
	for {
		err := call()
		if status.Code(err) != codes.Unavailable || time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
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
		&relayerv1.CreateProviderRequest{ProviderType: "config", Name: provider, Config: b.providerConfig()},
		&relayerv1.CreateProviderResponse{}); err != nil {
		return wrap("ChainService.CreateProvider", err)
	}
	if err := l.call(ctx, provider, relayerv1.ContractConfigService_ConfigDigestPrefix_FullMethodName,
		&relayerv1.ConfigDigestPrefixRequest{}, &relayerv1.ConfigDigestPrefixResponse{}); err != nil {
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
		return fmt.Errorf("ChainService.ListNodeStatuses of a whole list answered %d nodes, a total of %d and the token "+
			"%q; want all nodes and no token",
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
		return fmt.Errorf("ChainService.ListNodeStatuses answered %d nodes page by page, and %d at once", len(names),
			len(all.GetNodes()))
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
	err = eventually(ctx, time.Now().Add(b.hang()), func() error { return read(func(*relayerv1.ReadContractRequest) {}) })
	if status.Code(err) == codes.Unimplemented {
		if status.Convert(err).Message() == "" {
			return errors.New("ChainService.ReadContract is UNIMPLEMENTED without a word; want a sentence that says what to " +
				"do instead")
		}
		return skip{"the relayer reads no contracts: " + cut(status.Convert(err).Message())}
	}
	// The suite does not know the contract, so that what it calls need not be a function there.
	allowed := []codes.Code{codes.OK, codes.NotFound, codes.FailedPrecondition}
	if !b.fakesChain() {
		allowed = append(allowed, codes.Unavailable)
	}
	if err := want("ChainService.ReadContract", err, allowed...); err != nil {
		return err
	}
	for what, change := range map[string]func(*relayerv1.ReadContractRequest){
		"a contract that is not an address": func(r *relayerv1.ReadContractRequest) { r.ContractId = nameless },
		"a caller that is not an account":   func(r *relayerv1.ReadContractRequest) { r.From = nameless },
		"a block that is none":              func(r *relayerv1.ReadContractRequest) { r.Block = nameless },
	} {
		if err := want("ChainService.ReadContract with "+what, read(change), codes.InvalidArgument); err != nil {
			return err
		}
	}
	return nil
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
	b.chain.Fail(true) // a relayer whose requests fail has something to log
	defer b.chain.Fail(false)
	parent, _, err := l.pair(ctx)
	if err != nil {
		return err
	}
	time.Sleep(quiet) // what does not happen cannot be awaited
	var state relayerv1.ChainStatusResponse
	if err := l.call(ctx, parent, relayerv1.ChainService_ChainStatus_FullMethodName, &relayerv1.ChainStatusRequest{},
		&state); err != nil {
		return wrap("ChainService.ChainStatus", err)
	}
	var nodes relayerv1.ListNodeStatusesResponse
	if err := l.call(ctx, parent, relayerv1.ChainService_ListNodeStatuses_FullMethodName,
		&relayerv1.ListNodeStatusesRequest{}, &nodes); err != nil {
		return wrap("ChainService.ListNodeStatuses", err)
	}
	for what, said := range map[string]string{"ChainService.ChainStatus": state.GetConfigToml(),
		"ChainService.ListNodeStatuses": nodes.String()} {
		if strings.Contains(said, b.chain.Secret) {
			return fmt.Errorf("%s answers with the RPC address, which may hold a key", what)
		}
	}
	head := l.call(ctx, parent, relayerv1.ChainService_LatestHead_FullMethodName, &relayerv1.LatestHeadRequest{},
		&relayerv1.LatestHeadResponse{})
	if strings.Contains(status.Convert(head).Message(), b.chain.Secret) {
		return errors.New("the error of ChainService.LatestHead holds the RPC address, which may hold a key")
	}
	for _, text := range append(l.Process.Stderr(), l.Process.Stdout()...) {
		if strings.Contains(text, b.chain.Secret) {
			return fmt.Errorf("a line of the log holds the RPC address, which may hold a key: %q",
				cut(strings.ReplaceAll(text, b.chain.Secret, "[the key]")))
		}
	}
	return nil
}
