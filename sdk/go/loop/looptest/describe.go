package looptest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
)

// describeCases are about what a relayer says of itself, of configurations, jobs and names, before there is a chain.
func describeCases() []check {
	return []check{
		{"relayer/describe",
			"DescribeRelayer names a relay, its section, algorithms that the host has, report schemes by names of their own " +
				"and the types of providers, and always the same", false, relayerDescribe},
		{"relayer/reference", "the reference of the configuration passes the relayer's own ValidateChain", false,
			relayerReference},
		{"relayer/validate-chain",
			"ValidateChain finds nothing wrong with what CreateChain takes, something with what it refuses, each at a path " +
				"that is there, and repeats no RPC address", false, relayerValidateChain},
		{"relayer/accounts",
			"DescribeAccounts gives each public key a name of its own, in the spelling of NormalizeIds, and refuses what is " +
				"not a key", false, relayerAccounts},
		{"relayer/ids", "NormalizeIds answers each text in its place, and leaves its own spellings as they are", false,
			relayerIDs},
		{"relayer/validate-job",
			"ValidateJob finds nothing wrong with what CreateProvider takes, something with what it refuses, by the keys of " +
				"the job, and names what the provider names", false, relayerValidateJob},
		{"relayer/provider-type", "a type of provider that DescribeRelayer does not list is INVALID_ARGUMENT", false,
			relayerProviderType},
		{"relayer/report-digest",
			"DigestReports answers each report in its place, with a scheme of DescribeRelayer or a problem, and whatever is " +
				"part of a report changes what is signed", false, relayerReportDigest},
	}
}

func (l *generation) describe(ctx context.Context) (*relayerv1.DescribeRelayerResponse, error) {
	var r relayerv1.DescribeRelayerResponse
	if err := l.call(ctx, "", relayerv1.RelayerService_DescribeRelayer_FullMethodName, &relayerv1.DescribeRelayerRequest{},
		&r); err != nil {
		return nil, wrap("RelayerService.DescribeRelayer", err)
	}
	return &r, nil
}

// described is the plugin and what it says of itself.
func (b *bench) described(ctx context.Context) (*generation, *relayerv1.DescribeRelayerResponse, error) {
	l, err := b.plugin(ctx)
	if err != nil {
		return nil, nil, err
	}
	d, err := l.describe(ctx)
	return l, d, err
}

var relayName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

func relayerDescribe(ctx context.Context, b *bench) error {
	l, d, err := b.described(ctx)
	if err != nil {
		return err
	}
	if !relayName.MatchString(d.GetRelay()) {
		return fmt.Errorf("RelayerService.DescribeRelayer names the relay %q; want a lower-case letter, then lower-case "+
			"letters and digits", d.GetRelay())
	}
	if !strings.EqualFold(d.GetSection(), d.GetRelay()) {
		return fmt.Errorf("RelayerService.DescribeRelayer names the section %q of the relay %q; want the same but for the "+
			"case of letters", d.GetSection(), d.GetRelay())
	}
	if _, known := accountKeys[d.GetAccountAlgorithm()]; !known {
		return fmt.Errorf("RelayerService.DescribeRelayer names the account algorithm %s, which hosts do not have",
			d.GetAccountAlgorithm())
	}
	seen := map[string]bool{}
	for _, scheme := range d.GetReportSchemes() {
		if seen[scheme.GetName()] {
			return fmt.Errorf("RelayerService.DescribeRelayer names two report schemes %q; want a name for each",
				scheme.GetName())
		}
		seen[scheme.GetName()] = true
		if _, known := messageLengths[scheme.GetAlgorithm()]; !known {
			return fmt.Errorf("RelayerService.DescribeRelayer names the report algorithm %s, which hosts do not have",
				scheme.GetAlgorithm())
		}
	}
	if types := d.GetProviderTypes(); slices.Contains(types, "") ||
		len(slices.Compact(slices.Sorted(slices.Values(types)))) < len(types) {
		return fmt.Errorf("RelayerService.DescribeRelayer lists the provider types %q; want no empty one and none twice",
			types)
	}
	again, err := l.describe(ctx)
	if err != nil {
		return err
	}
	if !proto.Equal(d, again) {
		return errors.New("RelayerService.DescribeRelayer answered twice and otherwise the second time; the host keeps the " +
			"first answer")
	}
	return nil
}

// validateChain has a relayer check a table, and checks that the answer's paths lead into the table.
func (l *generation) validateChain(ctx context.Context, table, what string) (*relayerv1.ValidateChainResponse, error) {
	var r relayerv1.ValidateChainResponse
	err := l.call(ctx, "", relayerv1.RelayerService_ValidateChain_FullMethodName,
		&relayerv1.ValidateChainRequest{ConfigToml: []byte(table)}, &r)
	if err != nil {
		return nil, wrap("RelayerService.ValidateChain of "+what, err)
	}
	index, err := keys.Read([]byte(table))
	for _, found := range slices.Concat(r.GetProblems(), r.GetWarnings()) {
		if secret := l.bench.chain.Secret; strings.Contains(found.GetPath()+found.GetMessage(), secret) {
			return nil, fmt.Errorf("RelayerService.ValidateChain of %s repeats the RPC address, which may hold a key: %q", what,
				cut(strings.ReplaceAll(found.GetMessage(), secret, "[the key]")))
		}
		if err == nil && !isThere(index, found.GetPath()) {
			return nil, fmt.Errorf("RelayerService.ValidateChain of %s names a problem at the path %q, which is not there", what,
				found.GetPath())
		}
	}
	return &r, nil
}

var position = regexp.MustCompile(`\[\d+\]`)

// isThere reports whether a path leads into the document: a key may be missing, an element of a list may not.
func isThere(index *keys.Index, path string) bool {
	for _, at := range position.FindAllStringIndex(path, -1) {
		if _, ok := index.Find(path[:at[1]]); !ok {
			return false
		}
	}
	return !strings.ContainsAny(position.ReplaceAllString(path, ""), "[] \n")
}

func sentenceOf(problems []*pluginv1.Problem) string {
	var texts []string
	for _, p := range problems {
		texts = append(texts, strings.TrimPrefix(p.GetPath()+": "+p.GetMessage(), ": "))
	}
	return cut(strings.Join(texts, "; "))
}

func relayerReference(ctx context.Context, b *bench) error {
	l, d, err := b.described(ctx)
	if err != nil {
		return err
	}
	r, err := l.validateChain(ctx, d.GetReferenceToml(), "the relayer's own reference_toml")
	if err != nil {
		return err
	}
	if len(r.GetProblems()) > 0 {
		return fmt.Errorf("RelayerService.ValidateChain refuses the relayer's own reference_toml: %s",
			sentenceOf(r.GetProblems()))
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
		return fmt.Errorf("RelayerService.ValidateChain refuses the configuration that RelayerService.CreateChain takes: %s",
			sentenceOf(r.GetProblems()))
	}
	for what, table := range map[string]string{
		"a section that is not TOML":             good + "\nnonsense = [\n",
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
			return fmt.Errorf("RelayerService.ValidateChain finds nothing wrong with %s, which RelayerService.CreateChain "+
				"refuses: %w", what, err)
		}
	}
	return nil
}
