package api

import (
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// What a relayer has signed is listed page by page, and outlasts the node.
func TestSignaturesAreListed(t *testing.T) {
	t.Parallel()
	f := onAcme(t)
	first := start(t, f)
	own := first.Keys().Accounts("acme")[0]
	chain, err := first.Chain("acme", "1")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := chain.Transact(t.Context(),
			&relayerv1.TransactRequest{From: own, To: own, Amount: wire.BigInt(big.NewInt(1))}); err != nil {
			t.Fatal(err)
		}
	}
	first.Close(t.Context())
	s := start(t, f).admin
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
