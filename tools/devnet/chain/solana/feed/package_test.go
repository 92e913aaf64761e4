package feed

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/chain/solana/svm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline is far longer than any test takes.
const deadline = time.Minute

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts a chain with the programs on it, or skips the test where none was built.
func start(t *testing.T, settings svm.Settings) (context.Context, *svm.Chain) {
	t.Helper()
	settings.Dir = os.Getenv("LOOP_SOLANA_DIR")
	if settings.Dir == "" {
		t.Skip("needs the Solana chain: run make test-solana")
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	chain, err := svm.Start(ctx, settings)
	check(t, err)
	t.Cleanup(func() {
		chain.Close()
		if text := chain.Tail(); text != "" {
			t.Errorf("the chain printed:\n%s", text)
		}
	})
	check(t, Load(ctx, chain, settings.Dir))
	return ctx, chain
}

// network is a configured feed with its oracles, in the order of their numbers.
type network struct {
	*Feed
	members []Member
}

func newNetwork(t *testing.T, oracles int, settings Settings) (context.Context, network) {
	t.Helper()
	ctx, chain := start(t, svm.Settings{})
	feed, err := Deploy(ctx, chain, settings)
	check(t, err)
	n := network{Feed: feed}
	n.configure(ctx, t, oracles)
	return ctx, n
}

func (n *network) configure(ctx context.Context, t *testing.T, oracles int) {
	t.Helper()
	n.members = nil
	var all []Oracle
	bySigner := map[[20]byte]Member{}
	for range oracles {
		member, err := NewMember()
		check(t, err)
		bySigner[member.Signer] = member
		all = append(all, member.Oracle)
	}
	for _, oracle := range Sort(all) {
		n.members = append(n.members, bySigner[oracle.Signer])
	}
	_, err := n.Configure(ctx, all, ocr2.DefaultTiming())
	check(t, err)
}
