package hostservice

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/host/internal/keystore"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

var _ hostservicev1.KeystoreServiceServer = (*Keystore)(nil)

// Judge decides what a process may sign with an account that is lent to it.
type Judge interface {
	// Judge refuses a request by its error, a status.
	Judge(ctx context.Context, r *hostservicev1.SignRequest) error
}

// Keystore lends accounts of one relay. Its borrower can list them and sign with them whatever a judge allows, and
// learns of no others.
type Keystore struct {
	keys  *keystore.Keystore
	relay string
	judge Judge
	lent  func() []string // as the keystore has them
}

// NewKeystore lends every account of a relay, including those that are made later.
func NewKeystore(keys *keystore.Keystore, relay string, judge Judge) *Keystore {
	return &Keystore{keys: keys, relay: relay, judge: judge, lent: func() []string { return keys.Accounts(relay) }}
}

// NewKeystoreOf lends only the named accounts, in the relayer's spelling; no names mean no accounts. An account that
// the keystore does not have yet is lent once it does, because accounts may be imported into a running node.
func NewKeystoreOf(keys *keystore.Keystore, relay string, judge Judge, accounts ...string) *Keystore {
	return &Keystore{keys: keys, relay: relay, judge: judge, lent: func() []string {
		return slices.DeleteFunc(keys.Accounts(relay), func(account string) bool {
			return !slices.Contains(accounts, account)
		})
	}}
}

// Accounts returns the names of the accounts that are lent now.
func (k *Keystore) Accounts() []string { return k.lent() }

// ListAccounts implements hostservicev1.KeystoreServiceServer.
func (k *Keystore) ListAccounts(context.Context,
	*hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	return &hostservicev1.ListAccountsResponse{Accounts: k.lent()}, nil
}

// Sign implements hostservicev1.KeystoreServiceServer. An account that exists but is not lent looks like one that does
// not exist.
func (k *Keystore) Sign(ctx context.Context, request *hostservicev1.SignRequest) (*hostservicev1.SignResponse, error) {
	account := request.GetAccount()
	missing := status.Errorf(codes.NotFound, "no account %.128q is lent to this plugin; ListAccounts names those that are",
		account)
	if !slices.Contains(k.lent(), account) {
		return nil, missing
	}
	signer, err := k.keys.Signer(k.relay, account)
	if err != nil {
		return nil, missing
	}
	if err := k.judge.Judge(ctx, request); err != nil {
		return nil, err
	}
	signature, err := signer.Sign(ctx, request.GetData())
	switch {
	case err == nil:
		return &hostservicev1.SignResponse{Signature: signature}, nil
	case errors.Is(err, keystore.ErrInvalid):
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	default:
		return nil, unavailable(err)
	}
}
