package feed

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
)

func counted(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(from + i)
	}
	return b
}

// TestDigests compares with digests that Python's hashlib made of the same bytes. That the program computes the same is
// checked by each Configure.
func TestDigests(t *testing.T) {
	t.Parallel()
	config := ocrtypes.ContractConfig{ConfigCount: 7, F: 1, OffchainConfigVersion: 2,
		OffchainConfig: bytes.Repeat(counted(0, 250), 2)}
	var proposed []proposedOracle
	for i := range byte(4) {
		signer, transmitter := bytes.Repeat([]byte{i + 1}, 20), bytes.Repeat([]byte{0x40 + i}, 32)
		config.Signers = append(config.Signers, signer)
		config.Transmitters = append(config.Transmitters, ocrtypes.Account(solana.PublicKey(transmitter).String()))
		proposed = append(proposed,
			proposedOracle{[20]byte(signer), solana.PublicKey(transmitter),
				solana.PublicKey(bytes.Repeat([]byte{0x80 + i}, 32))})
	}
	trillion := new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)
	for want, answers := range map[string]median.OnchainConfig{
		"0003e74695aa34d1bbbcefa80e46f29f35c7d67fea44d549220c78b0ccddd544": {Min: big.NewInt(1), Max: trillion},
		"000385b4ec0e3917cc816ff05c102c11cf7e97861df8caaf7b85f32e36f7cc49": {Min: big.NewInt(-5), Max: big.NewInt(-2)},
	} {
		var err error
		config.OnchainConfig, err = median.StandardOnchainConfigCodec{}.Encode(t.Context(), answers)
		check(t, err)
		if got := ConfigDigest(solana.PublicKey(counted(0, 32)), solana.PublicKey(counted(100, 32)),
			config); got.Hex() != want {
			t.Errorf("the digest for %s to %s is %s, want %s", answers.Min, answers.Max, got, want)
		}
	}
	config.Transmitters[0] = "0x00"
	if got := ConfigDigest(solana.PublicKey{}, solana.PublicKey{}, config); got != (ocrtypes.ConfigDigest{}) {
		t.Errorf("the digest of a transmitter that is not a key is %s", got)
	}
	const want = "b92529288258cbe849d04de8b029792119925212ace549ba689d158c8ba207d8"
	if got := proposalDigest(proposed, 1, solana.PublicKey(bytes.Repeat([]byte{0xee}, 32)), 2,
		config.OffchainConfig); hex.EncodeToString(got) != want {
		t.Errorf("the proposal's digest is %x, want %s", got, want)
	}
}

// TestConfigure configures negative ranges, many oracles, and oracles again, and pays those who worked.
func TestConfigure(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 5, Settings{Min: big.NewInt(-1_000), Max: big.NewInt(-1)})
	err := n.send(ctx, nil, instruction(OCR2Program, "set_billing",
		[]*solana.AccountMeta{solana.Meta(n.State).WRITE(), solana.Meta(n.owner.PublicKey()).SIGNER()}, u32(7), u32(100)))
	check(t, err)
	for round := range uint8(3) {
		a := n.good(ctx, t, 1, round+1)
		a.median = big.NewInt(-500 - int64(round))
		_, _, err := n.transact(ctx, a.transmitter, a.priced(uint64(round))...)
		check(t, err)
	}
	before, err := n.ReadState(ctx, rpc.CommitmentProcessed)
	check(t, err)
	if before.ConfigCount != 1 || before.F != 1 || before.OffchainVersion != 2 || before.ConfigSlot == 0 ||
		before.MinAnswer.Int64() != -1000 {
		t.Errorf("the state is %+v", before)
	}
	n.configure(ctx, t, 19)
	after, err := n.ReadState(ctx, rpc.CommitmentProcessed)
	check(t, err)
	if after.ConfigCount != 2 || after.F != 6 || len(after.Oracles) != 19 || after.ConfigDigest == before.ConfigDigest ||
		after.Epoch != 1 || after.RoundID != 3 {
		t.Errorf("the state after another configuration is %+v", after)
	}
	if !slices.IsSortedFunc(after.Oracles, func(a, b OracleState) int { return bytes.Compare(a.Signer[:], b.Signer[:]) }) {
		t.Error("the oracles are not in the order of their signers")
	}
	for i, oracle := range after.Oracles {
		if oracle.FromRoundID != 3 || oracle.PaymentGjuels != 0 {
			t.Errorf("the new oracle %d is due %d gjuels from round %d on, want none from round 3 on", i, oracle.PaymentGjuels,
				oracle.FromRoundID)
		}
	}
	for i, oracle := range before.Oracles {
		data, err := n.read(ctx, oracle.Payee, rpc.CommitmentProcessed)
		check(t, err)
		want := uint64(3 * 7) // for three rounds of observations
		if i == 1 {
			want += oracle.PaymentGjuels
			if oracle.PaymentGjuels < 3*(100+5000*9) {
				t.Errorf("the transmitter is due %d gjuels for three rounds", oracle.PaymentGjuels)
			}
		} else if oracle.PaymentGjuels != 0 {
			t.Errorf("oracle %d transmitted nothing and is due %d gjuels", i, oracle.PaymentGjuels)
		}
		if got := binary.LittleEndian.Uint64(data[64:]); got != want {
			t.Errorf("oracle %d got %d gjuels, want %d", i, got, want)
		}
	}
	// The new oracles write; the old configuration does not.
	a := n.good(ctx, t, 2, 1)
	a.median = big.NewInt(-7)
	_, _, err = n.transact(ctx, a.transmitter, a.priced(0)...)
	check(t, err)
}

func TestConfigureRefuses(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 4, Settings{})
	var good []Oracle
	for _, member := range n.members {
		good = append(good, member.Oracle)
	}
	spoilt := func(spoil func([]Oracle) []Oracle) []Oracle { return spoil(slices.Clone(good)) }
	tests := map[string]struct {
		oracles []Oracle
		want    string
	}{
		"three oracles": {good[:3], "3 oracles given, it takes 4 to 19"},
		"too many":      {slices.Repeat(good, 5), "20 oracles given"},
		"short key": {spoilt(func(o []Oracle) []Oracle { o[1].OffchainPublicKey = nil; return o }),
			"offchain public key has 0 bytes instead of 32"},
		"no encryption": {spoilt(func(o []Oracle) []Oracle { o[1].ConfigEncryptionPublicKey = []byte{1}; return o }),
			"encryption public key has 1 bytes"},
	}
	for name, test := range tests {
		if _, err := n.Configure(ctx, test.oracles, ocr2.DefaultTiming()); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, test.want)
		}
	}
}

// TestTiming sets, among other things, the query that real feeds have on the chain: of no time.
func TestTiming(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 4, Settings{})
	var oracles []Oracle
	for _, member := range n.members {
		oracles = append(oracles, member.Oracle)
	}
	slow := Timing{MaxDurationQuery: 300 * time.Millisecond, DeltaProgress: 10 * time.Second}
	for said, want := range map[Timing]Timing{{}: {DeltaProgress: 5 * time.Second}, slow: slow} {
		_, err := n.Configure(ctx, oracles, said)
		check(t, err)
		state, err := n.ReadState(ctx, rpc.CommitmentProcessed)
		check(t, err)
		config, err := n.ContractConfig(ctx, state)
		check(t, err)
		public, err := confighelper.PublicConfigFromContractConfig(false, config)
		check(t, err)
		got := Timing{MaxDurationQuery: public.MaxDurationQuery, DeltaProgress: public.DeltaProgress}
		if got != want || len(public.OracleIdentities) != 4 {
			t.Errorf("the configuration has %+v for %d oracles, want %+v for 4", got, len(public.OracleIdentities), want)
		}
		for i, identity := range public.OracleIdentities {
			if string(identity.OnchainPublicKey) != string(state.Oracles[i].Signer[:]) ||
				string(identity.TransmitAccount) != state.Oracles[i].Transmitter.String() {
				t.Errorf("oracle %d is another one off the chain", i)
			}
		}
	}
}

// TestProposalChecks takes wrong proposals as far as the program lets them.
func TestProposalChecks(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 4, Settings{})
	state, err := n.ReadState(ctx, rpc.CommitmentProcessed)
	check(t, err)
	var oracles []proposedOracle
	var payees []solana.PublicKey
	for _, oracle := range state.Oracles {
		oracles = append(oracles, proposedOracle{oracle.Signer, oracle.Transmitter, oracle.Payee})
		payees = append(payees, oracle.Payee)
	}
	fresh := func() solana.PublicKey {
		address := solana.NewWallet().PublicKey()
		check(t, n.write(ctx, address, make([]byte, proposalSize), OCR2Program))
		return address
	}
	// made is a proposal on which the first calls went well.
	made := func(calls ...func(solana.PublicKey) solana.Instruction) solana.PublicKey {
		proposal := fresh()
		for _, call := range calls {
			err := n.send(ctx, nil, call(proposal))
			check(t, err)
		}
		return proposal
	}
	create := func(p solana.PublicKey) solana.Instruction { return n.createProposal(p, 2) }
	write := func(p solana.PublicKey) solana.Instruction { return n.writeOffchainConfig(p, []byte("config")) }
	propose := func(p solana.PublicKey) solana.Instruction { return n.proposeConfig(p, oracles, 1) }
	payee := func(p solana.PublicKey) solana.Instruction { return n.proposePayees(p, oracles) }
	finalize := n.finalizeProposal
	digest := proposalDigest(oracles, 1, n.TokenMint, 2, []byte("config"))
	receiver := solana.NewWallet().PublicKey()
	spoilt := func(spoil func([]proposedOracle)) []proposedOracle {
		clone := slices.Clone(oracles)
		spoil(clone)
		return clone
	}
	elsewhere := instruction(OCR2Program, "propose_payees",
		append(n.ownProposal(solana.PublicKey{}), solana.Meta(payees[0]), solana.Meta(payees[1]), solana.Meta(payees[2]),
			solana.Meta(payees[3])), solana.NewWallet().PublicKey().Bytes())

	proposed := made(create, write, propose, payee)
	final := made(create, write, propose, payee, finalize)
	tests := map[string]struct {
		code int
		call solana.Instruction
	}{
		"version 0":           {6001, n.createProposal(fresh(), 0)},
		"a proposal that is":  {2013, n.createProposal(final, 2)},
		"no oracle is faulty": {6001, n.proposeConfig(made(create), oracles, 0)},
		"too many are faulty": {6001, n.proposeConfig(made(create), oracles, 2)},
		"one signer twice": {6008,
			n.proposeConfig(made(create), spoilt(func(o []proposedOracle) { o[3].signer = o[0].signer }), 1)},
		"one transmitter twice": {6009,
			n.proposeConfig(made(create), spoilt(func(o []proposedOracle) { o[3].transmitter = o[0].transmitter }), 1)},
		"three payees": {6011, n.proposePayees(made(create, propose), oracles[:3])},
		"a payee that is no such": {6012,
			n.proposePayees(made(create, propose), spoilt(func(o []proposedOracle) { o[3].payee = n.State }))},
		"no off-chain config":   {6001, n.finalizeProposal(made(create, propose, payee))},
		"no oracles":            {6001, n.finalizeProposal(made(create, write))},
		"no payees":             {6001, n.finalizeProposal(made(create, write, propose))},
		"final twice":           {6001, n.finalizeProposal(final)},
		"write after the end":   {6001, n.writeOffchainConfig(final, []byte("x"))},
		"oracles after the end": {6001, n.proposeConfig(final, oracles, 1)},
		"payees after the end":  {6001, n.proposePayees(final, oracles)},
		"accepted too early":    {6001, n.acceptProposal(proposed, digest, receiver, payees)},
		"another digest":        {6004, n.acceptProposal(final, counted(0, 32), receiver, payees)},
		"part of a digest":      {6001, n.acceptProposal(final, digest[:31], receiver, payees)},
		"not all paid":          {6001, n.acceptProposal(final, digest, receiver, payees[:3])},
		"others paid": {6001,
			n.acceptProposal(final, digest, receiver, []solana.PublicKey{payees[1], payees[0], payees[2], payees[3]})},
	}
	for name, test := range tests {
		if _, _, err := n.transact(ctx, n.owner, test.call); codeOf(err) != test.code {
			t.Errorf("%s ended with code %d, want %d: %v", name, codeOf(err), test.code, err)
		}
	}
	// Payees in another token pass the proposal and not its acceptance; here their token is another one already.
	accounts := elsewhere.Accounts()
	accounts[0] = solana.Meta(made(create, propose)).WRITE()
	if _, _, err := n.transact(ctx, n.owner, elsewhere); codeOf(err) != 6012 {
		t.Errorf("payees of another token ended with code %d, want 6012: %v", codeOf(err), err)
	}
	// More off-chain configuration than there is room for.
	full := made(create)
	part := make([]byte, 1024)
	for i := range byte(4) {
		part[0] = i // or it would be the same transaction
		err := n.send(ctx, nil, n.writeOffchainConfig(full, part[:1000]))
		check(t, err)
	}
	if _, _, err := n.transact(ctx, n.owner, n.writeOffchainConfig(full, part[:97])); codeOf(err) != 6001 {
		t.Errorf("4097 bytes ended with code %d, want 6001: %v", codeOf(err), err)
	}
	err = n.send(ctx, nil, n.writeOffchainConfig(full, part[:96]))
	check(t, err)

	// A stranger may propose, and neither touch another's proposal nor accept.
	stranger := solana.NewWallet().PrivateKey
	check(t, n.chain.Airdrop(ctx, stranger.PublicKey(), transmitterFunds))
	for name, call := range map[string]solana.Instruction{
		"another's proposal": n.finalizeProposal(proposed), "acceptance": n.acceptProposal(final, digest, receiver, payees),
	} {
		for _, account := range call.Accounts() {
			if account.PublicKey == n.owner.PublicKey() {
				account.PublicKey = stranger.PublicKey()
			}
		}
		if _, _, err := n.transact(ctx, stranger, call); codeOf(err) != 6000 {
			t.Errorf("%s of a stranger ended with code %d, want 6000: %v", name, codeOf(err), err)
		}
	}
	_, _, err = n.transact(ctx, n.owner, n.acceptProposal(final, digest, receiver, payees))
	check(t, err)
	if _, err := n.read(ctx, final, rpc.CommitmentProcessed); err == nil {
		t.Error("the accepted proposal is still there")
	}
}

func FuzzDecode(f *testing.F) {
	state := make([]byte, stateSize)
	copy(state, discriminator("account:State"))
	state[8] = 1
	state[stateOracleLen], state[stateOffchainLen] = 19, 200
	f.Add(state)
	feed := make([]byte, ringOffset+3*recordSize)
	copy(feed, discriminator("account:Transmissions"))
	feed[feedVersion], feed[feedLive], feed[feedLatest] = 2, 2, 7
	f.Add(feed)
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = DecodeState(data)
		_, _, _ = DecodeRounds(data)
		_, _ = decodeEvent(eventPrefix + string(data))
	})
}
