package account

import (
	"context"
	"fmt"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"

	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Survey implements relayer.Sender. It makes all calls to one node.
func (a *Account) Survey(ctx context.Context, flights []relayer.Flight, items []relayer.Item) (relayer.Survey, error) {
	horizon := a.settings.Horizon.Slot()
	var survey relayer.Survey
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		survey = relayer.Survey{}
		var err error
		if survey.Outcomes, err = a.outcomes(ctx, client, flights); err != nil {
			return err
		}
		if survey.Verdicts, err = a.verdicts(ctx, client, items, horizon); err != nil {
			return err
		}
		survey.Unfunded, err = a.unfunded(ctx, client, flights, survey.Outcomes)
		return err
	})
	return survey, err
}

// outcomes asks for the block height before the transactions: a transaction that lands in between is then seen, never
// taken for dead.
func (a *Account) outcomes(ctx context.Context, client *endpoint.Client,
	flights []relayer.Flight) ([]relayer.Outcome, error) {
	if len(flights) == 0 {
		return nil, nil
	}
	height, err := client.BlockHeight(ctx)
	if err != nil {
		return nil, err
	}
	a.expire(height)
	known := map[string]*endpoint.Status{}
	ask := func(flights []relayer.Flight, history bool) error {
		var signatures []string
		for _, f := range flights {
			for _, attempt := range f.Attempts {
				signatures = append(signatures, attempt.Hash)
			}
		}
		if len(signatures) == 0 {
			return nil
		}
		statuses, err := client.Statuses(ctx, signatures, history)
		for i, s := range statuses {
			if s != nil {
				known[signatures[i]] = s
			}
		}
		return err
	}
	if err := ask(flights, false); err != nil {
		return nil, err
	}
	// What seems dead may have landed before the memory of statuses begins: a relayer may have been away for hours.
	var dead []relayer.Flight
	for _, f := range flights {
		if a.outcome(f, height, known).State == relayer.Lost {
			dead = append(dead, f)
		}
	}
	// nodes without history are good nodes: the contract refuses a repeat
	if err := ask(dead, true); err != nil && !relayer.IsAnswered(err) {
		return nil, err
	}
	outcomes := make([]relayer.Outcome, len(flights))
	for i, f := range flights {
		outcomes[i] = a.outcome(f, height, known)
		if outcomes[i].State == relayer.RevertedForGood {
			a.explain(f, known)
		}
	}
	return outcomes, nil
}

// unfunded says that the account cannot pay, if no block takes its transactions, or if it could not at the last survey:
// nodes take what nobody can pay for, and blocks never do. When it can pay again, its transactions are not stuck: they
// get as long as new ones at their price.
func (a *Account) unfunded(ctx context.Context, client *endpoint.Client, flights []relayer.Flight,
	outcomes []relayer.Outcome) (string, error) {
	a.mu.Lock()
	owed := a.owed
	a.mu.Unlock()
	for i, o := range outcomes {
		if !o.Stuck && o.State != relayer.Lost {
			continue
		}
		// The first attempt is the cheapest, and what the next transaction would cost.
		if t, err := decodeTerms(flights[i].Attempts[0]); err == nil {
			owed = t.fee().Uint64()
		}
	}
	if owed == 0 {
		return "", nil
	}
	balance, err := client.Balance(ctx, a.settings.Key)
	switch {
	case relayer.IsAnswered(err), relayer.IsUnserved(err): // a node that does not tell is a good node
		return "", nil
	case err != nil:
		return "", err
	}
	least, err := client.LeastBalance(ctx)
	if err != nil { // without it, an account that may not be emptied seems to be able to pay
		least = 0
	}
	short := balance < owed || balance > owed && balance-owed < least
	a.mu.Lock()
	defer a.mu.Unlock()
	if !short && a.owed > 0 {
		a.funded = time.Now()
		for i := range outcomes {
			outcomes[i].Stuck = false
		}
	}
	if a.owed = owed; !short {
		a.owed = 0
		return "", nil
	}
	return fmt.Sprintf("it holds %d lamports; a transaction costs %d, and an account keeps at least %d or nothing",
		balance, owed, least), nil
}

// expire forgets a blockhash that is dead: a transaction with it could not land.
func (a *Account) expire(height uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if height > a.hash.LastValid {
		a.asked = time.Time{}
	}
}

// outcome judges a flight by what is known of its attempts. One that succeeded decides: others of the flight then fail,
// since the contract refuses a repeat.
func (a *Account) outcome(f relayer.Flight, height uint64, known map[string]*endpoint.Status) relayer.Outcome {
	var (
		failed  relayer.Outcome
		expired = true
		seen    int
		last    terms
	)
	for _, attempt := range f.Attempts {
		t, err := decodeTerms(attempt)
		if err == nil {
			last = t
			expired = expired && height > t.Blockhash.LastValid
		}
		s := known[attempt.Hash]
		if s == nil {
			continue
		}
		seen++
		switch forGood := a.forGood(s.Commitment); {
		case s.Failure == nil && forGood:
			return relayer.Outcome{State: relayer.SucceededForGood, Hash: attempt.Hash, Fee: t.fee()}
		case s.Failure == nil:
			return relayer.Outcome{State: relayer.Succeeded, Hash: attempt.Hash}
		case forGood:
			failed = relayer.Outcome{State: relayer.RevertedForGood, Hash: attempt.Hash, Fee: t.fee()}
		default:
			failed = relayer.Outcome{State: relayer.Reverted, Hash: attempt.Hash}
		}
	}
	switch {
	case seen == 0 && expired:
		return relayer.Outcome{State: relayer.Lost}
	case seen == 0:
		bump := a.settings.Fees.BumpPeriod
		since := f.Attempts[len(f.Attempts)-1].Signed
		a.mu.Lock()
		if a.funded.After(since) { // until then its price did not matter
			since = a.funded
		}
		a.mu.Unlock()
		return relayer.Outcome{Stuck: bump > 0 && !last.Once && time.Since(since) >= bump}
	case seen < len(f.Attempts) && !expired: // another attempt may still succeed
		failed.State, failed.Fee = relayer.Reverted, nil
	}
	return failed
}

// forGood reports whether a block of that commitment counts as there to stay.
func (a *Account) forGood(reached rpc.CommitmentType) bool {
	rank := func(c rpc.CommitmentType) int {
		switch c {
		case rpc.CommitmentFinalized:
			return 2
		case rpc.CommitmentConfirmed:
			return 1
		default:
			return 0
		}
	}
	return rank(reached) >= max(rank(a.settings.Commitment), rank(rpc.CommitmentConfirmed))
}

// explain logs why a flight's transactions failed.
func (a *Account) explain(f relayer.Flight, known map[string]*endpoint.Status) {
	for _, attempt := range f.Attempts {
		s := known[attempt.Hash]
		if s == nil {
			continue
		}
		reason := relayer.Said(string(s.Failure)).Error()
		if code, ok := s.Custom(); ok {
			if name := ocr2.Refusal(code); name != "" {
				reason = name
			}
		}
		a.settings.Logger.Warn("the program refused a transaction", "account", a.settings.Key, "hash", attempt.Hash, "slot",
			s.Slot, "reason", reason)
	}
}

// verdicts reads the head of each contract's State.
func (a *Account) verdicts(ctx context.Context, client *endpoint.Client, items []relayer.Item,
	horizon uint64) ([]relayer.Verdict, error) {
	type view struct {
		head ocr2.Head
		err  error
		slot uint64
	}
	views := map[string]*view{}
	var keys []sol.PublicKey
	for _, item := range items {
		if views[item.Contract] != nil {
			continue
		}
		key, err := Parse(item.Contract)
		views[item.Contract] = &view{err: err}
		if err == nil {
			keys = append(keys, key)
		}
	}
	for start := 0; start < len(keys); start += endpoint.MaxAccounts {
		part := keys[start:min(start+endpoint.MaxAccounts, len(keys))]
		slot, contents, err := client.Accounts(ctx, part, endpoint.Slice{Length: ocr2.HeadLength})
		if err != nil {
			return nil, err
		}
		a.settings.Horizon.Reach(slot)
		for i, content := range contents {
			v := views[part[i].String()]
			v.slot = slot
			v.head, v.err = ocr2.ParseHead(content)
		}
	}
	verdicts := make([]relayer.Verdict, len(items))
	a.mu.Lock()
	defer a.mu.Unlock()
	doubts := map[doubt]uint64{}
	for i, item := range items {
		v := views[item.Contract]
		if v.err != nil {
			verdicts[i] = relayer.Verdict{Wait: true}
			continue
		}
		current := true
		if v.head.ConfigDigest != item.Digest {
			of := doubt{item.Contract, item.Digest}
			since, known := a.doubts[of]
			if !known {
				since = max(a.settings.Pool.Height(), horizon)
			}
			doubts[of], current = since, v.slot >= since
		}
		verdicts[i] = verdict(item, v.head, current)
	}
	if len(items) > 0 {
		a.doubts = doubts
	}
	return verdicts, nil
}

// doubt is about reports under a configuration that their contract does not show. What is read is some slots behind the
// newest, and may not know the configuration yet: until it has reached the slot that was the newest when the doubt
// arose, such reports wait.
type doubt struct {
	contract string
	digest   [32]byte
}

// verdict compares a report with what its contract holds. current means that the contract is sure to show the report's
// configuration, if it has not got a newer one.
func verdict(item relayer.Item, head ocr2.Head, current bool) relayer.Verdict {
	switch {
	case head.ConfigDigest != item.Digest && !current:
		return relayer.Verdict{Wait: true}
	case head.ConfigDigest != item.Digest:
		return relayer.Verdict{Stale: "the contract has another configuration"}
	case head.Epoch > item.Epoch || head.Epoch == item.Epoch && head.Round >= item.Round:
		return relayer.Verdict{Stale: fmt.Sprintf("the contract has a transmission of epoch %d round %d", head.Epoch,
			head.Round)}
	default:
		return relayer.Verdict{}
	}
}

// Parse reads an account as people write it.
func Parse(text string) (sol.PublicKey, error) {
	key, err := sol.PublicKeyFromBase58(text)
	if err != nil {
		return sol.PublicKey{}, fmt.Errorf("%.64q is not a public key; write its 32 bytes in base58", text)
	}
	return key, nil
}
