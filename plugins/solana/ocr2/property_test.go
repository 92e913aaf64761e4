package ocr2_test

import (
	"encoding/binary"
	"math/big"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/plugins/solana/ocr2"
)

// ring is the store's account as the program keeps it, by offsets.
type ring struct {
	data        []byte
	live, total uint32
	granularity uint32
}

func newRing(live, historical uint32, granularity uint8) *ring {
	r := &ring{data: make([]byte, 200+48*(live+historical)), live: live, total: live + historical,
		granularity: uint32(granularity)}
	copy(r.data, []byte{0x60, 0xb3, 0x45, 0x42, 0x80, 0x81, 0x49, 0x75, 2})
	r.data[147] = granularity
	binary.LittleEndian.PutUint32(r.data[148:], live)
	return r
}

func (r *ring) at(offset int) uint32 { return binary.LittleEndian.Uint32(r.data[offset:]) }

func (r *ring) write(slot uint64, seconds uint32, answer int64) {
	put := func(index uint32) {
		record := r.data[200+48*index:]
		binary.LittleEndian.PutUint64(record, slot)
		binary.LittleEndian.PutUint32(record[8:], seconds)
		binary.LittleEndian.PutUint64(record[16:], uint64(answer))
		binary.LittleEndian.PutUint64(record[24:], uint64(answer>>63)) // the sign goes on
	}
	round := r.at(143) + 1
	binary.LittleEndian.PutUint32(r.data[143:], round)
	put(r.at(152))
	binary.LittleEndian.PutUint32(r.data[152:], (r.at(152)+1)%r.live)
	if historical := r.total - r.live; historical > 0 && round%r.granularity == 0 {
		put(r.live + r.at(156))
		binary.LittleEndian.PutUint32(r.data[156:], (r.at(156)+1)%historical)
	}
}

// TestRingAgainstModel writes rounds as the program does and finds the newest by both ways of reading.
func TestRingAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := newRing(rapid.Uint32Range(1, 6).Draw(t, "live"), rapid.Uint32Range(0, 4).Draw(t, "historical"),
			rapid.Uint8Range(1, 5).Draw(t, "granularity"))
		want := ocr2.NoRecord()
		var written []ocr2.Record
		for range rapid.IntRange(0, 20).Draw(t, "rounds") {
			slot, seconds, answer := rapid.Uint64().Draw(t, "slot"), rapid.Uint32().Draw(t, "time"), rapid.Int64().Draw(t,
				"answer")
			r.write(slot, seconds, answer)
			want = ocr2.Record{Slot: slot, Time: time.Unix(int64(seconds), 0).UTC(), Answer: big.NewInt(answer)}
			written = append(written, want)
		}
		header, got, err := ocr2.ParseLatest(r.data)
		if err != nil || int(header.LatestRoundID) != len(written) || cmp.Diff(want, got, compareBig) != "" {
			t.Fatalf("ParseLatest = %+v, %+v, %v; want %+v", header, got, err, want)
		}
		all, err := ocr2.ParseTransmissions(r.data)
		if err != nil || len(all.Live) != int(r.live) || len(all.Historical) != int(r.total-r.live) {
			t.Fatalf("ParseTransmissions = %+v, %v", all, err)
		}
		for age := range min(len(written), int(r.live)) { // the ring holds the last rounds, the newest before the cursor
			index := (int(header.LiveCursor) + 2*int(r.live) - 1 - age) % int(r.live)
			if diff := cmp.Diff(written[len(written)-1-age], all.Live[index], compareBig); diff != "" {
				t.Fatalf("%d rounds back (-want +got):\n%s", age, diff)
			}
		}
		// no part of an account is taken for one, unless all that lacks is a part of the historical ring
		for n := range r.data {
			whole := n >= 200+48*int(r.live) && (n-200)%48 == 0 && int(header.HistoricalCursor) <= (n-200)/48-int(r.live)
			if _, _, err := ocr2.ParseLatest(r.data[:n]); err == nil && !whole {
				t.Fatalf("%d of %d bytes are taken", n, len(r.data))
			}
		}
		if _, _, err := ocr2.ParseLatest(append(slices.Clone(r.data), 0)); err == nil {
			t.Fatal("an account that is a byte too long is taken")
		}
	})
}

// ordered sorts the numbers of observations by a number of each, through the interface that is older than sort.Slice.
type ordered struct {
	observations []int
	by           []int
}

func (o ordered) Len() int           { return len(o.observations) }
func (o ordered) Less(i, j int) bool { return o.by[o.observations[i]] < o.by[o.observations[j]] }
func (o ordered) Swap(i, j int) {
	o.observations[i], o.observations[j] = o.observations[j], o.observations[i]
}

// TestReportAgainstModel draws observations among which equal ones are common, and compares their report with sorts of
// plain numbers.
func TestReportAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, ocr2.MaxOracles).Draw(t, "oracles")
		few := rapid.IntRange(0, 20)
		var times, values, juels, order []int
		var observations []ocr2.Observation
		scale := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 1, 14).Draw(t, "scale"))
		scale.Add(scale, big.NewInt(1))
		value := func(rank int) *big.Int { return new(big.Int).Mul(scale, big.NewInt(int64(rank-10))) }
		for i := range n {
			times, values = append(times, few.Draw(t, "time")), append(values, few.Draw(t, "value"))
			juels, order = append(juels, few.Draw(t, "juels")), append(order, i)
			observations = append(observations, ocr2.Observation{
				Time: uint32(times[i]), Value: value(values[i]), JuelsPerFeeCoin: big.NewInt(int64(juels[i])),
				Observer: uint8(100 + i),
			})
		}
		before := slices.Clone(observations)
		text, err := ocr2.BuildReport(observations)
		if err != nil {
			t.Fatal(err)
		}
		if cmp.Diff(before, observations, compareBig) != "" {
			t.Fatal("BuildReport changed its argument")
		}
		report, err := ocr2.ParseReport(text)
		if err != nil {
			t.Fatal(err)
		}
		var want ocr2.Report
		sort.Sort(ordered{order, times})
		want.Time = uint32(times[order[n/2]])
		sort.Sort(ordered{order, juels})
		want.JuelsPerFeeCoin = big.NewInt(int64(juels[order[n/2]]))
		sort.Sort(ordered{order, values})
		want.Median = value(values[order[n/2]])
		for _, i := range order {
			want.Observers = append(want.Observers, uint8(100+i))
		}
		if diff := cmp.Diff(want, report, compareBig); diff != "" {
			t.Fatalf("report (-want +got):\n%s", diff)
		}
	})
}

func TestBuildReportRefuses(t *testing.T) {
	t.Parallel()
	one := big.NewInt(1)
	for name, o := range map[string][]ocr2.Observation{
		"none":        nil,
		"too many":    make([]ocr2.Observation, 20),
		"no value":    {{JuelsPerFeeCoin: one}},
		"no juels":    {{Value: one}},
		"wide median": {{Value: new(big.Int).Lsh(one, 127), JuelsPerFeeCoin: one}},
		"low median": {{Value: new(big.Int).Sub(new(big.Int).Neg(new(big.Int).Lsh(one, 127)), one),
			JuelsPerFeeCoin: one}},
		"wide juels":     {{Value: one, JuelsPerFeeCoin: new(big.Int).Lsh(one, 63)}},
		"negative juels": {{Value: one, JuelsPerFeeCoin: big.NewInt(-1)}},
	} {
		if report, err := ocr2.BuildReport(o); err == nil {
			t.Errorf("%s: %x", name, report)
		}
	}
	lowest := new(big.Int).Neg(new(big.Int).Lsh(one, 127))
	report, err := ocr2.BuildReport([]ocr2.Observation{{Value: lowest, JuelsPerFeeCoin: one}})
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := ocr2.ParseReport(report); err != nil || parsed.Median.Cmp(lowest) != 0 {
		t.Errorf("the lowest median is read back as %s, %v", parsed.Median, err)
	}
}

func TestStateRefuses(t *testing.T) {
	t.Parallel()
	good := file(t, "state.bin")
	for name, change := range map[string]func([]byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"cut":            func(d []byte) []byte { return d[:len(d)-1] },
		"long":           func(d []byte) []byte { return append(d, 0) },
		"other account":  func(d []byte) []byte { d[0]++; return d },
		"other version":  func(d []byte) []byte { d[8] = 2; return d },
		"many oracles":   func(d []byte) []byte { d[6912] = 20; return d },
		"endless":        func(d []byte) []byte { d[6919] = 0xff; return d },
		"long off-chain": func(d []byte) []byte { d[4472], d[4473] = 1, 16; return d },
	} {
		if _, err := ocr2.ParseState(change(slices.Clone(good))); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for n := range ocr2.HeadLength {
		if _, err := ocr2.ParseHead(good[:n]); err == nil {
			t.Fatalf("%d bytes are a head", n)
		}
	}
}

// FuzzAccounts checks that no account, event or report of a node causes a panic.
func FuzzAccounts(f *testing.F) {
	f.Add(file(f, "state.bin"))
	f.Add(file(f, "transmissions.bin"))
	f.Add(unhex(f, load(f).Report))
	f.Add(newRing(1, 0, 1).data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := ocr2.ParseState(data); err == nil {
			if _, err := s.Config(); err != nil {
				t.Errorf("a state without a configuration: %v", err)
			}
		}
		if head, err := ocr2.ParseHead(data); err == nil && (head.MinAnswer == nil || head.MaxAnswer == nil) {
			t.Error("a head without bounds")
		}
		if header, err := ocr2.ParseFeedHeader(data); err == nil && header.Latest() >= header.LiveLength {
			t.Error("the newest record is beyond the ring")
		}
		if all, err := ocr2.ParseTransmissions(data); err == nil {
			_, latest, err := ocr2.ParseLatest(data)
			if err != nil || all.LatestRoundID > 0 && latest.Answer.Cmp(all.Live[all.Latest()].Answer) != 0 {
				t.Errorf("two readings differ: %v", err)
			}
		}
		if r, err := ocr2.ParseReport(data); err == nil && (r.Median == nil || r.JuelsPerFeeCoin == nil) {
			t.Error("a report without numbers")
		}
		_, _ = ocr2.ParseNewTransmission(data)
		_, _, _ = ocr2.ParseLog("Program data: " + string(data))
	})
}
