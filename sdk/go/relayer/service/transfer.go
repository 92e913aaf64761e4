package service

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Transfer is a request to Transact. T is an account as the relayer knows it.
type Transfer[T any] struct {
	From, To T
	Amount   *big.Int
}

// ReadTransfer reads a request to Transact: two accounts, and an amount that fits that many bits. Its error becomes the
// plugin's answer.
func ReadTransfer[T any](
	request *relayerv1.TransactRequest, parse func(text string) (T, error), unit string, bits int,
) (t Transfer[T], err error) {
	if t.From, err = parse(request.GetFrom()); err != nil {
		return t, status.Errorf(codes.InvalidArgument, "from: %v", err)
	}
	if t.To, err = parse(request.GetTo()); err != nil {
		return t, status.Errorf(codes.InvalidArgument, "to: %v", err)
	}
	t.Amount = wire.Int(request.GetAmount())
	if t.Amount == nil || t.Amount.Sign() < 0 || t.Amount.BitLen() > bits {
		return t, status.Errorf(codes.InvalidArgument, "amount: it must be %s from 0 to 2^%d-1", unit, bits)
	}
	return t, nil
}

// Lends reports whether the account is one that the host lends to the chain.
func (c *Chain[C, K, A, F]) Lends(ctx context.Context, meant func(account string) bool) (bool, error) {
	lent, err := c.Keystore().ListAccounts(ctx, &hostservicev1.ListAccountsRequest{})
	if err != nil {
		return false, fmt.Errorf("list the accounts of chain %s: %w", c.id, err)
	}
	return slices.ContainsFunc(lent.GetAccounts(), meant), nil
}
