package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/loop-plugins/loop/host/internal/config"
	relayersigning "github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// If a relay has a check, a chain without a check of its own has nothing signed.
func TestChecksOfChains(t *testing.T) {
	t.Parallel()
	yes := func(section []byte) (relayersigning.Check, error) {
		if len(section) > 0 {
			return nil, errors.New("it is not readable")
		}
		return func(relayersigning.Request, relayersigning.Facts) (relayersigning.Verdict, error) {
			return relayersigning.Verdict{To: "me"}, nil
		}, nil
	}
	if check(nil, nil, "1") != nil {
		t.Error("a relay without a check has one")
	}
	chains := []config.Chain{{ID: "1"}}
	got, err := check(yes, chains, "1")(relayersigning.Request{}, relayersigning.Facts{})
	if diff := cmp.Diff(relayersigning.Verdict{To: "me"}, got, cmpopts.EquateComparable()); diff != "" || err != nil {
		t.Errorf("the chain's own: %v\n%s", err, diff)
	}
	if _, err := check(yes, chains, "2")(relayersigning.Request{}, relayersigning.Facts{}); err == nil ||
		!strings.Contains(err.Error(), `a chain "2" that the node's configuration does not have`) {
		t.Errorf("another chain: %v", err)
	}
}
