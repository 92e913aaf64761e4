package signing

import (
	"context"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// moving is a check that finds a transfer by whom it is to, in the slot that is named behind it.
func moving(r signing.Request, f signing.Facts) (signing.Verdict, error) {
	to, slot, _ := strings.Cut(string(r.Transaction), " ")
	for at, t := range f.Transfers {
		if t.To == to && (t.Slot == "" || t.Slot == slot) {
			return signing.Verdict{Kind: signing.Coins, Transfer: at, Slot: slot, To: to}, nil
		}
	}
	return signing.Verdict{}, context.Canceled
}

// What an operator asks for is signed, on its chain, once, and only while it is waited for or in the slot that it has.
func TestTransfersAreSignedOnce(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	synctest.Test(t, func(t *testing.T) {
		guard := func(chain string) *Guard {
			return NewGuard(Settings{Plugin: "acme", Relay: "acme", Chain: chain, Check: moving}, r.contracts, r.transfers,
				r.record)
		}
		own, other := guard("7"), guard("8")
		ask := func(g *Guard, transaction string, want codes.Code, when string) {
			t.Helper()
			err := g.Judge(context.Background(), &hostservicev1.SignRequest{Account: "me", Data: []byte{1},
				Transaction: []byte(transaction)})
			if status.Code(err) != want {
				t.Errorf("%s: %v; want %s", when, err, want)
			}
		}
		ask(own, "friend 1", codes.PermissionDenied, "before anybody asks")
		failed := r.transfers.Ask("acme", "7", "me", "friend", big.NewInt(5))
		failed()
		ask(own, "friend 1", codes.PermissionDenied, "when the relayer has answered without a signature")
		end := r.transfers.Ask("acme", "7", "me", "friend", big.NewInt(5))
		ask(other, "friend 1", codes.PermissionDenied, "on another chain")
		ask(own, "thief 1", codes.PermissionDenied, "to another account")
		ask(own, "friend 1", codes.OK, "as it was asked for")
		ask(own, "friend 2", codes.PermissionDenied, "a second time")
		end()
		ask(own, "friend 1", codes.OK, "the same one for a higher fee")
		time.Sleep(lastingTransfer + time.Second)
		ask(own, "friend 1", codes.PermissionDenied, "a day later")
	})
}

// Two transactions that ask at once for the signature of one transfer do not both get it.
func TestTransfersAreBoundToTheirFirst(t *testing.T) {
	t.Parallel()
	transfers, key, now := NewTransfers(), chainKey{"acme", "7"}, time.Now()
	end := transfers.Ask("acme", "7", "me", "friend", big.NewInt(5))
	asked, _ := transfers.of(key, now)
	late, _ := transfers.of(key, now)
	if err := transfers.sign(key, asked[0], "1", now); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := transfers.sign(key, late[0], "2", now); err == nil || !strings.Contains(err.Error(), "transaction 1") {
		t.Errorf("the second: %v", err)
	}
	end()
	end = transfers.Ask("acme", "7", "me", "friend", big.NewInt(5))
	asked, _ = transfers.of(key, now)
	end()
	if err := transfers.sign(key, asked[1], "3", now); err == nil {
		t.Error("one that ended meanwhile is signed")
	}
}
