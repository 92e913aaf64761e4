package relay

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/sdk/go/document"
)

// relayName matches the names that a relayer may have.
var relayName = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)

// taken reports names that mean something else where an operator writes a relay: kinds of keys on the command line, and
// the node's own keys at the top of its configuration.
func taken(relay string) bool {
	return slices.ContainsFunc(append(document.Keys(config.Config{}), keystore.KindP2P, keystore.KindOCR2),
		func(word string) bool {
			return strings.EqualFold(word, relay)
		})
}

// check checks that a description has what the rest of the host relies on. The contract's rules on its fields were
// checked before.
func check(d *relayerv1.DescribeRelayerResponse) error {
	switch relay := d.GetRelay(); {
	case !relayName.MatchString(relay):
		return fmt.Errorf("relay is %.64q, which must be a lower-case letter and then at most 31 lower-case letters and "+
			"digits", relay)
	case taken(relay):
		return fmt.Errorf("relay is %q, which is the node's own word", relay)
	case !strings.EqualFold(d.GetSection(), relay):
		return fmt.Errorf("section is %.64q, which must be relay (%q) but for the case of its letters",
			d.GetSection(), relay)
	}
	if _, ok := accountAlgorithms[d.GetAccountAlgorithm()]; !ok {
		return fmt.Errorf("account_algorithm is %s, which this node does not have; it has %s",
			d.GetAccountAlgorithm(), known(relayerv1.AccountAlgorithm_name, accountPrefix))
	}
	if len(d.GetReportSchemes()) == 0 {
		return fmt.Errorf("report_schemes is empty, and a relayer has at least one")
	}
	names := map[string]bool{}
	for at, scheme := range d.GetReportSchemes() {
		if names[scheme.GetName()] || scheme.GetName() == "" {
			return fmt.Errorf("report_schemes[%d].name is %q, which must be given and of this scheme alone", at,
				scheme.GetName())
		}
		names[scheme.GetName()] = true
		if _, ok := reportAlgorithms[scheme.GetAlgorithm()]; !ok {
			return fmt.Errorf("report_schemes[%d].algorithm is %s, which this node does not have; it has %s",
				at, scheme.GetAlgorithm(), known(relayerv1.ReportAlgorithm_name, reportPrefix))
		}
	}
	for at, t := range d.GetProviderTypes() {
		if t == "" || slices.Contains(d.GetProviderTypes()[:at], t) {
			return fmt.Errorf("provider_types[%d] is %q, which must be given and once", at, t)
		}
	}
	return nil
}

// checkReference has the relayer check its own reference configuration.
func (r *Relayer) checkReference(ctx context.Context) error {
	problems, _, err := r.ValidateChain(ctx, []byte(r.ReferenceTOML()))
	if err != nil {
		return fmt.Errorf("reference_toml could not be checked: %s", sentence(err))
	}
	if len(problems) > 0 {
		return fmt.Errorf("reference_toml does not pass its own check, which finds %s", problems[0])
	}
	return nil
}
