package feed

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/tools/devnet/chain/solana/svm"
)

// ring is the model of a feed.
type ring struct {
	live, historical []Round
	length, past     int
	granularity      uint32
	latest           uint32
	flagged          bool
	threshold        *big.Int
}

func (r *ring) submit(round Round) {
	if len(r.live) > 0 {
		before := r.live[0].Answer
		change := new(big.Int).Sub(round.Answer, before)
		change.Abs(change).Mul(change, big.NewInt(100_000))
		// A change that does not fit in 128 bits deviates.
		if before.Sign() != 0 &&
			(change.BitLen() > 128 || change.Div(change, new(big.Int).Abs(before)).Cmp(r.threshold) > 0) {
			r.flagged = true
		}
	}
	r.latest++
	round.ID = r.latest
	r.live = append([]Round{round}, r.live...)[:min(len(r.live)+1, r.length)]
	if r.past > 0 && r.latest%r.granularity == 0 {
		r.historical = append([]Round{round}, r.historical...)[:min(len(r.historical)+1, r.past)]
	}
}

// fetch is the round that a reader gets for a number.
func (r *ring) fetch(id uint32) (Round, bool) {
	for _, round := range r.live {
		if round.ID == id {
			return round, true
		}
	}
	if id > r.latest-r.latest%r.granularity {
		return Round{}, false
	}
	for _, round := range r.historical {
		if round.ID == id-id%r.granularity {
			return round, true
		}
	}
	return Round{}, false
}

// TestStore holds the store program against the model, with rings and answers of all sizes. The feeds' writer is their
// owner.
func TestStore(t *testing.T) {
	t.Parallel()
	ctx, chain := start(t, svm.Settings{})
	rapid.Check(t, func(rt *rapid.T) {
		model := &ring{
			length: rapid.IntRange(1, 5).Draw(rt, "live"), past: rapid.IntRange(0, 4).Draw(rt, "historical"),
			granularity: uint32(rapid.IntRange(1, 4).Draw(rt, "granularity")),
			threshold:   big.NewInt(int64(rapid.SampledFrom([]uint32{0, 1, 1000, 99_999, 1<<32 - 1}).Draw(rt, "threshold"))),
		}
		historical := model.past
		if historical == 0 {
			historical = -1
		}
		f, err := Deploy(ctx, chain,
			Settings{LiveLength: model.length, HistoricalLength: historical, Granularity: uint8(model.granularity)})
		if err != nil {
			rt.Fatal(err)
		}
		owner := f.owner.PublicKey()
		instructions := []solana.Instruction{
			setWriter(f.Transmissions, owner, owner),
			setValidatorConfig(f.Transmissions, owner, uint32(model.threshold.Uint64())),
		}
		if err := f.send(ctx, nil, instructions...); err != nil {
			rt.Fatal(err)
		}
		var batch []solana.Instruction
		for range rapid.IntRange(1, 12).Draw(rt, "rounds") {
			round := Round{Timestamp: rapid.Uint32().Draw(rt, "timestamp"), Answer: answer(rt, model)}
			model.submit(round)
			batch = append(batch, instruction(StoreProgram, "submit",
				[]*solana.AccountMeta{solana.Meta(f.Transmissions).WRITE(), solana.Meta(owner).SIGNER()},
				u64(uint64(round.Timestamp)), i128(round.Answer)))
		}
		if err := f.send(ctx, nil, batch...); err != nil {
			rt.Fatal(err)
		}
		rounds, flagged, err := f.ReadRounds(ctx, rpc.CommitmentProcessed)
		if err != nil {
			rt.Fatal(err)
		}
		slot := rounds[0].Slot
		for i := range model.live {
			model.live[i].Slot = slot
		}
		for i := range model.historical {
			model.historical[i].Slot = slot
		}
		if diff := cmp.Diff(model.live, rounds, bigs); diff != "" || flagged != model.flagged {
			rt.Errorf("flag %v, want %v; rounds (-want +got):\n%s", flagged, model.flagged, diff)
		}
		for id := range model.latest + 3 {
			want, found := model.fetch(id)
			got, err := f.query(ctx, append([]byte{3}, u32(id)...))
			if id == 0 {
				continue // what the deployed program answers for it depends on what the ring held before
			}
			if !found {
				if err == nil {
					rt.Errorf("round %d of %d is %x, want none", id, model.latest, got)
				}
				continue
			}
			if wantBytes := roundBytes(id, want); err != nil || string(got) != string(wantBytes) {
				rt.Errorf("round %d of %d is %x (%v), want %x", id, model.latest, got, err, wantBytes)
			}
		}
		if got, err := f.query(ctx, []byte{4}); err != nil || string(got) != string(roundBytes(model.latest, model.live[0])) {
			rt.Errorf("the latest round is %x (%v)", got, err)
		}
	})
}

var bigs = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

// answer is near the answer before, as big as possible, or anything.
func answer(rt *rapid.T, model *ring) *big.Int {
	switch rapid.IntRange(0, 3).Draw(rt, "kind") {
	case 0:
		if len(model.live) > 0 {
			// Around the threshold.
			before := model.live[0].Answer
			step := new(big.Int).Mul(before, model.threshold)
			step.Quo(step, big.NewInt(100_000)).Add(step, big.NewInt(int64(rapid.IntRange(-2, 2).Draw(rt, "off"))))
			if near := new(big.Int).Add(before, step); near.BitLen() < 127 {
				return near
			}
		}
		return big.NewInt(1_000_000)
	case 1:
		return rapid.SampledFrom([]*big.Int{
			new(big.Int), big.NewInt(-1), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1)),
			new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 127)), new(big.Int).Lsh(big.NewInt(1), 64),
		}).Draw(rt, "edge")
	case 2:
		return big.NewInt(rapid.Int64().Draw(rt, "small"))
	}
	return signed(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "large"))
}

func roundBytes(id uint32, round Round) []byte {
	bytes := binary.LittleEndian.AppendUint64(u32(id), round.Slot)
	bytes = binary.LittleEndian.AppendUint32(bytes, round.Timestamp)
	return append(bytes, i128(round.Answer)...)
}

// query asks the store program, which answers in its return data.
func (f *Feed) query(ctx context.Context, scope []byte) ([]byte, error) {
	latest, err := f.client.GetLatestBlockhash(ctx, rpc.CommitmentProcessed)
	if err != nil {
		return nil, err
	}
	tx, err := solana.NewTransaction(
		[]solana.Instruction{instruction(StoreProgram, "query", []*solana.AccountMeta{solana.Meta(f.Transmissions)}, scope)},
		latest.Value.Blockhash, solana.TransactionPayer(f.owner.PublicKey()))
	if err != nil {
		return nil, err
	}
	tx.Signatures = make([]solana.Signature, 1) // a simulation takes any
	var result struct {
		Value struct {
			Err        any
			ReturnData *struct{ Data solana.Data }
		}
	}
	err = f.client.RPCCallForInto(ctx, &result, "simulateTransaction",
		[]any{tx.MustToBase64(), map[string]any{"encoding": "base64", "commitment": "processed"}})
	if err != nil {
		return nil, err
	}
	if result.Value.Err != nil || result.Value.ReturnData == nil {
		return nil, fmt.Errorf("the query failed: %v", result.Value.Err)
	}
	return result.Value.ReturnData.Data.Content, nil
}

func TestQuery(t *testing.T) {
	t.Parallel()
	ctx, chain := start(t, svm.Settings{})
	f, err := Deploy(ctx, chain, Settings{})
	check(t, err)
	for scope, want := range map[byte]string{0: "\x02", 1: "\x08", 2: "\x0b\x00\x00\x00loop devnet",
		5: string(f.StoreAuthority[:])} {
		if got, err := f.query(ctx, []byte{scope}); err != nil || string(got) != want {
			t.Errorf("scope %d is %q (%v), want %q", scope, got, err, want)
		}
	}
	// Without a round there is no latest one.
	for _, scope := range [][]byte{{4}, {6}, {3}} {
		if got, err := f.query(ctx, scope); err == nil {
			t.Errorf("scope %v is %q, want an error", scope, got)
		}
	}
}

// TestStoreRefuses sends what only the owner or the writer may send, and feeds that make no sense.
func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	ctx, chain := start(t, svm.Settings{})
	f, err := Deploy(ctx, chain, Settings{})
	check(t, err)
	stranger := solana.NewWallet().PrivateKey
	key := stranger.PublicKey()
	check(t, chain.Airdrop(ctx, key, transmitterFunds))
	submit := func(feed solana.PublicKey) solana.Instruction {
		return instruction(StoreProgram, "submit",
			[]*solana.AccountMeta{solana.Meta(feed).WRITE(), solana.Meta(key).SIGNER()}, u64(1), i128(big.NewInt(1)))
	}
	fresh := func(size int) solana.PublicKey {
		address := solana.NewWallet().PublicKey()
		check(t, f.write(ctx, address, make([]byte, size), StoreProgram))
		return address
	}
	tests := map[string]struct {
		code int
		call solana.Instruction
	}{
		"submit of a stranger":     {6000, submit(f.Transmissions)},
		"submit to a state":        {3007, submit(f.State)},
		"writer set by a stranger": {2012, setWriter(f.Transmissions, key, key)},
		"writer set as the owner": {6000,
			instruction(StoreProgram, "set_writer",
				[]*solana.AccountMeta{solana.Meta(f.Transmissions).WRITE(), solana.Meta(f.owner.PublicKey()),
					solana.Meta(key).SIGNER()}, key[:])},
		"feed that is there":        {2013, createFeed(f.Transmissions, key, "x", 8, 1, 1)},
		"feed without a ring":       {6001, createFeed(fresh(ringOffset), key, "x", 8, 1, 1)},
		"feed of part of a round":   {6004, createFeed(fresh(ringOffset+recordSize+1), key, "x", 8, 1, 1)},
		"feed smaller than its own": {6004, createFeed(fresh(ringOffset-1), key, "x", 8, 1, 1)},
		"ring larger than the feed": {6001, createFeed(fresh(ringOffset+recordSize), key, "x", 8, 1, 2)},
		"ring of nothing":           {6001, createFeed(fresh(ringOffset+recordSize), key, "x", 8, 1, 0)},
		"no granularity":            {6001, createFeed(fresh(ringOffset+recordSize), key, "x", 8, 0, 1)},
		"long description":          {6001, createFeed(fresh(ringOffset+recordSize), key, strings.Repeat("x", 33), 8, 1, 1)},
		"no such instruction":       {101, instruction(StoreProgram, "nothing", nil)},
	}
	for name, test := range tests {
		if _, _, err := f.transact(ctx, stranger, test.call); codeOf(err) != test.code {
			t.Errorf("%s ended with code %d, want %d: %v", name, codeOf(err), test.code, err)
		}
	}
	_, _, err = f.transact(ctx, stranger, createFeed(fresh(ringOffset+recordSize), key, strings.Repeat("x", 32), 8, 1, 1))
	check(t, err)
}

// TestFlag goes to the edges of the threshold, which chance does not find, and of 128 bits.
func TestFlag(t *testing.T) {
	t.Parallel()
	ctx, chain := start(t, svm.Settings{})
	f, err := Deploy(ctx, chain, Settings{})
	check(t, err)
	owner := f.owner.PublicKey()
	err = f.send(ctx, nil, setWriter(f.Transmissions, owner, owner))
	check(t, err)
	submit := func(answer *big.Int) solana.Instruction {
		return instruction(StoreProgram, "submit",
			[]*solana.AccountMeta{solana.Meta(f.Transmissions).WRITE(), solana.Meta(owner).SIGNER()}, u64(1), i128(answer))
	}
	lowest := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 127))
	highest := new(big.Int).Sub(new(big.Int).Neg(lowest), big.NewInt(1))
	for name, test := range map[string]struct {
		threshold      uint32
		before, answer *big.Int
		want           bool
	}{
		"at the threshold":      {1000, big.NewInt(1_000_000), big.NewInt(1_010_000), false},
		"beyond it":             {999, big.NewInt(1_000_000), big.NewInt(1_010_000), true},
		"a fraction beyond it":  {1000, big.NewInt(1_000_000), big.NewInt(1_010_009), false},
		"one below":             {999, big.NewInt(1_000_000), big.NewInt(1_009_999), false},
		"downwards":             {999, big.NewInt(1_000_000), big.NewInt(990_000), true},
		"below zero":            {999, big.NewInt(-1_000_000), big.NewInt(-1_010_000), true},
		"from nothing":          {0, big.NewInt(0), big.NewInt(1), false},
		"to nothing":            {99_999, big.NewInt(5), big.NewInt(0), true},
		"a step of the largest": {1<<32 - 1, lowest, new(big.Int).Add(lowest, big.NewInt(5)), false},
		"from end to end":       {1<<32 - 1, lowest, highest, true},
	} {
		err := f.send(ctx, nil, setValidatorConfig(f.Transmissions, owner, 1<<32-1), submit(new(big.Int)),
			submit(test.before),
			setValidatorConfig(f.Transmissions, owner, test.threshold),
			instruction(StoreProgram, "lower_flag", ownFeed(f.Transmissions, owner)), submit(test.answer))
		check(t, err)
		if _, flagged, err := f.ReadRounds(ctx, rpc.CommitmentProcessed); err != nil || flagged != test.want {
			t.Errorf("%s: from %s to %s at %d the flag is %v (%v), want %v", name, test.before, test.answer, test.threshold,
				flagged, err, test.want)
		}
	}
	err = f.send(ctx, nil, instruction(StoreProgram, "lower_flag", ownFeed(f.Transmissions, owner)))
	check(t, err)
	if _, flagged, err := f.ReadRounds(ctx, rpc.CommitmentProcessed); err != nil || flagged {
		t.Errorf("the lowered flag is %v (%v)", flagged, err)
	}
}
