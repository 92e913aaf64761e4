package database

import (
	"fmt"
	"testing"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"golang.org/x/sync/errgroup"
)

var (
	testState   = types.PersistentState{Epoch: 3, HighestSentEpoch: 2, HighestReceivedEpoch: []uint32{1, 2, 3, 4}}
	testPending = types.PendingTransmission{Time: time.Unix(1, 0), Report: make([]byte, 289)}
)

// BenchmarkWrites tells what each durability costs on the disk at hand.
func BenchmarkWrites(b *testing.B) {
	d := testOpen(b, testPath(b))
	ctx := b.Context()
	job := testJob(b, d, "a").ID
	o, s := d.OCR2(job), d.Store(Scope{PluginKind: "evm"})
	writes := map[string]func(i int) error{
		"state (flushed)": func(i int) error {
			return o.WriteState(ctx, digestOf(1),
				types.PersistentState{Epoch: uint32(i), HighestReceivedEpoch: testState.HighestReceivedEpoch})
		},
		"certificate (flushed)": func(i int) error {
			return d.OCR3(job).WriteProtocolState(ctx, digestOf(1), "cert", append(testPending.Report, byte(i)))
		},
		"pending (buffered)": func(i int) error {
			return o.StorePendingTransmission(ctx, at(1, uint32(i%100), 0), testPending)
		},
		"put (flushed)": func(i int) error {
			_, err := s.Put(ctx, fmt.Sprintf("%d/%d", b.N, i), testPending.Report, 0)
			return err
		},
		"accepted (buffered)": func(i int) error {
			_, err := d.PutAccepted(ctx, job, at(1, uint32(i), 0), true)
			return err
		},
		"state read": func(int) error { _, err := o.ReadState(ctx, digestOf(1)); return err },
	}
	for name, write := range writes {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i++
				if err := write(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHundredFeeds is one round of a hundred jobs on OCR3 at once: each has two certificates flushed, one after
// the other. A node keeps up with a round a second if an iteration takes less than one.
func BenchmarkHundredFeeds(b *testing.B) {
	const feeds = 100
	for _, size := range []int{4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("certificates of %d KiB", size>>10), func(b *testing.B) {
			d := testOpen(b, testPath(b))
			all := make([]*OCR3, feeds)
			for i := range all {
				all[i] = d.OCR3(testJob(b, d, fmt.Sprint(i)).ID)
			}
			certificate := make([]byte, size)
			for b.Loop() {
				var round errgroup.Group
				for _, feed := range all {
					round.Go(func() error {
						for range 2 {
							if err := feed.WriteProtocolState(b.Context(), digestOf(1), "cert", certificate); err != nil {
								return err
							}
						}
						return nil
					})
				}
				if err := round.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
