package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func (c *command) transferCoins() *cobra.Command {
	request := &nodev1.TransferCoinsRequest{}
	cmd := &cobra.Command{
		Use: "transfer FROM TO AMOUNT", Short: "Move coins of one of the node's accounts",
		Example:           "  loop keys transfer 0x49d36570 0x53c91253 5000000000000000000 --chain SN_MAIN",
		ValidArgsFunction: c.complete(keyIDs),
		Long: "transfer has a chain's relayer move AMOUNT of the coin's smallest unit (wei, lamports, FRI) from\n" +
			"an account of the node's to another. The node signs this one transfer, once. It is sent when the\n" +
			"command ends, and lands when the chain takes it. If the command fails without an answer, or says\n" +
			"that the transaction may still be sent, look at the chain before you ask again.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 3 {
				return fmt.Errorf("give two accounts and an amount, and nothing else; see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			request.From, request.To, request.Amount = args[0], args[1], args[2]
			r, err := call(cmd.Context(), c, api.TransferCoins, request)
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { _, _ = fmt.Fprintf(w, "sent as %s\n", r.GetTransactionHash()) })
		},
	}
	cmd.Flags().StringVar(&request.ChainId, "chain", "", "the chain's id in the node's configuration")
	cmd.Flags().StringVar(&request.Relay, "relay", "", "its relay (default: the only one that the node has chains of)")
	if err := cmd.MarkFlagRequired("chain"); err != nil {
		panic(err) // there is such a flag
	}
	return cmd
}
