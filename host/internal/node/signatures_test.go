package node

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	relayersigning "github.com/loop-plugins/loop/sdk/go/relayer/signing"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// What a relayer has signed is listed page by page, and outlasts the node.
func TestSignaturesAreListed(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.acme(t, "RELAYER=fake")
	f.chain("1", "")
	n := f.start(t)
	own := n.keys.Accounts("acme")[0]
	_, chain, err := n.plugins.chain("acme", "1")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := chain.Transact(t.Context(),
			&relayerv1.TransactRequest{From: own, To: own, Amount: wire.BigInt(big.NewInt(1))}); err != nil {
			t.Fatal(err)
		}
	}
	n.Close(t.Context())
	s := &service{node: f.start(t)}
	var all []*nodev1.Signature
	token := ""
	for pages := 1; pages == 1 || token != ""; pages++ {
		r, err := s.ListSignatures(t.Context(), &nodev1.ListSignaturesRequest{Account: own, PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		all, token = append(all, r.GetSignatures()...), r.GetNextPageToken()
		if pages > 2 {
			t.Fatalf("page %d follows", pages)
		}
	}
	of := func(id int64) *nodev1.Signature {
		return &nodev1.Signature{Id: id, Plugin: "acme", Relay: "acme", ChainId: "1", Account: own, What: "not checked"}
	}
	if diff := cmp.Diff([]*nodev1.Signature{of(3), of(2), of(1)}, all, protocmp.Transform(),
		protocmp.IgnoreFields(&nodev1.Signature{}, "at")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r, err := s.ListSignatures(t.Context(), &nodev1.ListSignaturesRequest{Refused: true}); err != nil ||
		len(r.GetSignatures()) != 0 {
		t.Errorf("refused: %v, %v", r, err)
	}
	if _, err := s.ListSignatures(t.Context(), &nodev1.ListSignaturesRequest{PageToken: "x"}); err == nil {
		t.Error("a token that is none is taken")
	}
}

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
