package hostservice

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/host/internal/keystore"
)

func newKeys(t *testing.T) *keystore.Keystore {
	t.Helper()
	k, err := keystore.Open(t.Context(), keystore.Settings{
		Store: newDatabase(t), Password: keystore.NewPassword("correct horse battery staple"),
		Scrypt: keystore.Scrypt{N: 2, R: 1, P: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// relay is the name of a relay that does not exist.
const relay = "acme"

// named names accounts as no chain does.
func named(_ context.Context, public []byte) (string, error) { return fmt.Sprintf("A%x", public), nil }

func accounts(t *testing.T, k *Keystore) []string {
	t.Helper()
	r, err := k.ListAccounts(t.Context(), &hostservicev1.ListAccountsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetAccounts()
}

// respelled gives every letter of an account behind its 0x the other case. One account in some four thousand has small
// letters alone, and is itself in small letters.
func respelled(account string) string {
	return account[:2] + strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, account[2:])
}

func TestKeystoreLendsWhatIsNamedAndNoMore(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	var ids []string
	for range 2 {
		account, err := keys.CreateAccount(t.Context(), relay, keystore.Ed25519, named)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, account.ID())
	}
	k := NewKeystoreOf(keys, relay, lenient{}, ids[0], "not here yet")
	if d := cmp.Diff(ids[:1], accounts(t, k)); d != "" {
		t.Errorf("accounts (-want +got):\n%s", d)
	}
	hash := bytes.Repeat([]byte{1}, 32)
	r, err := k.Sign(t.Context(), &hostservicev1.SignRequest{Account: ids[0], Data: hash})
	if err != nil || len(r.GetSignature()) != 64 {
		t.Errorf("signature %x, error %v", r.GetSignature(), err)
	}
	for name, c := range map[string]struct {
		account string
		data    []byte
		want    codes.Code
	}{
		"one that exists but is not lent":       {ids[1], hash, codes.NotFound},
		"one that does not exist":               {"0x0000000000000000000000000000000000000001", hash, codes.NotFound},
		"another spelling than ListAccounts'":   {respelled(ids[0]), hash, codes.NotFound},
		"data of a length that is not signed":   {ids[0], nil, codes.InvalidArgument},
		"neither: the account is what counts":   {ids[1], nil, codes.NotFound},
		"an account that ends in a lent one's ": {ids[0] + " ", hash, codes.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := k.Sign(t.Context(), &hostservicev1.SignRequest{Account: c.account, Data: c.data})
			wantCode(t, err, c.want)
		})
	}

	for name, none := range map[string]*Keystore{
		"one that is not there": NewKeystoreOf(keys, relay, lenient{}, "0x00"),
		"none":                  NewKeystoreOf(keys, relay, lenient{}),
	} {
		if got := accounts(t, none); len(got) != 0 {
			t.Errorf("with %s named: %v", name, got)
		}
	}
}

func TestKeystoreLendsAllOfAKind(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	k := NewKeystore(keys, relay, lenient{})
	if got := accounts(t, k); len(got) != 0 {
		t.Errorf("accounts of an empty keystore: %v", got)
	}
	account, err := keys.CreateAccount(t.Context(), relay, keystore.Ed25519, named)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{account.ID()}, accounts(t, k)); d != "" {
		t.Errorf("accounts (-want +got):\n%s", d)
	}
	if _, err := k.Sign(t.Context(),
		&hostservicev1.SignRequest{Account: account.ID(), Data: make([]byte, 32)}); err != nil {
		t.Error(err)
	}
}

// lenient has everything signed.
type lenient struct{}

func (lenient) Judge(context.Context, *hostservicev1.SignRequest) error { return nil }

// strict has nothing signed.
type strict struct{}

func (strict) Judge(context.Context, *hostservicev1.SignRequest) error {
	return status.Error(codes.PermissionDenied, "it is not for this")
}

// What the judge refuses is not signed. It is not asked about an account that is not lent.
func TestKeystoreAsksTheJudge(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	account, err := keys.CreateAccount(t.Context(), relay, keystore.Ed25519, named)
	if err != nil {
		t.Fatal(err)
	}
	k := NewKeystore(keys, relay, strict{})
	r, err := k.Sign(t.Context(), &hostservicev1.SignRequest{Account: account.ID(), Data: make([]byte, 32)})
	if status.Code(err) != codes.PermissionDenied || len(r.GetSignature()) != 0 {
		t.Errorf("signed %x: %v", r.GetSignature(), err)
	}
	_, err = k.Sign(t.Context(), &hostservicev1.SignRequest{Account: "0x00", Data: make([]byte, 32)})
	wantCode(t, err, codes.NotFound)
}
