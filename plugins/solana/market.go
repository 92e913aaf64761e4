package solana

import (
	"context"
	"encoding/binary"
	"slices"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/mr-tron/base58"

	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/endpoint"
)

// marketPrice reads the newest block and returns the median of the prices that its transactions offered, in millionths of a
// lamport per compute unit.
func marketPrice(ctx context.Context, pool *account.Pool) (price uint64, err error) {
	err = pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		slot, err := client.Slot(ctx, rpc.CommitmentConfirmed)
		if err != nil {
			return err
		}
		block, err := client.Block(ctx, slot)
		if err != nil {
			return err
		}
		price = medianPrice(block)
		return nil
	})
	return price, err
}

// medianPrice takes transactions without a price for such of price 0, but leaves out votes, which offer none.
func medianPrice(block endpoint.Block) uint64 {
	var prices []uint64
	for _, tx := range block.Transactions {
		message := tx.Transaction.Message
		var price uint64
		vote := false
		for _, instruction := range message.Instructions {
			if instruction.ProgramIDIndex < 0 || instruction.ProgramIDIndex >= len(message.AccountKeys) {
				continue // untrusted, or of a table of addresses
			}
			switch message.AccountKeys[instruction.ProgramIDIndex] {
			case sol.VoteProgramID.String():
				vote = true
			case sol.ComputeBudget.String():
				const length, tag = 9, 3 // SetComputeUnitPrice
				if data, err := base58.Decode(instruction.Data); err == nil && len(data) == length && data[0] == tag {
					price = binary.LittleEndian.Uint64(data[1:])
				}
			}
		}
		if !vote {
			prices = append(prices, price)
		}
	}
	if len(prices) == 0 {
		return 0
	}
	slices.Sort(prices)
	return prices[len(prices)/2]
}
