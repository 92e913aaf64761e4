package signing

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// A relayer cannot spend an account's coins on the fees of fillers, each of which passes the check.
func TestFillersAreBounded(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	filling := func(r signing.Request, _ signing.Facts) (signing.Verdict, error) {
		return signing.Verdict{Kind: signing.Filler, Slot: string(r.Transaction)}, nil
	}
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard(Settings{Plugin: "acme", Relay: "acme", Chain: "7", Check: filling, PerMinute: 1e6}, r.contracts,
			r.transfers, r.record)
		next := 0
		fill := func(account string, slot int) error {
			return g.Judge(context.Background(), &hostservicev1.SignRequest{Account: account, Data: []byte{1},
				Transaction: []byte(strconv.Itoa(slot))})
		}
		filled := func(account string) (n int) {
			for {
				if next++; n > 2*fillersAtOnce {
					t.Fatalf("account %s: %d fillers and no end", account, n)
				}
				if err := fill(account, next); err != nil {
					if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "take a sequence number") {
						t.Errorf("refused by %v", err)
					}
					return n
				}
				n++
			}
		}
		if n := filled("me"); n != fillersAtOnce {
			t.Errorf("%d at once; want %d", n, fillersAtOnce)
		}
		if err := fill("me", next-1); err != nil {
			t.Errorf("the last one again, for a higher fee: %v", err)
		}
		if n := filled("you"); n != fillersAtOnce {
			t.Errorf("%d at once of another account", n)
		}
		time.Sleep(2 * time.Minute)
		if n := filled("me"); n != 2*fillersPerMinute {
			t.Errorf("%d after two minutes; want %d", n, 2*fillersPerMinute)
		}
	})
}
