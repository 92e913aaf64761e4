package cli

import (
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func (c *command) auditKeys() *cobra.Command {
	var request nodev1.ListSignaturesRequest
	cmd := &cobra.Command{
		Use: "audit [KEY]", Short: "List the transactions that relayers asked the node to sign, newest first",
		Args:              atMostOne("an account's key"),
		ValidArgsFunction: c.complete(keyIDs),
		Long: "audit lists the transactions that relayers asked the node to sign, for one account or for all:\n" +
			"when, by which plugin, for which job, what it was, and if it was refused, why. For each account\n" +
			"the node keeps the newest 10000 that it signed and the newest 10000 that it refused. --json has\n" +
			"the token of the next page, for --page.",
		Example: "  loop keys audit --refused",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				request.Account = args[0]
			}
			r, err := call(cmd.Context(), c, api.ListSignatures, &request)
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { signatureTable(w, r.GetSignatures()) })
		},
	}
	cmd.Flags().BoolVar(&request.Refused, "refused", false, "list only what was refused")
	cmd.Flags().Uint32Var(&request.PageSize, "limit", 100, "how many to list, at most 1000")
	cmd.Flags().StringVar(&request.PageToken, "page", "", "the nextPageToken of the page before")
	return cmd
}

func signatureTable(w io.Writer, all []*nodev1.Signature) {
	row(w, "WHEN", "PLUGIN", "CHAIN", "KEY", "JOB", "SIGNED")
	for _, s := range all {
		job := ""
		if s.GetJobId() != 0 {
			job = strconv.FormatInt(s.GetJobId(), 10)
		}
		signed := s.GetWhat()
		if s.GetRefused() != "" {
			signed = "refused: " + s.GetRefused()
		}
		row(w, s.GetAt().AsTime().Format(time.RFC3339), s.GetPlugin(), s.GetRelay()+" "+s.GetChainId(), s.GetAccount(),
			dash(job), signed)
	}
}
