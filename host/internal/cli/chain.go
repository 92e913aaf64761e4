package cli

import (
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func (c *command) chains() *cobra.Command {
	list := &cobra.Command{
		Use: "list [CHAIN]", Short: "List the chains with their state, RPC nodes and accounts",
		Args:              atMostOne("a chain's id"),
		ValidArgsFunction: c.complete(chainIDs),
		Long: "list has a line for each chain of each relayer's process, then one for each RPC node and one for\n" +
			"each account that transmits. With CHAIN it has only those of the chains with that id. A latency\n" +
			"is that of the newest answered call.",
		Example: "  loop chains list\n  loop chains list 1\n  loop chains list --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.ListChains, &nodev1.ListChainsRequest{})
			if err != nil {
				return err
			}
			if len(args) > 0 {
				r.Chains = slices.DeleteFunc(r.GetChains(), func(chain *nodev1.Chain) bool { return chain.GetId() != args[0] })
				if len(r.GetChains()) == 0 {
					return exit(ExitFailed, fmt.Errorf("the node has no chain %q; see: loop chains list", args[0]))
				}
			}
			return c.show(r, func(w io.Writer) { chainTables(w, r.GetChains()) })
		},
	}
	return group("chains", "List the chains", list)
}

func chainTables(w io.Writer, chains []*nodev1.Chain) {
	row(w, "RELAY", "CHAIN", "PLUGIN", "BLOCK", "FOR", "STATE")
	for _, c := range chains {
		row(w, c.GetRelay(), c.GetId(), c.GetPlugin(), number(c.GetLatestBlock()), age(c.GetStateSince()),
			explained(strings.ToLower(strings.TrimPrefix(c.GetState().String(), "STATE_")), c.GetReason(), c.GetRemedy()))
	}
	row(w)
	row(w, "RPC NODE", "CHAIN", "BLOCK", "LATENCY", "STATE")
	for _, c := range chains {
		for _, n := range c.GetNodes() {
			latency := "-"
			if n.GetLatency() != nil {
				latency = milliseconds(n.GetLatency().AsDuration())
			}
			state := "does not serve"
			if n.GetServes() {
				state = "serves"
			}
			row(w, n.GetName(), c.GetPlugin()+" "+c.GetId(), number(n.GetLatestBlock()), latency,
				explained(state, n.GetReason(), ""))
		}
	}
	var accounts bool
	for _, c := range chains {
		accounts = accounts || len(c.GetAccounts()) > 0
	}
	if !accounts {
		return
	}
	row(w)
	row(w, "ACCOUNT", "CHAIN", "BALANCE", "OLDEST WAITS", "TROUBLE")
	for _, c := range chains {
		for _, a := range c.GetAccounts() {
			row(w, a.GetAccount(), c.GetPlugin()+" "+c.GetId(), balance(a), waits(a), dash(a.GetTrouble()))
		}
	}
}

// explained is a state with its reason and what to do.
func explained(state string, more ...string) string {
	for at, text := range more {
		if text != "" {
			state += [...]string{": ", "; "}[min(at, 1)] + text
		}
	}
	return state
}

func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

// balance is what an account holds in whole coins.
func balance(a *nodev1.ChainAccount) string {
	if a.GetBalance() == nil {
		return "-"
	}
	return coins(wire.Int(a.GetBalance()), a.GetDecimals())
}

// coins is an amount of a smallest unit in whole coins, with all its digits.
func coins(amount *big.Int, decimals uint32) string {
	digits := new(big.Int).Abs(amount).String()
	if missing := int(decimals) + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, part := digits[:len(digits)-int(decimals)], strings.TrimRight(digits[len(digits)-int(decimals):], "0")
	if amount.Sign() < 0 {
		whole = "-" + whole
	}
	if part == "" {
		return whole
	}
	return whole + "." + part
}

// funds is what an account holds and what waits for it, behind its name.
func funds(a *nodev1.ChainAccount) string {
	text := ""
	if a.GetBalance() != nil {
		text = ", holds " + balance(a)
	}
	if w := waits(a); w != "-" {
		text += ", its oldest transmission has waited for " + w
	}
	return text
}

func waits(a *nodev1.ChainAccount) string {
	if a.GetOldestWaiting().AsDuration() <= 0 {
		return "-"
	}
	return a.GetOldestWaiting().AsDuration().Round(time.Second).String()
}
