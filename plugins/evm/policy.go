package evm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// ample is a gas limit that estimates stay below on chains whose gas is Ethereum's: it is that of a block there.
const ample = 36_000_000

// policy is what one chain's transactions are checked against.
type policy struct {
	config Config
	chain  *big.Int
}

// SigningCheck makes the signing check for a chain's relayer. It permits transmissions to contracts of jobs, transfers
// that an operator asked for, and fillers, which are transfers of nothing to the account itself. The section's fees
// bound all of them.
func SigningCheck(text []byte) (signing.Check, error) {
	config, _ := ParseConfig("EVM", text) // another relayer of these chains may have keys that are not known here
	chain, ok := new(big.Int).SetString(config.ChainID, 10)
	if !ok {
		return nil, fmt.Errorf("ChainID %.78q is not a chain's number", config.ChainID)
	}
	return policy{config: config, chain: chain}.check, nil
}

func (p policy) check(r signing.Request, facts signing.Facts) (signing.Verdict, error) {
	from, err := account.Parse(r.Account)
	if err != nil {
		return signing.Verdict{}, fmt.Errorf("its account: %w", err)
	}
	u, err := account.ReadUnsigned(r.Transaction)
	if err != nil {
		return signing.Verdict{}, err
	}
	own := p.contracts(from, facts)
	switch {
	case !bytes.Equal(crypto.Keccak256(r.Transaction), r.Data):
		return signing.Verdict{}, errors.New("it is not what the hash to be signed is of")
	case u.ChainID.Cmp(p.chain) != 0:
		return signing.Verdict{}, fmt.Errorf("it is for chain %s, and the relayer serves chain %s here", u.ChainID, p.chain)
	case u.To == nil:
		return signing.Verdict{}, errors.New("it makes a contract")
	case len(u.AccessList) > 0:
		return signing.Verdict{}, errors.New("it has an access list, which relayers have no use for")
	}
	if err := p.bounded(from, u, own); err != nil {
		return signing.Verdict{}, err
	}
	verdict := signing.Verdict{Slot: strconv.FormatUint(u.Nonce, 10), To: u.To.Hex()}
	switch {
	case len(u.Data) > 0:
		verdict.Kind = signing.Transmission
		verdict.Job, err = transmits(u, own)
	case *u.To == from && u.Value.Sign() == 0:
		verdict.Kind = signing.Filler
	default:
		verdict.Kind = signing.Coins
		verdict.Transfer, err = asked(from, u, facts.Transfers)
	}
	return verdict, err
}

// called is a contract of a job that sends from the account.
type called struct {
	job     int64
	address common.Address
	gas     uint32
}

func (p policy) contracts(from common.Address, facts signing.Facts) []called {
	var own []called
	for _, c := range facts.Contracts {
		transmitter, err := spell(relayerv1.IdKind_ID_KIND_ACCOUNT, c.Transmitter)
		if err != nil || common.HexToAddress(transmitter) != from {
			continue
		}
		if contract, err := spell(relayerv1.IdKind_ID_KIND_CONTRACT, c.ID); err == nil {
			own = append(own, called{job: c.Job, address: common.HexToAddress(contract), gas: c.GasLimit})
		}
	}
	return own
}

// bounded refuses fees beyond the configuration's. A chain's gas may be cheap and plenty, so gas is not bounded by
// itself: what gas and fee come to is, by the highest fee for the most gas.
func (p policy) bounded(from common.Address, u account.Unsigned, own []called) error {
	most := p.config.fees(from).CapMax
	if u.Cap.Cmp(most) > 0 {
		return fmt.Errorf("it pays up to %s wei per gas, and FeeCapMax is %s", u.Cap, most)
	}
	if u.Tip != nil && u.Tip.Cmp(u.Cap) > 0 {
		return fmt.Errorf("its tip, %s wei per gas, is more than it pays at most", u.Tip)
	}
	gas, whose := p.mostGas(own)
	ceiling := new(big.Int).Mul(most, new(big.Int).SetUint64(gas))
	if cost := new(big.Int).Mul(u.Cap, new(big.Int).SetUint64(u.Gas)); cost.Cmp(ceiling) > 0 {
		return fmt.Errorf("its fee may come to %s wei, and %d gas, %s, at FeeCapMax come to %s", cost, gas, whose, ceiling)
	}
	return nil
}

// mostGas is the largest limit that the configuration and the account's jobs let a transaction have, and whose it is.
func (p policy) mostGas(own []called) (gas uint64, whose string) {
	limits := p.config.limits()
	if limits.Max > 0 {
		return limits.Max, "which is LimitMax"
	}
	gas = max(p.config.GasLimitDefault, p.config.transmissionGas())
	for _, c := range own {
		gas = max(gas, uint64(c.gas))
	}
	gas, whose = uint64(float64(gas)*cmp.Or(limits.Multiplier, 1)), "the largest limit that is configured"
	if limits.Estimate && gas < ample {
		return ample, "since the limit is estimated and LimitMax is not set"
	}
	return gas, whose
}

// transmits finds the job whose report the transaction transmits.
func transmits(u account.Unsigned, own []called) (job int64, err error) {
	for _, c := range own {
		if c.address != *u.To {
			continue
		}
		if u.Value.Sign() != 0 {
			return 0, fmt.Errorf("it sends %s wei with a transmission to %s", u.Value, u.To)
		}
		if err := transmission(u.Data); err != nil {
			return 0, fmt.Errorf("it calls the contract %s of job %d with something else than a report: %w", u.To, c.job, err)
		}
		return c.job, nil
	}
	return 0, fmt.Errorf("it calls %s, which is the contract of no job that sends from this account", u.To)
}

// transmission says why the input of a call is not that of transmit with a report.
func transmission(input []byte) error {
	report, err := aggregator.TransmittedReport(input)
	if err != nil {
		return err
	}
	ctx := context.Background()
	longest, err := codec{}.MaxReportLength(ctx, aggregator.MaxSignatures)
	if err != nil {
		return err
	}
	if len(report) > int(longest) {
		return fmt.Errorf("its report has %d bytes, and the largest has %d", len(report), longest)
	}
	if _, err = (codec{}).Median(ctx, report); err != nil {
		return fmt.Errorf("its report: %w", err)
	}
	return nil
}

// asked finds the operator's request for a transfer.
func asked(from common.Address, u account.Unsigned, transfers []signing.Transfer) (index int, err error) {
	slot := strconv.FormatUint(u.Nonce, 10)
	for at, t := range transfers {
		sender, err := spell(relayerv1.IdKind_ID_KIND_ACCOUNT, t.From)
		if err != nil || common.HexToAddress(sender) != from || t.Slot != "" && t.Slot != slot {
			continue
		}
		to, err := spell(relayerv1.IdKind_ID_KIND_ACCOUNT, t.To)
		if err == nil && common.HexToAddress(to) == *u.To && t.Amount.Cmp(u.Value) == 0 {
			return at, nil
		}
	}
	return 0, fmt.Errorf("it transfers %s wei to %s, and no operator has asked for that", u.Value, u.To)
}
