package ocr2_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"

	"github.com/loop-plugins/loop/plugins/solana/ocr2"
)

// vectors were computed by testdata/vectors.py, which shares nothing with this code.
type vectors struct {
	StateKey       sol.PublicKey   `json:"state_key"`
	FeedKey        sol.PublicKey   `json:"feed_key"`
	Transmitter    sol.PublicKey   `json:"transmitter"`
	Transmitters   []sol.PublicKey `json:"transmitters"`
	Signers        []string        `json:"signers"`
	Onchain        string          `json:"onchain"`
	Digest         string          `json:"digest"`
	StoreAuthority sol.PublicKey   `json:"store_authority"`
	StoreBump      uint8           `json:"store_bump"`
	VaultAuthority sol.PublicKey   `json:"vault_authority"`
	VaultBump      uint8           `json:"vault_bump"`
	Report         string          `json:"report"`
	Signatures     []string        `json:"signatures"`
	Instruction    string          `json:"instruction"`
	Event          string          `json:"event"`
}

var (
	program = sol.MustPublicKeyFromBase58("cjg3oHmg9uuPsP8D6g29NWvhySJkdYdAo9D25PRbKXJ")
	store   = sol.MustPublicKeyFromBase58("HEvSKofvBgfaexv23kMabbYqxasxU3mQ4ibBMEmJWHny")
)

func load(t testing.TB) vectors {
	t.Helper()
	var v vectors
	if err := json.Unmarshal(file(t, "vectors.json"), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func counted(start byte) (key sol.PublicKey) {
	for i := range key {
		key[i] = start + byte(i)
	}
	return key
}

func power(base, exponent int64) *big.Int {
	return new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil)
}

var compareBig = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

func TestState(t *testing.T) {
	t.Parallel()
	v := load(t)
	got, err := ocr2.ParseState(file(t, "state.bin"))
	if err != nil {
		t.Fatal(err)
	}
	want := ocr2.State{
		Head: ocr2.Head{
			VaultNonce: 254, Feed: counted(33), Owner: counted(40), TokenMint: counted(42), TokenVault: counted(43),
			MinAnswer: big.NewInt(-5), MaxAnswer: power(10, 20), F: 5, Epoch: 0x01020304, Round: 7, RoundID: 77,
			LatestTransmitter: v.Transmitters[3],
			ConfigCount:       9, ConfigDigest: [32]byte(unhex(t, v.Digest)), ConfigSlot: 123456789012, ObservationPayment: 11,
			TransmissionPayment: 22,
		},
		OffchainVersion: 2,
	}
	for i := range 300 {
		want.OffchainConfig = append(want.OffchainConfig, byte(200+i))
	}
	for i := range v.Transmitters {
		want.Oracles = append(want.Oracles, ocr2.Oracle{
			Transmitter: v.Transmitters[i], Signer: [20]byte(unhex(t, v.Signers[i])), Payee: counted(140 + byte(i)),
			FromRoundID: 70 + uint32(i), Payment: 1e12 + uint64(i),
		})
	}
	if diff := cmp.Diff(want, got, compareBig); diff != "" {
		t.Errorf("ParseState (-want +got):\n%s", diff)
	}
	head, err := ocr2.ParseHead(file(t, "state.bin")[:ocr2.HeadLength])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Head, head, compareBig); diff != "" {
		t.Errorf("ParseHead (-want +got):\n%s", diff)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	v := load(t)
	state, err := ocr2.ParseState(file(t, "state.bin"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := state.Config()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(config.Onchain); got != v.Onchain {
		t.Errorf("on-chain configuration %s, want %s", got, v.Onchain)
	}
	standard, err := median.StandardOnchainConfigCodec{}.Encode(context.Background(),
		median.OnchainConfig{Min: state.MinAnswer, Max: state.MaxAnswer})
	if err != nil || hex.EncodeToString(standard) != v.Onchain {
		t.Errorf("libocr encodes it as %x, %v", standard, err)
	}
	digest := config.Digest(program, v.StateKey)
	if got := hex.EncodeToString(digest[:]); got != v.Digest {
		t.Errorf("digest %s, want %s", got, v.Digest)
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	v := load(t)
	if key, bump, err := ocr2.StoreAuthority(program, v.StateKey); err != nil || key != v.StoreAuthority ||
		bump != v.StoreBump {
		t.Errorf("StoreAuthority = %s, %d, %v", key, bump, err)
	}
	if key, bump, err := ocr2.VaultAuthority(program, v.StateKey); err != nil || key != v.VaultAuthority ||
		bump != v.VaultBump {
		t.Errorf("VaultAuthority = %s, %d, %v", key, bump, err)
	}
}

func TestTransmissions(t *testing.T) {
	t.Parallel()
	data := file(t, "transmissions.bin")
	got, err := ocr2.ParseTransmissions(data)
	if err != nil {
		t.Fatal(err)
	}
	header := ocr2.FeedHeader{
		Owner: counted(50), Writer: counted(52), Flagged: true, Description: "SOL / USD", Decimals: 8,
		FlaggingThreshold: 50000, LatestRoundID: 8,
		Granularity: 2, LiveLength: 5, LiveCursor: 3, HistoricalCursor: 1,
	}
	record := func(n int64) ocr2.Record {
		answer := new(big.Int).Mul(big.NewInt(n), power(10, 30))
		if n%2 != 0 {
			answer.Neg(answer)
		}
		return ocr2.Record{Slot: 1000 + uint64(n), Time: time.Unix(1700000000+n, 0).UTC(), Answer: answer}
	}
	want := ocr2.Transmissions{
		FeedHeader: header, Live: []ocr2.Record{record(6), record(7), record(8), record(4), record(5)},
		Historical: []ocr2.Record{record(8), record(4), record(6)},
	}
	if diff := cmp.Diff(want, got, compareBig); diff != "" {
		t.Errorf("ParseTransmissions (-want +got):\n%s", diff)
	}
	if short, err := ocr2.ParseFeedHeader(data[:160]); err != nil || short != header {
		t.Errorf("ParseFeedHeader = %+v, %v", short, err)
	}
	if at := header.LatestOffset(); at != 200+48*2 {
		t.Errorf("the newest record is at %d", at)
	}
	if _, latest, err := ocr2.ParseLatest(data); err != nil || cmp.Diff(record(8), latest, compareBig) != "" {
		t.Errorf("ParseLatest = %+v, %v", latest, err)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	v := load(t)
	report, err := ocr2.BuildReport([]ocr2.Observation{
		{Time: 1700000030, Value: big.NewInt(-7), JuelsPerFeeCoin: big.NewInt(5), Observer: 3},
		{Time: 1700000010, Value: big.NewInt(900), JuelsPerFeeCoin: big.NewInt(70000000000), Observer: 0},
		{Time: 1700000020, Value: big.NewInt(-1000), JuelsPerFeeCoin: big.NewInt(9), Observer: 12},
		{Time: 1700000040, Value: power(10, 25), JuelsPerFeeCoin: big.NewInt(6), Observer: 1},
	})
	if err != nil || hex.EncodeToString(report) != v.Report {
		t.Errorf("BuildReport = %x, %v, want %s", report, err, v.Report)
	}
	got, err := ocr2.ParseReport(unhex(t, v.Report))
	want := ocr2.Report{Time: 1700000030, Observers: []uint8{12, 3, 0, 1}, Median: big.NewInt(900),
		JuelsPerFeeCoin: big.NewInt(9)}
	if err != nil || cmp.Diff(want, got, compareBig) != "" {
		t.Errorf("ParseReport = %+v, %v", got, err)
	}
}

// TestReportsOfTies compares reports of equal times, values and juels with the bytes that the established node makes of
// them, for every number of oracles. They depend on each swap of Go's sort.Slice: if a release of Go changes those,
// nodes built with it make other reports than the rest, and this test fails.
func TestReportsOfTies(t *testing.T) {
	t.Parallel()
	var cases [][2]json.RawMessage
	if err := json.Unmarshal(file(t, "reports.json"), &cases); err != nil {
		t.Fatal(err)
	}
	sizes := map[int]int{}
	for _, c := range cases {
		var (
			drawn [][4]int64
			want  string
		)
		if err := errors.Join(json.Unmarshal(c[0], &drawn), json.Unmarshal(c[1], &want)); err != nil {
			t.Fatal(err)
		}
		sizes[len(drawn)]++
		var observations []ocr2.Observation
		for _, o := range drawn {
			observations = append(observations, ocr2.Observation{
				Time: uint32(o[0]), Value: big.NewInt(o[1]), JuelsPerFeeCoin: big.NewInt(o[2]), Observer: uint8(o[3]),
			})
		}
		if report, err := ocr2.BuildReport(observations); err != nil || hex.EncodeToString(report) != want {
			t.Errorf("time, value, juels and observer %v: %x, %v, want %s", drawn, report, err, want)
		}
	}
	for n := 4; n <= ocr2.MaxOracles; n++ {
		if sizes[n] == 0 {
			t.Errorf("no report of %d observations is tried", n)
		}
	}
}

func TestTransmitInstruction(t *testing.T) {
	t.Parallel()
	v := load(t)
	instruction, err := ocr2.Contract{Program: program, State: v.StateKey, Feed: v.FeedKey,
		Store: store}.Transmit(v.Transmitter, contextOf(t, v), unhex(t, v.Report), signatures(t, v))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(instruction.DataBytes); got != v.Instruction {
		t.Errorf("data\n%s, want\n%s", got, v.Instruction)
	}
	want := sol.AccountMetaSlice{
		{PublicKey: v.StateKey, IsWritable: true}, {PublicKey: v.Transmitter, IsSigner: true},
		{PublicKey: v.FeedKey, IsWritable: true}, {PublicKey: store},
		{PublicKey: v.StoreAuthority},
		{PublicKey: sol.MustPublicKeyFromBase58("Sysvar1nstructions1111111111111111111111111")},
	}
	if diff := cmp.Diff(want, instruction.AccountValues); diff != "" || instruction.ProgID != program {
		t.Errorf("program %s, accounts (-want +got):\n%s", instruction.ProgID, diff)
	}
	for name, change := range map[string]func(report []byte, signatures [][]byte) ([]byte, [][]byte){
		"no signature":    func(r []byte, _ [][]byte) ([]byte, [][]byte) { return r, nil },
		"short signature": func(r []byte, s [][]byte) ([]byte, [][]byte) { return r, append(s, make([]byte, 64)) },
		"Bitcoin's v":     func(r []byte, s [][]byte) ([]byte, [][]byte) { s[0][64] = 27; return r, s },
		"short report":    func(r []byte, s [][]byte) ([]byte, [][]byte) { return r[1:], s },
		"too many":        func(r []byte, s [][]byte) ([]byte, [][]byte) { return r, append(s, make([][]byte, 14)...) },
	} {
		report, signed := change(unhex(t, v.Report), signatures(t, v))
		if _, err := (ocr2.Contract{Program: program}).Transmit(v.Transmitter, contextOf(t, v), report, signed); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func signatures(t testing.TB, v vectors) (all [][]byte) {
	for _, s := range v.Signatures {
		all = append(all, unhex(t, s))
	}
	return all
}

func contextOf(t testing.TB, v vectors) (words [3][32]byte) {
	words[0], words[2] = [32]byte(unhex(t, v.Digest)), [32]byte(counted(32))
	copy(words[1][27:], []byte{1, 2, 3, 4, 5})
	return words
}

func TestEvent(t *testing.T) {
	t.Parallel()
	v := load(t)
	want := ocr2.NewTransmission{
		RoundID: 78, Digest: [32]byte(unhex(t, v.Digest)), Answer: new(big.Int).Neg(power(10, 30)), Transmitter: 3,
		Time:      1700000030,
		Observers: []uint8{12, 3, 0, 1}, JuelsPerLamport: 9, Reimbursement: 1<<63 + 1,
	}
	for _, line := range []string{v.Event, strings.Replace(v.Event, "Program data", "Program log", 1)} {
		got, found, err := ocr2.ParseLog(line)
		if err != nil || !found || cmp.Diff(want, got, compareBig) != "" {
			t.Errorf("ParseLog = %+v, %t, %v", got, found, err)
		}
	}
	for _, line := range []string{"", "Program log: Instruction: Submit", "Program data: AAAA",
		"Program data: " + strings.Repeat("A", 136), v.Event[1:]} {
		if _, found, err := ocr2.ParseLog(line); found || err != nil {
			t.Errorf("%q is an event: %v", line, err)
		}
	}
	crowded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(v.Event, "Program data: "))
	if err != nil {
		t.Fatal(err)
	}
	crowded[65] = ocr2.MaxOracles + 1
	if _, err := ocr2.ParseNewTransmission(crowded); err == nil {
		t.Error("an event of more observers than there can be is taken")
	}
	if _, found, err := ocr2.ParseLog(v.Event[:len("Program data: ")+12]); !found || err == nil {
		t.Errorf("an event that is cut off: %t, %v", found, err)
	}
}

func TestRefusalNames(t *testing.T) {
	t.Parallel()
	for code, want := range map[uint64]string{6003: "StaleReport", 6014: "UnauthorizedTransmitter", 6000: "Unauthorized",
		5999: "", 6015: "", 1: ""} {
		if got := ocr2.Refusal(code); got != want {
			t.Errorf("%d is %q, want %q", code, got, want)
		}
	}
}
