//go:build !bare

package fallback_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	sol "github.com/gagliardetto/solana-go"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/host/internal/signing"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/stark"
	starkaccount "github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	relayersigning "github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

var update = flag.Bool("update", false, "write the table of relayers' attacks into docs/security.md")

// attempt is something that a hostile relayer asks the node to sign.
type attempt struct {
	what string
	ask  func(t *testing.T) *hostservicev1.SignRequest
}

// prey is a relay whose relayer is hostile, with a job of its.
type prey struct {
	relay, account string
	section        string
	job            relayersigning.Contract
	attempts       []attempt
}

const (
	attackPage  = "../../../docs/security.md"
	attackBegin = "<!-- The table of relayers is written by make attack. -->\n"
	attackEnd   = "<!-- The table of relayers ends. -->\n"
)

// No hostile relayer has coins moved, rights given away or fees burnt that its job does not need. What it asks for
// goes through the same guard as in a node, with the checks that are built in.
func TestHostileRelayers(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	kept, err := database.Open(t.Context(), database.Settings{Path: filepath.Join(t.TempDir(), "db"), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	contracts, err := signing.NewContracts(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	record, err := signing.NewRecord(t.Context(), kept, prometheus.NewRegistry(), logger)
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	table := "| a relayer of | asks the node to sign | it is refused since |\n| --- | --- | --- |\n"
	for _, p := range []prey{evmPrey(), solanaPrey(), starknetPrey()} {
		contracts.Add(p.relay, "1", p.job)
		check, err := fallback.Plugins()[p.relay].Check([]byte(p.section))
		if err != nil {
			t.Fatal(err)
		}
		guard := signing.NewGuard(
			signing.Settings{Plugin: p.relay, Relay: p.relay, Chain: "1", Check: check},
			contracts,
			signing.NewTransfers(),
			record,
		)
		for _, a := range p.attempts {
			request := a.ask(t)
			request.Account = p.account
			err := guard.Judge(t.Context(), request)
			if status.Code(err) != codes.PermissionDenied {
				t.Errorf("a relayer of %s has %s signed: %v", p.relay, a.what, err)
			}
			_, why, _ := strings.Cut(status.Convert(err).Message(), "for this transaction: ")
			table += fmt.Sprintf("| %s | %s | %s |\n", p.relay, a.what, strings.ReplaceAll(why, "|", "\\|"))
		}
	}
	if t.Failed() {
		return
	}
	page, err := os.ReadFile(attackPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), attackBegin)
	stated, after, ended := strings.Cut(rest, attackEnd)
	if !found || !ended {
		t.Fatal("docs/security.md has lost its table of relayers' attacks")
	}
	if *update {
		if err := os.WriteFile(attackPage, []byte(before+attackBegin+table+attackEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(stated, table); diff != "" {
		t.Errorf("docs/security.md has another table; run make attack (-has +wants):\n%s", diff)
	}
}

func evmPrey() prey {
	thief, token, contract := common.Address{0xbb}, common.Address{0xcc}, common.Address{0xaa}
	me := common.Address{0x11}
	tx := func(what string, change func(*account.Unsigned)) attempt {
		return attempt{what, func(t *testing.T) *hostservicev1.SignRequest {
			u := account.Unsigned{
				ChainID: big.NewInt(
					1,
				), Cap: big.NewInt(1e9), Tip: big.NewInt(1e9), Gas: 100_000, To: &contract, Value: new(big.Int),
			}
			change(&u)
			preimage, err := u.Preimage()
			if err != nil {
				t.Fatal(err)
			}
			return &hostservicev1.SignRequest{Data: crypto.Keccak256(preimage), Transaction: preimage}
		}}
	}
	raw := func(what string, preimage []byte) attempt {
		return attempt{what, func(*testing.T) *hostservicev1.SignRequest {
			return &hostservicev1.SignRequest{Data: crypto.Keccak256(preimage), Transaction: preimage}
		}}
	}
	selector := func(signature string, arguments ...[]byte) []byte {
		return append(crypto.Keccak256([]byte(signature))[:4], bytes.Join(arguments, nil)...)
	}
	word := func(b []byte) []byte { return common.LeftPadBytes(b, 32) }
	return prey{
		relay: "evm", account: me.Hex(), section: "ChainID = '1'\nFeeCapMax = '500 gwei'\n",
		job: relayersigning.Contract{Job: 1, ID: contract.Hex(), Transmitter: me.Hex()},
		attempts: []attempt{
			tx("a transfer of the whole balance", func(u *account.Unsigned) { u.To, u.Value = &thief, big.NewInt(1e18) }),
			tx("an approval of its tokens", func(u *account.Unsigned) {
				u.To, u.Data = &token, selector("approve(address,uint256)", word(thief[:]), bytes.Repeat([]byte{0xff}, 32))
			}),
			tx("another function of the job's contract", func(u *account.Unsigned) {
				u.Data = selector("transferPayeeship(address,address)", word(me[:]), word(thief[:]))
			}),
			tx("coins for the job's contract", func(u *account.Unsigned) { u.Value = big.NewInt(1) }),
			tx("a report for another contract", func(u *account.Unsigned) { u.To, u.Data = &thief, selector("transmit()") }),
			tx("a contract of its own", func(u *account.Unsigned) { u.To, u.Data = nil, []byte{0x60, 0x80} }),
			tx("a transaction for another chain", func(u *account.Unsigned) { u.ChainID = big.NewInt(137) }),
			tx("fees that burn the balance", func(u *account.Unsigned) {
				u.To, u.Cap, u.Tip = &me, big.NewInt(1e18), big.NewInt(1e18)
			}),
			tx("gas that burns the balance", func(u *account.Unsigned) { u.To, u.Gas = &me, 1<<60 }),
			raw("a message of EIP-191", []byte("\x19Ethereum Signed Message:\n2hi")),
			raw("typed data of EIP-712, such as a permit", append([]byte{0x19, 0x01}, make([]byte, 64)...)),
			raw("a delegation of the account (EIP-7702)", []byte{0x05, 0xc3, 0x01, 0x80, 0x80}),
			{"a bare hash", func(*testing.T) *hostservicev1.SignRequest {
				return &hostservicev1.SignRequest{Data: make([]byte, 32)}
			}},
			{"a hash of something else", func(t *testing.T) *hostservicev1.SignRequest {
				r := tx("", func(u *account.Unsigned) { u.To = &me }).ask(t)
				r.Data = make([]byte, 32)
				return r
			}},
		},
	}
}

func solanaPrey() prey {
	key := func(n byte) sol.PublicKey { return sol.PublicKey(bytes.Repeat([]byte{n}, 32)) }
	me, thief, program, state := key(1), key(9), key(2), key(3)
	coins := sol.NewInstruction(
		sol.SystemProgramID,
		sol.AccountMetaSlice{sol.Meta(me).WRITE().SIGNER(), sol.Meta(thief).WRITE()},
		binary.LittleEndian.AppendUint64([]byte{2, 0, 0, 0}, 1e9),
	)
	call := sol.NewInstruction(
		program,
		sol.AccountMetaSlice{sol.Meta(state).WRITE(), sol.Meta(me).SIGNER()},
		make([]byte, 288),
	)
	message := func(what string, instructions ...sol.Instruction) attempt {
		return attempt{what, func(t *testing.T) *hostservicev1.SignRequest {
			tx, err := sol.NewTransaction(instructions, sol.Hash{7}, sol.TransactionPayer(me))
			if err != nil {
				t.Fatal(err)
			}
			data, err := tx.Message.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			return &hostservicev1.SignRequest{Data: data}
		}}
	}
	return prey{
		relay: "solana", account: me.String(), section: "ChainID = 'localnet'\n",
		job: relayersigning.Contract{Job: 2, ID: state.String(), Transmitter: me.String(), RelayConfigJSON: fmt.Appendf(nil,
			`{"ocr2ProgramID":%q,"transmissionsID":%q,"storeProgramID":%q}`, program, key(4), key(5))},
		attempts: []attempt{
			message("a transfer of the whole balance", coins),
			message("a transfer behind a report", call, coins),
			message("another program's call", sol.NewInstruction(sol.TokenProgramID,
				sol.AccountMetaSlice{sol.Meta(me).SIGNER(), sol.Meta(thief).WRITE()}, []byte{4})),
			message("another instruction of the job's program", call),
			message("its account for another program (Assign)", sol.NewInstruction(sol.SystemProgramID,
				sol.AccountMetaSlice{sol.Meta(me).WRITE().SIGNER()}, append([]byte{1, 0, 0, 0}, thief[:]...))),
			message("a price that burns the balance", sol.NewInstruction(sol.ComputeBudget, nil,
				binary.LittleEndian.AppendUint64([]byte{3}, 1<<60)), call),
			message("a price alone, for its fee", sol.NewInstruction(sol.ComputeBudget, nil,
				binary.LittleEndian.AppendUint64([]byte{3}, 1))),
			{"an off-chain message", func(*testing.T) *hostservicev1.SignRequest {
				return &hostservicev1.SignRequest{Data: []byte("\xffsolana offchain\x00hello")}
			}},
		},
	}
}

func starknetPrey() prey {
	me, account, contract := stark.FromUint64(0x11), stark.FromUint64(0x22), stark.FromUint64(0x33)
	token, thief := stark.FromUint64(0x44), stark.FromUint64(0x99)
	report := starkaccount.Call{To: contract, Selector: aggregator.Selector("transmit"), Calldata: make([]stark.Felt, 20)}
	coins := starkaccount.Call{
		To: token, Selector: aggregator.Selector("transfer"), Calldata: []stark.Felt{thief, stark.FromUint64(1e18), {}},
	}
	invoke := func(what string, price *big.Int, calls ...starkaccount.Call) attempt {
		return attempt{what, func(t *testing.T) *hostservicev1.SignRequest {
			bound := starkaccount.Bound{Amount: 1000, Price: price}
			tx := starkaccount.Invoke{Sender: account, Calldata: []stark.Felt{stark.FromUint64(uint64(len(calls)))},
				Bounds: starkaccount.Bounds{L1: bound, L2: bound, L1Data: bound}}
			for _, c := range calls {
				tx.Calldata = append(tx.Calldata, c.To, c.Selector, stark.FromUint64(uint64(len(c.Calldata))))
				tx.Calldata = append(tx.Calldata, c.Calldata...)
			}
			chain, err := stark.ShortString("SN_MAIN")
			if err != nil {
				t.Fatal(err)
			}
			hash, err := tx.Hash(chain)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(tx)
			if err != nil {
				t.Fatal(err)
			}
			data := hash.Bytes()
			return &hostservicev1.SignRequest{Data: data[:], Transaction: text}
		}}
	}
	gwei := big.NewInt(1e9)
	return prey{
		relay: "starknet", account: me.String(), section: "ChainID = 'SN_MAIN'\nFeeToken = '0x44'\n",
		job: relayersigning.Contract{Job: 3, ID: contract.String(), Transmitter: me.String(),
			RelayConfigJSON: fmt.Appendf(nil, `{"accountAddress":%q}`, account)},
		attempts: []attempt{
			invoke("a transfer of the whole balance", gwei, coins),
			invoke("a transfer behind a report", gwei, report, coins),
			invoke("an approval of its tokens", gwei, starkaccount.Call{To: token, Selector: aggregator.Selector("approve"),
				Calldata: []stark.Felt{thief, stark.FromUint64(1e18), {}}}),
			invoke("another function of the job's contract", gwei, starkaccount.Call{To: contract,
				Selector: aggregator.Selector("transfer_payeeship"), Calldata: []stark.Felt{me, thief}}),
			invoke("something else than a report for it", gwei, report),
			invoke("its account's upgrade", gwei, starkaccount.Call{To: account, Selector: aggregator.Selector("upgrade"),
				Calldata: []stark.Felt{thief}}),
			invoke("fees that burn the balance", new(big.Int).Lsh(gwei, 80)),
			{"a bare hash", func(*testing.T) *hostservicev1.SignRequest {
				return &hostservicev1.SignRequest{Data: make([]byte, 32)}
			}},
			{"a hash of something else", func(t *testing.T) *hostservicev1.SignRequest {
				r := invoke("", gwei).ask(t)
				r.Data = make([]byte, 32)
				return r
			}},
		},
	}
}
