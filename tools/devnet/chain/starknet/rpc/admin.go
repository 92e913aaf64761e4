package rpc

import (
	"encoding/json"
	"maps"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// adminMethods are those that a healthy node serves, and those that change the network from outside.
func (n *Network) adminMethods() map[string]method {
	all := methods(n.chain, n.version, func() chain.View { return n.chain.View(n.version, 0) }, n.chain.Add)
	maps.Copy(all, n.accountMethods())
	maps.Copy(all, n.blockMethods())
	all["loop_deployAggregator"] = method{parameters: []string{"settings"}, call: n.deployAggregator}
	all["loop_setConfig"] = method{parameters: []string{"aggregator", "calldata"}, call: n.setConfig}
	all["loop_fault"] = method{parameters: []string{"node", "fault"}, optional: 1,
		call: func(args arguments) (any, *chain.Failure) {
			node, failure := args.count(0, "node", 0)
			if failure != nil {
				return nil, failure
			}
			var fault Fault
			if args[1] != nil {
				if failure := args.read(1, "fault", &fault); failure != nil {
					return nil, failure
				}
			}
			return nil, said(n.Fail(node, fault))
		}}
	return all
}

// accountMethods change accounts.
func (n *Network) accountMethods() map[string]method {
	all := map[string]method{}
	all["loop_fund"] = method{parameters: []string{"address", "amount"}, call: func(args arguments) (any, *chain.Failure) {
		var address stark.Felt
		var amount chain.Quantity
		if failure := firstFailure(args.read(0, "address", &address), args.read(1, "amount", &amount)); failure != nil {
			return nil, failure
		}
		if amount.Int == nil || amount.BitLen() > 200 {
			return nil, invalid("amount must be a number of at most 200 bits")
		}
		n.chain.Fund(address, amount.Int)
		return nil, nil
	}}
	all["loop_deployAccount"] = method{parameters: []string{"public_key", "amount"},
		call: func(args arguments) (any, *chain.Failure) {
			var public stark.Felt
			var amount chain.Quantity
			if failure := firstFailure(args.read(0, "public_key", &public), args.read(1, "amount", &amount)); failure != nil {
				return nil, failure
			}
			if amount.Int == nil || amount.BitLen() > 200 {
				return nil, invalid("amount must be a number of at most 200 bits")
			}
			return n.chain.DeployAccount(public, amount.Int), nil
		}}
	all["loop_pushNonce"] = method{parameters: []string{"address", "by"},
		call: func(args arguments) (any, *chain.Failure) {
			var address stark.Felt
			by, failure := args.count(1, "by", 1)
			if failure := firstFailure(failure, args.read(0, "address", &address)); failure != nil {
				return nil, failure
			}
			return nil, said(n.chain.PushNonce(address, uint64(by)))
		}}
	return all
}

// blockMethods say when blocks are made, of what, and at which prices.
func (n *Network) blockMethods() map[string]method {
	all := map[string]method{}
	all["loop_createBlock"] = method{parameters: []string{"count"}, optional: 1,
		call: func(args arguments) (any, *chain.Failure) {
			count, failure := args.count(0, "count", 1)
			if failure != nil {
				return nil, failure
			}
			var last uint64
			for range count {
				last = n.chain.MakeBlock()
			}
			return last, nil
		}}
	all["loop_revertTransmissions"] = method{parameters: []string{"count", "reason"},
		call: func(args arguments) (any, *chain.Failure) {
			var reason string
			count, failure := args.count(0, "count", 0)
			if failure := firstFailure(failure, args.read(1, "reason", &reason)); failure != nil {
				return nil, failure
			}
			if _, err := stark.ShortString(reason); err != nil {
				return nil, invalid("reason: %s", err)
			}
			n.chain.RevertTransmissions(count, reason)
			return nil, nil
		}}
	all["loop_hold"] = method{parameters: []string{"held"}, call: func(args arguments) (any, *chain.Failure) {
		var held bool
		if failure := args.read(0, "held", &held); failure != nil {
			return nil, failure
		}
		n.chain.Hold(held)
		return nil, nil
	}}
	all["loop_setGasPrices"] = method{parameters: []string{"l1_gas", "l2_gas", "l1_data_gas"},
		call: func(args arguments) (any, *chain.Failure) {
			var prices [3]chain.Quantity
			for i, name := range []string{"l1_gas", "l2_gas", "l1_data_gas"} {
				if failure := args.read(i, name, &prices[i]); failure != nil {
					return nil, failure
				}
				if prices[i].Int == nil || prices[i].BitLen() > 100 {
					return nil, invalid("%s must be a number of at most 100 bits", name)
				}
			}
			n.chain.SetPrices(chain.Prices{L1: prices[0].Int, L2: prices[1].Int, L1Data: prices[2].Int})
			return nil, nil
		}}
	return all
}

// maxCount is how much of anything is done at once.
const maxCount = 100_000

// count reads a number of things, least being the smallest and the one for an argument that was left out.
func (a arguments) count(i int, name string, least int) (int, *chain.Failure) {
	count := least
	if a[i] != nil {
		if failure := a.read(i, name, &count); failure != nil {
			return 0, failure
		}
	}
	if count < least || count > maxCount {
		return 0, invalid("%s must be a number from %d to %d", name, least, maxCount)
	}
	return count, nil
}

// said makes an answer of an error of the network's own.
func said(err error) *chain.Failure {
	if err == nil {
		return nil
	}
	return invalid("%s", err)
}

func (n *Network) deployAggregator(args arguments) (any, *chain.Failure) {
	var given struct {
		Min         *chain.Quantity `json:"min_answer"`
		Max         *chain.Quantity `json:"max_answer"`
		Decimals    uint8           `json:"decimals"`
		Description string          `json:"description"`
		Billing     struct {
			ObservationPayment  uint32 `json:"observation_payment_gjuels"`
			TransmissionPayment uint32 `json:"transmission_payment_gjuels"`
			GasBase             uint32 `json:"gas_base"`
			GasPerSignature     uint32 `json:"gas_per_signature"`
		} `json:"billing"`
		LinkBalance *chain.Quantity `json:"link_balance"`
	}
	if failure := args.read(0, "settings", &given); failure != nil {
		return nil, failure
	}
	description, err := stark.ShortString(given.Description)
	if err != nil {
		return nil, invalid("description: %s", err)
	}
	number := func(q *chain.Quantity) *big.Int {
		if q == nil {
			return nil
		}
		return q.Int
	}
	address, err := n.chain.DeployAggregator(aggregator.Settings{
		Min: number(given.Min), Max: number(given.Max), Decimals: given.Decimals, Description: description,
		Billing: aggregator.Billing(given.Billing), LinkBalance: number(given.LinkBalance),
	})
	return address, said(err)
}

// setConfig has the owner call set_config with given felts.
func (n *Network) setConfig(args arguments) (any, *chain.Failure) {
	var address stark.Felt
	var calldata []stark.Felt
	for i, into := range []any{&address, &calldata} {
		if failure := args.read(i, []string{"aggregator", "calldata"}[i], into); failure != nil {
			return nil, failure
		}
	}
	hash, err := n.chain.Send(n.chain.Owner(),
		chain.Call{To: address, Selector: aggregator.Selector("set_config"), Calldata: calldata})
	if err != nil {
		return nil, said(err)
	}
	return json.RawMessage(`{"transaction_hash":"` + hash.String() + `"}`), nil
}
