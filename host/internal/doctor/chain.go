package doctor

import (
	"fmt"
	"math/big"
	"strings"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// RPC is an RPC node of a chain.
type RPC struct {
	Name string
	// Text describes its state.
	Text string
	// Serves reports whether it is asked.
	Serves bool
}

// OfNodes checks the RPC nodes of a chain.
func OfNodes(chain string, nodes []RPC) []*nodev1.Finding {
	serves := false
	for _, n := range nodes {
		serves = serves || n.Serves
	}
	var found []*nodev1.Finding
	for _, n := range nodes {
		text := fmt.Sprintf("RPC node %s: %s", n.Name, n.Text)
		const fix = "see that it runs and follows the chain, and check the chain's Nodes in the configuration"
		switch {
		case n.Serves:
			found = append(found, Good(Chain, chain, text))
		case serves:
			found = append(found, Warning(Chain, chain, text, fix))
		default:
			found = append(found, Failed(Chain, chain, text+"; no other serves", fix))
		}
	}
	if len(nodes) == 0 {
		found = append(found, Failed(Chain, chain, "it has no RPC node",
			"name one by the chain's Nodes in the configuration"))
	}
	return found
}

// Account is an account that sends reports.
type Account struct {
	Name string
	// Balance is in the coin's smallest unit; 10^Decimals of it make one coin. It is nil if it is not known.
	Balance  *big.Int
	Decimals uint32
}

// OfFunds checks the funds of an account.
func OfFunds(chain string, a Account) *nodev1.Finding {
	switch {
	case a.Balance == nil:
		return Unchecked(Funds, chain, "what account "+a.Name+" holds is not known", "look at the account on the chain")
	case a.Balance.Sign() <= 0:
		return Failed(Funds, chain, "account "+a.Name+" has nothing to pay for transmissions with",
			"send it the chain's coin")
	}
	return Good(Funds, chain, fmt.Sprintf("account %s has %s of the chain's coin", a.Name, coins(a.Balance, a.Decimals)))
}

// mostDecimals is how many decimals a coin can have if its amounts have 256 bits. The bound is there because a relayer
// may send nonsense.
const mostDecimals = 77

// coins is an amount of smallest units as coins.
func coins(amount *big.Int, decimals uint32) string {
	decimals = min(decimals, mostDecimals)
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	text := new(big.Rat).SetFrac(amount, unit).FloatString(int(decimals))
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
