package solana

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	bin "github.com/gagliardetto/binary"
	sol "github.com/gagliardetto/solana-go"

	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// policy is what one chain's transactions are checked against.
type policy struct{ highest uint64 } // price of a compute unit

// SigningCheck makes the signing check for a chain's relayer. It permits transmissions to contracts of jobs and
// transfers that an operator asked for, each alone except for its price and limit of compute units. The section's
// ComputeUnitPriceMax bounds the price.
func SigningCheck(text []byte) (signing.Check, error) {
	config, _ := ParseConfig("Solana", text) // another relayer of these chains may have keys that are not known here
	return policy{highest: config.ComputeUnitPriceMax}.check, nil
}

func (p policy) check(r signing.Request, facts signing.Facts) (signing.Verdict, error) {
	from, err := account.Parse(r.Account)
	if err != nil {
		return signing.Verdict{}, fmt.Errorf("its account: %w", err)
	}
	m, err := readMessage(from, r.Data)
	if err != nil {
		return signing.Verdict{}, err
	}
	if len(r.Transaction) > 0 {
		return signing.Verdict{}, errors.New(
			"it comes with a transaction besides, and accounts of Solana sign the message itself",
		)
	}
	call, err := p.single(m)
	if err != nil {
		return signing.Verdict{}, err
	}
	verdict := signing.Verdict{Slot: slotOf(r.Data)}
	if call.program == sol.SystemProgramID {
		verdict.Kind = signing.Coins
		verdict.Transfer, verdict.To, err = asked(from, call, verdict.Slot, facts.Transfers)
		return verdict, err
	}
	verdict.Kind = signing.Transmission
	verdict.Job, verdict.To, err = transmits(from, call, facts.Contracts)
	return verdict, err
}

// slotOf names a message: two with one blockhash that differ only in their price would have two effects.
func slotOf(message []byte) string {
	sum := sha256.Sum256(message)
	return hex.EncodeToString(sum[:])
}

// instruction is one of a message, with its accounts in place of their numbers.
type instruction struct {
	program  sol.PublicKey
	accounts []sol.PublicKey
	writable []bool
	data     []byte
}

// readMessage reads a transaction's message of the kind that has no version, signed and paid by one account. Messages
// of other kinds, off-chain ones among them, begin with a byte of 128 or more, so that none is taken for another.
func readMessage(from sol.PublicKey, data []byte) (*sol.Message, error) {
	if len(data) == 0 || data[0] >= 0x80 {
		return nil, errors.New("it is not a transaction without a version, which is all that relayers send")
	}
	m := &sol.Message{}
	if err := m.UnmarshalLegacy(bin.NewBinDecoder(data)); err != nil {
		return nil, fmt.Errorf("it is not a transaction: %w", err)
	}
	again, err := m.MarshalLegacy()
	if err != nil || !bytes.Equal(again, data) {
		return nil, errors.New("it is not a transaction in the one form that chains know")
	}
	switch h := m.Header; {
	case h.NumRequiredSignatures != 1 || h.NumReadonlySignedAccounts != 0:
		return nil, fmt.Errorf(
			"it wants %d signatures, and this account alone signs what relayers send",
			h.NumRequiredSignatures,
		)
	case len(m.AccountKeys) == 0 || m.AccountKeys[0] != from:
		return nil, errors.New("it is another account's")
	case int(h.NumReadonlyUnsignedAccounts) >= len(m.AccountKeys):
		return nil, errors.New("it has more accounts that are read than it has accounts")
	}
	return m, nil
}

// instructions are those of a message.
func instructions(m *sol.Message) ([]instruction, error) {
	firstRead := len(m.AccountKeys) - int(m.Header.NumReadonlyUnsignedAccounts)
	all := make([]instruction, len(m.Instructions))
	for at, compiled := range m.Instructions {
		if int(compiled.ProgramIDIndex) >= len(m.AccountKeys) {
			return nil, fmt.Errorf("its instruction %d names a program that is not there", at)
		}
		all[at] = instruction{program: m.AccountKeys[compiled.ProgramIDIndex], data: compiled.Data}
		for _, index := range compiled.Accounts {
			if int(index) >= len(m.AccountKeys) {
				return nil, fmt.Errorf("its instruction %d names an account that is not there", at)
			}
			all[at].accounts = append(all[at].accounts, m.AccountKeys[index])
			all[at].writable = append(all[at].writable, int(index) < firstRead)
		}
	}
	return all, nil
}

// Instructions of the compute budget program, by their first byte.
const (
	tagUnitLimit = 2
	tagUnitPrice = 3
)

// single finds the one instruction that does something, and refuses a price beyond the configuration's.
func (p policy) single(m *sol.Message) (instruction, error) {
	all, err := instructions(m)
	if err != nil {
		return instruction{}, err
	}
	var call *instruction
	for at := range all {
		i := &all[at]
		switch {
		case i.program != sol.ComputeBudget && call != nil:
			return instruction{}, fmt.Errorf(
				"it calls the program %s besides %s, and relayers make one call",
				i.program,
				call.program,
			)
		case i.program != sol.ComputeBudget:
			call = i
		case len(i.data) == 5 && i.data[0] == tagUnitLimit: // the chain bounds it
		case len(i.data) == 9 && i.data[0] == tagUnitPrice:
			if price := binary.LittleEndian.Uint64(i.data[1:]); price > p.highest {
				return instruction{}, fmt.Errorf("it pays %d micro-lamports per compute unit, and ComputeUnitPriceMax is %d", price,
					p.highest)
			}
		default:
			return instruction{}, errors.New("it asks for something else of the compute budget than a price and a limit")
		}
	}
	if call == nil {
		return instruction{}, errors.New("it calls nothing")
	}
	return *call, nil
}

// transmits finds the job whose report the transaction transmits.
func transmits(
	from sol.PublicKey,
	call instruction,
	contracts []signing.Contract,
) (job int64, state string, err error) {
	for _, c := range contracts {
		transmitter, err := account.Parse(c.Transmitter)
		if err != nil || transmitter != from {
			continue
		}
		of, ok := contractOf(c)
		if !ok || of.Program != call.program || len(call.accounts) == 0 || call.accounts[0] != of.State {
			continue
		}
		if err := call.transmission(from, of); err != nil {
			return 0, "", fmt.Errorf(
				"it calls the contract %s of job %d with something else than a report: %w",
				of.State,
				c.Job,
				err,
			)
		}
		return c.Job, of.State.String(), nil
	}
	return 0, "", fmt.Errorf("it calls the program %s for no contract of a job that sends from this account", call.program)
}

// contractOf are the accounts of a job's contract.
func contractOf(c signing.Contract) (ocr2.Contract, bool) {
	var relayConfig struct {
		Program string `json:"ocr2ProgramID"`
		Feed    string `json:"transmissionsID"`
		Store   string `json:"storeProgramID"`
	}
	if err := json.Unmarshal(c.RelayConfigJSON, &relayConfig); err != nil {
		return ocr2.Contract{}, false
	}
	of := ocr2.Contract{}
	for _, key := range []struct {
		text string
		to   *sol.PublicKey
	}{
		{relayConfig.Program, &of.Program}, {relayConfig.Feed, &of.Feed}, {relayConfig.Store, &of.Store}, {c.ID, &of.State},
	} {
		var err error
		if *key.to, err = account.Parse(key.text); err != nil {
			return ocr2.Contract{}, false
		}
	}
	return of, true
}

// transmission says why a call of the program is not a transmission to a contract.
func (i instruction) transmission(from sol.PublicKey, of ocr2.Contract) error {
	authority, bump, err := ocr2.StoreAuthority(of.Program, of.State)
	if err != nil {
		return err
	}
	want := []sol.PublicKey{of.State, from, of.Feed, of.Store, authority, sol.SysVarInstructionsPubkey}
	if len(i.accounts) != len(want) {
		return fmt.Errorf("it names %d accounts, and a transmission %d", len(i.accounts), len(want))
	}
	for at, key := range want {
		if i.accounts[at] != key {
			return fmt.Errorf("its account %d is %s, and a transmission has %s there", at, i.accounts[at], key)
		}
	}
	return ocr2.CheckTransmit(bump, i.data)
}

// tagTransfer is SystemInstruction::Transfer.
const tagTransfer = 2

// asked finds the operator's request for a transfer.
func asked(
	from sol.PublicKey, call instruction, slot string, transfers []signing.Transfer,
) (index int, to string, err error) {
	if len(call.data) != 12 || binary.LittleEndian.Uint32(call.data) != tagTransfer || len(call.accounts) != 2 ||
		call.accounts[0] != from {
		return 0, "", errors.New("it asks the system program for something else than a transfer from the account")
	}
	lamports, to := binary.LittleEndian.Uint64(call.data[4:]), call.accounts[1].String()
	for at, t := range transfers {
		free := t.Slot == "" || t.Slot == slot
		if free && t.From == from.String() && t.To == to && t.Amount.IsUint64() && t.Amount.Uint64() == lamports {
			return at, to, nil
		}
	}
	return 0, "", fmt.Errorf("it transfers %d lamports to %s, and no operator has asked for that", lamports, to)
}
