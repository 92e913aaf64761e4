package looptest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// describeCases are what relayers promise of what they say before there is a chain.
func describeCases() []check {
	return []check{
		{"relayer/describe", "DescribeRelayer names a relay, its section, algorithms that the host has, report schemes by names of their own and the types of providers, and always the same", false, relayerDescribe},
		{"relayer/reference", "the reference of the configuration passes the relayer's own ValidateChain", false, relayerReference},
		{"relayer/validate-chain", "ValidateChain finds nothing wrong with what CreateChain takes, something with what it refuses, each at a path that is there, and repeats no RPC address", false, relayerValidateChain},
		{"relayer/accounts", "DescribeAccounts gives each public key a name of its own, in the spelling of NormalizeIds, and refuses what is no key", false, relayerAccounts},
		{"relayer/ids", "NormalizeIds answers each text in its place, and leaves its own spellings as they are", false, relayerIDs},
		{"relayer/validate-job", "ValidateJob finds nothing wrong with what CreateProvider takes, something with what it refuses, by the keys of the job, and names what the provider names", false, relayerValidateJob},
		{"relayer/provider-type", "a type of provider that DescribeRelayer does not list is INVALID_ARGUMENT", false, relayerProviderType},
		{"relayer/report-digest", "DigestReports answers each report in its place, with a scheme of DescribeRelayer or a problem, and whatever is part of a report changes what is signed", false, relayerReportDigest},
	}
}

func (l *life) describe(ctx context.Context) (*relayerv1.DescribeRelayerResponse, error) {
	var r relayerv1.DescribeRelayerResponse
	if err := l.call(ctx, "", relayerv1.RelayerService_DescribeRelayer_FullMethodName, &relayerv1.DescribeRelayerRequest{}, &r); err != nil {
		return nil, wrap("RelayerService.DescribeRelayer", err)
	}
	return &r, nil
}

var relayName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

func relayerDescribe(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	d, err := l.describe(ctx)
	if err != nil {
		return err
	}
	if !relayName.MatchString(d.GetRelay()) {
		return fmt.Errorf("RelayerService.DescribeRelayer names the relay %q; want a lower-case letter, then lower-case letters and digits", d.GetRelay())
	}
	if !strings.EqualFold(d.GetSection(), d.GetRelay()) {
		return fmt.Errorf("RelayerService.DescribeRelayer names the section %q of the relay %q; want the same but for the case of letters", d.GetSection(), d.GetRelay())
	}
	if _, known := accountKeys[d.GetAccountAlgorithm()]; !known {
		return fmt.Errorf("RelayerService.DescribeRelayer names the account algorithm %s, which hosts do not have", d.GetAccountAlgorithm())
	}
	seen := map[string]bool{}
	for _, scheme := range d.GetReportSchemes() {
		if seen[scheme.GetName()] {
			return fmt.Errorf("RelayerService.DescribeRelayer names two report schemes %q; want a name for each", scheme.GetName())
		}
		seen[scheme.GetName()] = true
		if _, known := messageLengths[scheme.GetAlgorithm()]; !known {
			return fmt.Errorf("RelayerService.DescribeRelayer names the report algorithm %s, which hosts do not have", scheme.GetAlgorithm())
		}
	}
	if types := d.GetProviderTypes(); slices.Contains(types, "") || len(slices.Compact(slices.Sorted(slices.Values(types)))) < len(types) {
		return fmt.Errorf("RelayerService.DescribeRelayer lists the provider types %q; want no empty one and none twice", types)
	}
	again, err := l.describe(ctx)
	if err != nil {
		return err
	}
	if !proto.Equal(d, again) {
		return errors.New("RelayerService.DescribeRelayer answered twice and otherwise the second time; the host keeps the first answer")
	}
	return nil
}

// validateChain has a relayer check a table, and holds its answer to the paths of that.
func (l *life) validateChain(ctx context.Context, table, what string) (*relayerv1.ValidateChainResponse, error) {
	var r relayerv1.ValidateChainResponse
	err := l.call(ctx, "", relayerv1.RelayerService_ValidateChain_FullMethodName, &relayerv1.ValidateChainRequest{ConfigToml: []byte(table)}, &r)
	if err != nil {
		return nil, wrap("RelayerService.ValidateChain of "+what, err)
	}
	index, err := keys.Read([]byte(table))
	for _, found := range slices.Concat(r.GetProblems(), r.GetWarnings()) {
		if secret := l.bench.chain.Secret; strings.Contains(found.GetPath()+found.GetMessage(), secret) {
			return nil, fmt.Errorf("RelayerService.ValidateChain of %s repeats the RPC address, which may hold a key: %q", what, cut(strings.ReplaceAll(found.GetMessage(), secret, "[the key]")))
		}
		if err == nil && !isThere(index, found.GetPath()) {
			return nil, fmt.Errorf("RelayerService.ValidateChain of %s names a problem at the path %q, which is not there", what, found.GetPath())
		}
	}
	return &r, nil
}

var position = regexp.MustCompile(`\[\d+\]`)

// isThere tells whether a path leads through the document: a key may be missing, an element of a list not.
func isThere(index *keys.Index, path string) bool {
	for _, at := range position.FindAllStringIndex(path, -1) {
		if _, ok := index.Find(path[:at[1]]); !ok {
			return false
		}
	}
	return !strings.ContainsAny(position.ReplaceAllString(path, ""), "[] \n")
}

func sentenceOf(problems []*relayerv1.Problem) string {
	var texts []string
	for _, p := range problems {
		texts = append(texts, strings.TrimPrefix(p.GetPath()+": "+p.GetMessage(), ": "))
	}
	return cut(strings.Join(texts, "; "))
}

func relayerReference(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	d, err := l.describe(ctx)
	if err != nil {
		return err
	}
	r, err := l.validateChain(ctx, d.GetReferenceToml(), "the relayer's own reference_toml")
	if err != nil {
		return err
	}
	if len(r.GetProblems()) > 0 {
		return fmt.Errorf("RelayerService.ValidateChain refuses the relayer's own reference_toml: %s", sentenceOf(r.GetProblems()))
	}
	return nil
}

func relayerValidateChain(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	good := b.configTOML()
	r, err := l.validateChain(ctx, good, "the configuration that the suite uses")
	if err != nil {
		return err
	}
	if len(r.GetProblems()) > 0 {
		return fmt.Errorf("RelayerService.ValidateChain refuses the configuration that RelayerService.CreateChain takes: %s", sentenceOf(r.GetProblems()))
	}
	for what, table := range map[string]string{
		"a section that is no TOML":              good + "\nnonsense = [\n",
		"a section without a key":                "",
		"a chain's id that is a list":            "ChainID = []\n",
		"an address that stands for a node":      "Nodes = ['" + b.chain.URL + "']\n",
		"an element of Nodes without a key":      good + "\n[[Nodes]]\n",
		"a section whose content is there twice": good + "\n" + good,
	} {
		r, err := l.validateChain(ctx, table, what)
		if err != nil {
			return err
		}
		if len(r.GetProblems()) > 0 {
			continue
		}
		method, request, reply := l.parentRequest(loan.Name("Conformance"), false)
		request.(*relayerv1.CreateChainRequest).ConfigToml = []byte(table)
		if err := l.call(ctx, "", method, request, reply); err != nil {
			return fmt.Errorf("RelayerService.ValidateChain finds nothing wrong with %s, which RelayerService.CreateChain refuses: %w", what, err)
		}
	}
	return nil
}

// accountKeys are two public keys of each algorithm: the points 1 and 2 of the curve or, of Ed25519, the first two of
// RFC 8032.
var accountKeys = map[relayerv1.AccountAlgorithm][2]string{
	relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1: {
		"0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
		"04c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee51ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a",
	},
	relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519: {
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
		"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	},
	relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_STARK: {
		"01ef15c18599971b7beced415a40f0c7deacfd9b0d1819e03d723d8bc943cfca",
		"0759ca09377679ecd535a81e83039658bf40959283187c654c5416f439403cf5",
	},
}

func relayerAccounts(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	d, err := l.describe(ctx)
	if err != nil {
		return err
	}
	const method = "RelayerService.DescribeAccounts"
	var given [][]byte
	for _, text := range accountKeys[d.GetAccountAlgorithm()] {
		key, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		given = append(given, key)
	}
	name := func(keys ...[]byte) ([]string, error) {
		var r relayerv1.DescribeAccountsResponse
		err := l.call(ctx, "", relayerv1.RelayerService_DescribeAccounts_FullMethodName, &relayerv1.DescribeAccountsRequest{PublicKeys: keys}, &r)
		return r.GetNames(), err
	}
	names, err := name(given[0], given[1], given[0])
	if err != nil {
		return wrap(method, err)
	}
	if len(names) != 3 {
		return fmt.Errorf("%s of three keys answers %d names; want one for each", method, len(names))
	}
	if names[0] != names[2] || names[0] == names[1] || names[0] == "" || names[1] == "" {
		return fmt.Errorf("%s of a key, another and the first again answers %q; want a name for each key and always the same", method, names)
	}
	for _, name := range names {
		normal, err := l.normalize(ctx, relayerv1.IdKind_ID_KIND_ACCOUNT, name)
		if err != nil {
			return err
		}
		if normal[0].GetText() != name {
			return fmt.Errorf("%s names an account %q, which RelayerService.NormalizeIds spells %q (%s); want one spelling", method, name, normal[0].GetText(), normal[0].GetProblem())
		}
	}
	for what, key := range map[string][]byte{"no bytes": {}, "a key without its last byte": given[0][:len(given[0])-1], "ones": bytes.Repeat([]byte{0xff}, len(given[0])+1)} {
		_, err := name(given[0], key)
		if err := want(method+" of "+what, err, codes.InvalidArgument); err != nil {
			return err
		}
	}
	return nil
}

// normalize has a relayer spell texts of one kind.
func (l *life) normalize(ctx context.Context, kind relayerv1.IdKind, texts ...string) ([]*relayerv1.NormalizedId, error) {
	request := &relayerv1.NormalizeIdsRequest{}
	for _, text := range texts {
		request.Ids = append(request.Ids, &relayerv1.Id{Kind: kind, Text: text})
	}
	var r relayerv1.NormalizeIdsResponse
	if err := l.call(ctx, "", relayerv1.RelayerService_NormalizeIds_FullMethodName, request, &r); err != nil {
		return nil, wrap("RelayerService.NormalizeIds", err)
	}
	if got := len(r.GetIds()); got != len(texts) {
		return nil, fmt.Errorf("RelayerService.NormalizeIds of %d texts answers %d; want one for each", len(texts), got)
	}
	for i, id := range r.GetIds() {
		if (id.GetText() == "") == (id.GetProblem() == "") {
			return nil, fmt.Errorf("RelayerService.NormalizeIds spells %q as %q with the problem %q; want one of the two", texts[i], id.GetText(), id.GetProblem())
		}
	}
	return r.GetIds(), nil
}

func relayerIDs(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	const method = "RelayerService.NormalizeIds"
	for kind, text := range map[relayerv1.IdKind]string{
		relayerv1.IdKind_ID_KIND_CONTRACT: b.settings.Relayer.ContractID, relayerv1.IdKind_ID_KIND_ACCOUNT: b.settings.Relayer.TransmitterID,
	} {
		ids, err := l.normalize(ctx, kind, "conformance", text, "")
		if err != nil {
			return err
		}
		if ids[1].GetProblem() != "" || ids[0].GetProblem() == "" || ids[2].GetProblem() == "" {
			return fmt.Errorf("%s finds of \"conformance\", %q and an empty text the problems %q, %q and %q; want some with the first and the last, which name nothing",
				method, text, ids[0].GetProblem(), ids[1].GetProblem(), ids[2].GetProblem())
		}
		again, err := l.normalize(ctx, kind, ids[1].GetText())
		if err != nil {
			return err
		}
		if got := again[0].GetText(); got != ids[1].GetText() {
			return fmt.Errorf("%s spells %q as %q, and that as %q; want its own spellings left as they are", method, text, ids[1].GetText(), got)
		}
	}
	return nil
}

// job is how ValidateJob is asked of the job that the suite uses.
func (b *bench) job(change func(*relayerv1.ValidateJobRequest)) *relayerv1.ValidateJobRequest {
	r := b.settings.Relayer
	request := &relayerv1.ValidateJobRequest{
		ChainId: r.ChainID, ContractId: r.ContractID, TransmitterId: r.TransmitterID, RelayConfigJson: []byte(r.RelayConfigJSON), ProviderType: relayer.ProviderMedian,
	}
	change(request)
	return request
}

func (l *life) validateJob(ctx context.Context, request *relayerv1.ValidateJobRequest, what string) (*relayerv1.ValidateJobResponse, error) {
	var r relayerv1.ValidateJobResponse
	if err := l.call(ctx, "", relayerv1.RelayerService_ValidateJob_FullMethodName, request, &r); err != nil {
		return nil, wrap("RelayerService.ValidateJob of "+what, err)
	}
	return &r, nil
}

func relayerValidateJob(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	const method = "RelayerService.ValidateJob"
	good, err := l.validateJob(ctx, b.job(func(*relayerv1.ValidateJobRequest) {}), "the job that the suite uses")
	if err != nil {
		return err
	}
	if len(good.GetProblems()) > 0 {
		return fmt.Errorf("%s refuses the job that ChainService.CreateProvider takes: %s", method, sentenceOf(good.GetProblems()))
	}
	if err := l.isThatOfTheProvider(ctx, good); err != nil {
		return err
	}
	for key, change := range map[string]func(*relayerv1.ValidateJobRequest){
		"contractID":    func(r *relayerv1.ValidateJobRequest) { r.ContractId = "conformance" },
		"transmitterID": func(r *relayerv1.ValidateJobRequest) { r.TransmitterId = "conformance" },
		"relayConfig":   func(r *relayerv1.ValidateJobRequest) { r.RelayConfigJson = []byte("{") },
		"":              func(r *relayerv1.ValidateJobRequest) { r.ProviderType = "conformance" },
	} {
		what := "a job whose " + key + " is none"
		if key == "" {
			what = "a job of a type of provider that the relayer does not have"
		}
		bad, err := l.validateJob(ctx, b.job(change), what)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(bad.GetProblems(), func(p *relayerv1.Problem) bool { return p.GetPath() == key }) {
			return fmt.Errorf("%s of %s finds the problems %q; want one at the path %q", method, what, sentenceOf(bad.GetProblems()), key)
		}
	}
	return nil
}

// isThatOfTheProvider holds what ValidateJob says of a job to what the job's provider and NormalizeIds say.
func (l *life) isThatOfTheProvider(ctx context.Context, said *relayerv1.ValidateJobResponse) error {
	if !json.Valid(said.GetRelayConfigJson()) {
		return fmt.Errorf("RelayerService.ValidateJob gives the relay configuration %q; want JSON", cut(string(said.GetRelayConfigJson())))
	}
	r := l.bench.settings.Relayer
	for _, id := range []struct {
		kind      relayerv1.IdKind
		text, got string
	}{
		{relayerv1.IdKind_ID_KIND_CONTRACT, r.ContractID, said.GetContractKey()}, {relayerv1.IdKind_ID_KIND_ACCOUNT, r.TransmitterID, said.GetTransmitterKey()},
	} {
		normal, err := l.normalize(ctx, id.kind, id.text)
		if err != nil {
			return err
		}
		if normal[0].GetText() != id.got {
			return fmt.Errorf("RelayerService.ValidateJob spells %q as %q, and RelayerService.NormalizeIds as %q; want one spelling", id.text, id.got, normal[0].GetText())
		}
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	provider := loan.Name("Conformance")
	method, request, reply := l.childRequest(provider, false)
	request.(*relayerv1.CreateProviderRequest).Config.RelayConfigJson = said.GetRelayConfigJson()
	if err := l.call(ctx, parent, method, request, reply); err != nil {
		return wrap(short(method)+" with the relay configuration that RelayerService.ValidateJob gives", err)
	}
	var from relayerv1.FromAccountResponse
	if err := l.call(ctx, provider, relayerv1.ContractTransmitterService_FromAccount_FullMethodName, &relayerv1.FromAccountRequest{}, &from); err != nil {
		return wrap("ContractTransmitterService.FromAccount", err)
	}
	if from.GetAccount() != said.GetFromAccount() {
		return fmt.Errorf("RelayerService.ValidateJob says that the job sends from %q, and ContractTransmitterService.FromAccount %q", said.GetFromAccount(), from.GetAccount())
	}
	return nil
}

func relayerProviderType(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	method, request, reply := l.childRequest(loan.Name("Conformance"), false)
	request.(*relayerv1.CreateProviderRequest).ProviderType = "conformance"
	return want(short(method)+" of a provider_type that the relayer does not list", l.call(ctx, parent, method, request, reply), codes.InvalidArgument)
}

// messageLengths are how long what is signed must be, by algorithm; 0: any length.
var messageLengths = map[relayerv1.ReportAlgorithm]int{
	relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS: 32, relayerv1.ReportAlgorithm_REPORT_ALGORITHM_ED25519: 0,
	relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK: 32,
}

func relayerReportDigest(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	d, err := l.describe(ctx)
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
	other, err := l.report(ctx, child, 43)
	if err != nil {
		return err
	}
	digest := func(reports ...*relayerv1.ReportToDigest) ([]*relayerv1.ReportDigest, error) {
		return l.digest(ctx, child, d, reports)
	}
	at := func(change func(*reportingv1.ReportContext)) *reportingv1.ReportContext {
		c := &reportingv1.ReportContext{Timestamp: round(7), ExtraHash: bytes.Repeat([]byte{3}, 32)}
		c.Timestamp.ConfigDigest[0] = 0
		change(c)
		return c
	}
	all := map[string]*relayerv1.ReportToDigest{
		"the report":     {ReportContext: at(func(*reportingv1.ReportContext) {}), Report: report},
		"other bytes":    {ReportContext: at(func(*reportingv1.ReportContext) {}), Report: other},
		"another epoch":  {ReportContext: at(func(c *reportingv1.ReportContext) { c.Timestamp.Epoch++ }), Report: report},
		"another round":  {ReportContext: at(func(c *reportingv1.ReportContext) { c.Timestamp.Round++ }), Report: report},
		"another digest": {ReportContext: at(func(c *reportingv1.ReportContext) { c.Timestamp.ConfigDigest[31]++ }), Report: report},
		"another extra":  {ReportContext: at(func(c *reportingv1.ReportContext) { c.ExtraHash[31]++ }), Report: report},
	}
	names := slices.Sorted(maps.Keys(all))
	var together []*relayerv1.ReportToDigest
	for _, name := range names {
		together = append(together, all[name])
	}
	digests, err := digest(together...)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	for i, name := range names {
		alone, err := digest(all[name])
		if err != nil {
			return err
		}
		if !proto.Equal(alone[0], digests[i]) {
			return fmt.Errorf("ReportDigestService.DigestReports of %d reports answers another digest at %d than of that report alone; want them in the order of the reports", len(names), i)
		}
		if problem := digests[i].GetProblem(); problem != "" {
			return fmt.Errorf("ReportDigestService.DigestReports refuses %s that the provider's own codec made: %s", name, cut(problem))
		}
		if twin := seen[string(digests[i].GetMessage())]; twin != "" {
			return fmt.Errorf("ReportDigestService.DigestReports answers the same for %s and for %s; want whatever is part of a report signed", twin, name)
		}
		seen[string(digests[i].GetMessage())] = name
	}
	// Another oracle may send anything.
	_, err = digest(&relayerv1.ReportToDigest{ReportContext: at(func(*reportingv1.ReportContext) {})},
		&relayerv1.ReportToDigest{ReportContext: at(func(c *reportingv1.ReportContext) { c.Timestamp.ConfigDigest[0] = 0xff }), Report: bytes.Repeat([]byte{0xff}, 1000)})
	return err
}

// digest has a provider digest reports, and holds each answer to the description.
func (l *life) digest(ctx context.Context, provider string, d *relayerv1.DescribeRelayerResponse, reports []*relayerv1.ReportToDigest) ([]*relayerv1.ReportDigest, error) {
	const method = "ReportDigestService.DigestReports"
	var r relayerv1.DigestReportsResponse
	if err := l.call(ctx, provider, relayerv1.ReportDigestService_DigestReports_FullMethodName, &relayerv1.DigestReportsRequest{Reports: reports}, &r); err != nil {
		return nil, wrap(method, err)
	}
	if got := len(r.GetDigests()); got != len(reports) {
		return nil, fmt.Errorf("%s of %d reports answers %d digests; want one for each", method, len(reports), got)
	}
	for _, digest := range r.GetDigests() {
		if digest.GetProblem() != "" {
			if digest.GetScheme() != "" || len(digest.GetMessage()) > 0 {
				return nil, fmt.Errorf("%s answers a scheme or a message beside the problem %q; want nothing to sign", method, cut(digest.GetProblem()))
			}
			continue
		}
		i := slices.IndexFunc(d.GetReportSchemes(), func(s *relayerv1.ReportScheme) bool { return s.GetName() == digest.GetScheme() })
		if i < 0 {
			return nil, fmt.Errorf("%s answers the scheme %q, which DescribeRelayer does not have", method, digest.GetScheme())
		}
		algorithm := d.GetReportSchemes()[i].GetAlgorithm()
		if length := messageLengths[algorithm]; len(digest.GetMessage()) == 0 || length > 0 && len(digest.GetMessage()) != length {
			return nil, fmt.Errorf("%s answers %d bytes to be signed by %s, which signs %d", method, len(digest.GetMessage()), algorithm, length)
		}
	}
	return r.GetDigests(), nil
}
