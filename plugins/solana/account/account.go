// Package account makes and sends the transactions of one account of a Solana chain: it implements the Sender of
// relayer's queue.
//
// It knows blockhashes, fees, statuses and the head of a contract's State, which shows whether a report is stale. It
// must not know jobs, nor keep anything: what must survive is in the queue's Store.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Pool is the nodes of the account's chain.
type Pool = relayer.Pool[*endpoint.Client]

// Settings configure an Account. Key, Keystore, Pool, Horizon, Commitment and Logger are required.
type Settings struct {
	Key      sol.PublicKey
	Keystore hostservicev1.KeystoreServiceClient
	Pool     *Pool
	// Horizon is the horizon of the chain.
	Horizon *endpoint.Horizon
	// Commitment from which a transaction counts as final.
	Commitment rpc.CommitmentType
	// SkipPreflight keeps nodes from simulating a transaction before they accept it, and Retries is how often a node
	// sends it again by itself; negative means as often as it likes.
	SkipPreflight bool
	Retries       int
	// UnitLimit is how many compute units a transaction may take if its payload names no limit. EstimateUnits asks a
	// node first, and adds a fifth.
	UnitLimit     uint32
	EstimateUnits bool
	Fees          Fees
	Logger        *slog.Logger
}

// Account is the Sender of one account.
type Account struct {
	settings Settings

	mu     sync.Mutex
	hash   endpoint.Blockhash
	asked  time.Time        // when hash was asked for
	doubts map[doubt]uint64 // the newest slot when each arose
	owed   uint64           // what a transaction costs that the account could not pay, in lamports; 0: there is none
	funded time.Time        // when it could pay again
}

var _ relayer.Sender = (*Account)(nil)

// New makes an account. It makes no call yet.
func New(settings Settings) *Account { return &Account{settings: settings} }

// Call is the payload of a transaction, as the queue keeps it: one instruction, signed and paid by the account.
type Call struct {
	Program  sol.PublicKey `json:"program"`
	Accounts []Meta        `json:"accounts"`
	Data     []byte        `json:"data"`
	// Limit of compute units; 0 means the account's.
	Limit uint32 `json:"limit,omitempty"`
	// Once says that two transactions with this payload would have two effects, so none is signed while another may
	// land.
	Once bool `json:"once,omitempty"`
}

// Meta is an account that an instruction uses.
type Meta struct {
	Key      sol.PublicKey `json:"key"`
	Writable bool          `json:"w,omitempty"`
	Signer   bool          `json:"s,omitempty"`
}

// NewCall makes the payload of an instruction.
func NewCall(instruction *sol.GenericInstruction) Call {
	c := Call{Program: instruction.ProgID, Data: instruction.DataBytes}
	for _, m := range instruction.AccountValues {
		c.Accounts = append(c.Accounts, Meta{Key: m.PublicKey, Writable: m.IsWritable, Signer: m.IsSigner})
	}
	return c
}

// Encode makes the queue's payload.
func (c Call) Encode() ([]byte, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a transaction's payload: %w", err)
	}
	return payload, nil
}

func decodeCall(payload []byte) (Call, error) {
	var c Call
	if err := json.Unmarshal(payload, &c); err != nil {
		return Call{}, fmt.Errorf("decode a transaction's payload: %w", err)
	}
	return c, nil
}

// refusals are texts by which nodes refuse a transaction that no node would ever take. Compared in lower case.
var refusals = []string{
	"custom program error", "error processing instruction", "signature verification failure", "insufficient funds",
	"no record of a prior credit", "insufficientfundsforfee", "insufficientfundsforrent", "too large",
	"failed to sanitize", "failed to deserialize", "may not be used",
}

// unfunded are texts by which nodes that try a transaction say that the account cannot pay its fee, or would keep too
// little. Compared in lower case.
var unfunded = []string{
	"insufficient funds for fee", "insufficientfundsforfee", "insufficient funds for rent", "insufficientfundsforrent",
	"no record of a prior credit",
}

// Send implements relayer.Sender. It sends the transaction to every node, since any one may lose it. A transaction that
// a person waits for is simulated first, so that the person learns why it fails.
func (a *Account) Send(ctx context.Context, attempt relayer.Attempt) error {
	t, err := decodeTerms(attempt)
	if err != nil {
		return err
	}
	sure, err := a.settings.Pool.Broadcast(ctx, func(ctx context.Context, client *endpoint.Client) error {
		err := client.Send(ctx, attempt.Raw, a.settings.SkipPreflight && !t.Once, a.settings.Retries)
		if relayer.IsAnswered(err) &&
			contains(err, []string{"already been processed", "already processed", "alreadyprocessed"}) {
			return nil
		}
		return err
	})
	if err == nil {
		return nil
	}
	refused := &endpoint.Refusal{}
	if !errors.As(err, &refused) {
		return err
	}
	if contains(err, unfunded) {
		err = fmt.Errorf("%w: %w", relayer.ErrUnfunded, err)
	}
	if sure && contains(err, refusals) {
		err = fmt.Errorf("%w: %w", relayer.ErrRefused, err)
	}
	return err
}

func contains(err error, texts []string) bool {
	said := strings.ToLower(err.Error())
	for _, text := range texts {
		if strings.Contains(said, text) {
			return true
		}
	}
	return false
}

// Balance returns what the account holds, in lamports.
func (a *Account) Balance(ctx context.Context) (lamports uint64, err error) {
	err = a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		lamports, err = client.Balance(ctx, a.settings.Key)
		return err
	})
	return lamports, err
}

// signatureFee is what each signature of a transaction costs, in lamports (agave's DEFAULT_LAMPORTS_PER_SIGNATURE).
const signatureFee = 5000

// Cost returns the most that a transaction with the account's unit limit costs in fees, in lamports.
func (a *Account) Cost() uint64 {
	return signatureFee + (a.settings.Fees.Max*uint64(a.settings.UnitLimit)+999_999)/1_000_000
}
