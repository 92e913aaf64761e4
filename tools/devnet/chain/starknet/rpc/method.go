package rpc

import (
	"encoding/json"
	"maps"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// maxEstimates is how many transactions are estimated at once.
const maxEstimates = 100

// methods are those of Starknet that a node of a version serves. view is asked at each call how far the node sees; add
// takes transactions.
func methods(c *chain.Chain, version chain.Version, view func() chain.View,
	add func(chain.Invoke) (stark.Felt, *chain.Failure)) map[string]method {
	all := map[string]method{
		"starknet_specVersion": {call: func(arguments) (any, *chain.Failure) { return version.Spec(), nil }},
		"starknet_chainId":     {call: func(arguments) (any, *chain.Failure) { return c.ID(), nil }},
		"starknet_syncing":     {call: func(arguments) (any, *chain.Failure) { return false, nil }},
		"starknet_blockNumber": {call: func(arguments) (any, *chain.Failure) {
			number, _ := view().Latest()
			return number, nil
		}},
		"starknet_blockHashAndNumber": {call: func(arguments) (any, *chain.Failure) {
			number, hash := view().Latest()
			return map[string]any{"block_hash": hash, "block_number": number}, nil
		}},
		"starknet_getBlockWithTxHashes": {parameters: []string{"block_id"}, call: func(args arguments) (any, *chain.Failure) {
			var id chain.BlockID
			if failure := args.read(0, "block_id", &id); failure != nil {
				return nil, failure
			}
			return orFailure(view().Block(id))
		}},
		"starknet_getBlockTransactionCount": {parameters: []string{"block_id"},
			call: func(args arguments) (any, *chain.Failure) {
				var id chain.BlockID
				if failure := args.read(0, "block_id", &id); failure != nil {
					return nil, failure
				}
				block, failure := view().Block(id)
				return orFailure(len(block.Transactions), failure)
			}},
		"starknet_getNonce": atContract(func(id chain.BlockID, address stark.Felt) (any, *chain.Failure) {
			return orFailure(view().Nonce(id, address))
		}),
		"starknet_getClassHashAt": atContract(func(id chain.BlockID, address stark.Felt) (any, *chain.Failure) {
			return orFailure(view().Class(id, address))
		}),
		"starknet_call": {parameters: []string{"request", "block_id"}, call: func(args arguments) (any, *chain.Failure) {
			var request struct {
				Contract *stark.Felt  `json:"contract_address"`
				Selector *stark.Felt  `json:"entry_point_selector"`
				Calldata []stark.Felt `json:"calldata"`
			}
			var id chain.BlockID
			if failure := firstFailure(args.read(0, "request", &request), args.read(1, "block_id", &id)); failure != nil {
				return nil, failure
			}
			if request.Contract == nil || request.Selector == nil || request.Calldata == nil {
				return nil, invalid("request must have contract_address, entry_point_selector and calldata")
			}
			return orFailure(
				view().Call(id, chain.Call{To: *request.Contract, Selector: *request.Selector, Calldata: request.Calldata}))
		}},
		"starknet_getEvents": {parameters: []string{"filter"}, call: func(args arguments) (any, *chain.Failure) {
			var filter chain.Filter
			if failure := args.read(0, "filter", &filter); failure != nil {
				return nil, failure
			}
			return orFailure(view().Events(filter))
		}},
	}
	maps.Copy(all, transactionMethods(version, view, add))
	return all
}

// transactionMethods are those about transactions.
func transactionMethods(version chain.Version, view func() chain.View,
	add func(chain.Invoke) (stark.Felt, *chain.Failure)) map[string]method {
	return map[string]method{
		"starknet_estimateFee": {parameters: []string{"request", "simulation_flags", "block_id"},
			call: func(args arguments) (any, *chain.Failure) {
				return estimate(view(), args)
			}},
		"starknet_addInvokeTransaction": {parameters: []string{"invoke_transaction"},
			call: func(args arguments) (any, *chain.Failure) {
				inv, failure := chain.ParseInvoke(args[0], false)
				if failure != nil {
					return nil, failure
				}
				hash, failure := add(inv)
				return orFailure(map[string]any{"transaction_hash": hash}, version.Failure(failure))
			}},
		"starknet_getTransactionStatus": ofTransaction(func(hash stark.Felt) (any, *chain.Failure) {
			return orFailure(view().Status(hash))
		}),
		"starknet_getTransactionReceipt": ofTransaction(func(hash stark.Felt) (any, *chain.Failure) {
			return orFailure(view().Receipt(hash))
		}),
		"starknet_getTransactionByHash": ofTransaction(func(hash stark.Felt) (any, *chain.Failure) {
			return orFailure(view().Transaction(hash))
		}),
	}
}

// orFailure is a result without its type, or nil and the failure.
func orFailure[T any](result T, failure *chain.Failure) (any, *chain.Failure) {
	if failure != nil {
		return nil, failure
	}
	return result, nil
}

func firstFailure(failures ...*chain.Failure) *chain.Failure {
	for _, failure := range failures {
		if failure != nil {
			return failure
		}
	}
	return nil
}

func atContract(do func(chain.BlockID, stark.Felt) (any, *chain.Failure)) method {
	return method{parameters: []string{"block_id", "contract_address"}, call: func(args arguments) (any, *chain.Failure) {
		var id chain.BlockID
		var address stark.Felt
		if failure := firstFailure(args.read(0, "block_id", &id),
			args.read(1, "contract_address", &address)); failure != nil {
			return nil, failure
		}
		return do(id, address)
	}}
}

func ofTransaction(do func(stark.Felt) (any, *chain.Failure)) method {
	return method{parameters: []string{"transaction_hash"}, call: func(args arguments) (any, *chain.Failure) {
		var hash stark.Felt
		if failure := args.read(0, "transaction_hash", &hash); failure != nil {
			return nil, failure
		}
		return do(hash)
	}}
}

func estimate(view chain.View, args arguments) (any, *chain.Failure) {
	var texts []json.RawMessage
	var flags []string
	var id chain.BlockID
	if failure := firstFailure(args.read(0, "request", &texts), args.read(1, "simulation_flags", &flags),
		args.read(2, "block_id", &id)); failure != nil {
		return nil, failure
	}
	if len(texts) > maxEstimates {
		return nil, invalid("%d transactions are more than %d", len(texts), maxEstimates)
	}
	validate := true
	for _, flag := range flags {
		if flag != "SKIP_VALIDATE" {
			return nil, invalid("there is no simulation flag %.40q", flag)
		}
		validate = false
	}
	var invokes []chain.Invoke
	for _, text := range texts {
		inv, failure := chain.ParseInvoke(text, true)
		if failure != nil {
			return nil, failure
		}
		invokes = append(invokes, inv)
	}
	return orFailure(view.Estimates(id, invokes, validate))
}
