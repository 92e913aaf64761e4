package api

import (
	"context"
	"errors"
	"math/big"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/grpc/status"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/node"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// TransferCoins implements nodev1connect.NodeServiceHandler. The signing guard knows about the transfer before the
// relayer does, and until the relayer has answered.
func (s *service) TransferCoins(
	ctx context.Context, r *nodev1.TransferCoinsRequest,
) (*nodev1.TransferCoinsResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	of, err := s.relayer(r.GetRelay(), s.node.RelaysServed())
	if err != nil {
		return nil, err
	}
	chain, err := s.node.Chain(of.Relay(), r.GetChainId())
	if err != nil {
		return nil, refuse("%w", err)
	}
	amount, err := amountOf(r.GetAmount())
	if err != nil {
		return nil, err
	}
	if r.GetFrom() == "" || r.GetTo() == "" {
		return nil, refuse("from, to: both accounts are wanted")
	}
	defer s.node.Transfers().Ask(of.Relay(), r.GetChainId(), r.GetFrom(), r.GetTo(), amount)()
	sent, err := chain.Transact(ctx, &relayerv1.TransactRequest{
		From: r.GetFrom(), To: r.GetTo(), Amount: wire.BigInt(amount), CheckBalance: true,
	})
	if err != nil {
		return nil, transferError(err)
	}
	return &nodev1.TransferCoinsResponse{TransactionHash: sent.GetTransactionHash()}, nil
}

// amountOf reads a number of coins, of which no chain has 2^256.
func amountOf(text string) (*big.Int, error) {
	const longest = 78 // digits of 2^256
	if len(text) > longest || text == "" || strings.Trim(text, "0123456789") != "" {
		return nil, refuse("amount: %.80q is not a number of the coin's smallest unit, in at most %d decimal digits", text,
			longest)
	}
	amount, _ := new(big.Int).SetString(text, 10)
	if amount.Sign() == 0 || amount.BitLen() > 256 {
		return nil, refuse("amount: %s is not between 1 and 2^256-1", text)
	}
	return amount, nil
}

// transferError is the error of a relayer about a transfer. If it speaks of the caller's rights, that must not look
// like the door's refusal.
func transferError(err error) error {
	code := connect.Code(status.Code(err))
	switch code {
	case connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodeFailedPrecondition, connect.CodeUnimplemented,
		connect.CodeUnavailable, connect.CodeDeadlineExceeded:
	default:
		code = connect.CodeInternal
	}
	return connect.NewError(code, errors.New(node.Worded(status.Convert(err).Message())))
}
