package relayer

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxValue is the largest value that the Store takes, in bytes (store.proto).
const maxValue = 64 << 10

// itemRecord is an Item as the Store keeps it. Its key holds the rest of the Item.
type itemRecord struct {
	Payload  []byte    `json:"payload,omitempty"`
	Accepted time.Time `json:"accepted"`
	// Done marks a report whose transaction is final although the contract does not show it (it reverted): it is kept,
	// without its payload, until the contract shows a newer one, so that a repeated Add has no effect.
	Done bool `json:"done,omitempty"`
}

// flightRecord is one sequence number in use. Its existence is what takes the number, and its removal what frees the
// item.
type flightRecord struct {
	// Item is the key of the report; empty for a payload of the flight's own.
	Item string `json:"item,omitempty"`
	// Payload is set by Submit alone.
	Payload  []byte    `json:"payload,omitempty"`
	Attempts []Attempt `json:"attempts"`
	// Abandoned: the payload must not be sent any more; only a filler may take the number.
	Abandoned bool `json:"abandoned,omitempty"`
}

// entry is a record with the version under which the Store holds it.
type entry[R any] struct {
	key     string
	version uint64
	record  R
}

// shelf reads and writes the records of one account.
type shelf struct {
	store  hostservicev1.StoreServiceClient
	prefix string // ends with a slash
	logger *slog.Logger
}

func newShelf(store hostservicev1.StoreServiceClient, account string, logger *slog.Logger) shelf {
	return shelf{store: store, prefix: "transmit/" + account + "/", logger: logger}
}

func (s shelf) itemKey(i Item) string {
	return fmt.Sprintf("%sitem/%s/%x/%08x/%02x", s.prefix, i.Contract, i.Digest, i.Epoch, i.Round)
}

func (s shelf) flightKey(sequence uint64) string {
	return fmt.Sprintf("%sflight/%016x", s.prefix, sequence) // fixed width: List answers in the order of bytes
}

func (s shelf) parseItem(key string) (Item, error) {
	parts := strings.Split(strings.TrimPrefix(key, s.prefix+"item/"), "/")
	if len(parts) != 4 {
		return Item{}, fmt.Errorf("key %q has %d parts, want contract, digest, epoch and round", key, len(parts))
	}
	item := Item{Contract: parts[0]}
	digest, err := hex.DecodeString(parts[1])
	if err != nil || len(digest) != len(item.Digest) {
		return Item{}, fmt.Errorf("key %q has no digest of 32 bytes", key)
	}
	copy(item.Digest[:], digest)
	epoch, err := strconv.ParseUint(parts[2], 16, 32)
	if err != nil {
		return Item{}, fmt.Errorf("key %q has no epoch: %w", key, err)
	}
	round, err := strconv.ParseUint(parts[3], 16, 8)
	if err != nil {
		return Item{}, fmt.Errorf("key %q has no round: %w", key, err)
	}
	item.Epoch, item.Round = uint32(epoch), uint8(round)
	return item, nil
}

// put writes a record over the version that the entry was read at and keeps the new version in the entry.
func put[R any](ctx context.Context, s shelf, e *entry[R]) error {
	value, err := json.Marshal(e.record)
	if err != nil {
		return fmt.Errorf("encode %s: %w", e.key, err)
	}
	if len(value) > maxValue {
		return status.Errorf(codes.InvalidArgument, "the record %s takes %d bytes and the store holds %d", e.key, len(value),
			maxValue)
	}
	response, err := s.store.Put(ctx, &hostservicev1.PutRequest{Key: e.key, Value: value, ExpectedVersion: e.version})
	if err != nil {
		return fmt.Errorf("put %s in the store: %w", e.key, err)
	}
	e.version = response.GetVersion()
	return nil
}

func (s shelf) remove(ctx context.Context, key string, version uint64) error {
	if _, err := s.store.Delete(ctx, &hostservicev1.DeleteRequest{Key: key, ExpectedVersion: version}); err != nil {
		return fmt.Errorf("delete %s from the store: %w", key, err)
	}
	return nil
}

// load reads all records of the account. An item that cannot be decoded is skipped and stays: it must not hold up all
// others. A flight that cannot is an error: without it a number could be taken twice.
func (s shelf) load(ctx context.Context) (items []*queued, flights []*flight, err error) {
	token := ""
	for {
		page, err := s.store.List(ctx, &hostservicev1.ListRequest{Prefix: s.prefix, PageToken: token})
		if err != nil {
			return nil, nil, fmt.Errorf("list %s in the store: %w", s.prefix, err)
		}
		for _, e := range page.GetEntries() {
			switch {
			case strings.HasPrefix(e.GetKey(), s.prefix+"item/"):
				q := &queued{entry: entry[itemRecord]{key: e.GetKey(), version: e.GetVersion()}}
				if q.item, err = s.parseItem(e.GetKey()); err == nil {
					err = json.Unmarshal(e.GetValue(), &q.record)
				}
				if err != nil {
					s.logger.Error("a report in the store cannot be decoded and is not sent", "key", e.GetKey(), "error", err)
					continue
				}
				q.item.Payload = q.record.Payload
				items = append(items, q)
			case strings.HasPrefix(e.GetKey(), s.prefix+"flight/"):
				f := &flight{entry: entry[flightRecord]{key: e.GetKey(), version: e.GetVersion()}}
				if f.sequence, err = strconv.ParseUint(strings.TrimPrefix(e.GetKey(), s.prefix+"flight/"), 16, 64); err != nil {
					return nil, nil, fmt.Errorf("key %q in the store has no sequence number: %w", e.GetKey(), err)
				}
				if err := json.Unmarshal(e.GetValue(), &f.record); err != nil {
					return nil, nil, fmt.Errorf("decode %s from the store: %w", e.GetKey(), err)
				}
				if len(f.record.Attempts) == 0 {
					return nil, nil, fmt.Errorf("%s in the store has no attempt", e.GetKey())
				}
				flights = append(flights, f)
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			return items, flights, nil
		}
	}
}
