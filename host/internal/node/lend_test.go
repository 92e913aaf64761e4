package node

import (
	"math/big"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// A relayer in a process of its own signs with what is lent for the chain in question and learns of nothing else,
// though it is one process for both chains.
func TestRelayerSignsWithTheAccountsOfItsChain(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.acme(t, "RELAYER=fake")
	first := f.start(t)
	others := newAccount(t, first)
	all := first.keys.Accounts("acme")
	own := all[0]
	first.Close(t.Context())

	const absent = "nobody"
	f.Chain("1", `Accounts = ["`+strings.ToUpper(own)+`", "`+absent+`"]`)
	f.Chain("2", "")
	n := f.start(t)
	for chain, want := range map[string][]string{"1": {own}, "2": all} {
		_, c, err := n.plugins.chain("acme", chain)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var lent []string
		for _, node := range r.GetNodes() {
			lent = append(lent, node.GetName())
		}
		if !slices.Equal(lent, want) {
			t.Errorf("chain %s is lent %v, want %v", chain, lent, want)
		}
		for _, account := range []string{own, others, absent} {
			wanted := codes.NotFound
			if slices.Contains(want, account) {
				wanted = codes.OK
			}
			_, err := c.Transact(t.Context(),
				&relayerv1.TransactRequest{From: account, To: own, Amount: wire.BigInt(big.NewInt(1))})
			if status.Code(err) != wanted {
				t.Errorf("signing on chain %s with %s: %v, want %s", chain, account, err, wanted)
			}
		}
	}

	// The same holds for jobs: an account that is not lent is not a transmitter.
	known := knownKeys{n}
	if known.HasTransmitter("acme", "1", others) || !known.HasTransmitter("acme", "2", others) ||
		!known.HasTransmitter("acme", "1", own) {
		t.Error("transmitters differ from what is lent")
	}
}
