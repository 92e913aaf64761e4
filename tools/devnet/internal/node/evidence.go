package node

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver of the node's database
)

// Unfinished is what the relayers of a node have in its Store, which survives them and the node.
type Unfinished struct {
	// Reports were accepted, and are not seen yet to have landed or to be stale.
	Reports []Round
	// Numbers are the numbers of the transactions that are signed and not final, by account.
	Numbers map[string][]uint64
}

// Done says whether nothing is left to do.
func (u Unfinished) Done() bool { return len(u.Reports) == 0 && len(u.Numbers) == 0 }

// Unfinished reads the Store out of the node's database, whether the node runs or not. Relayers that keep their Store
// in another way than sdk/go/relayer are passed over.
func (n *Node) Unfinished(ctx context.Context) (Unfinished, error) {
	file := filepath.Join(n.settings.Dir, "root", "loop.db")
	found, err := readStore(ctx, file)
	if err != nil {
		return Unfinished{}, fmt.Errorf("read the Store of %s in %s: %w", n.Name(), file, err)
	}
	return found, nil
}

// storeKey is the key of a record of sdk/go/relayer: the account, then what it is of.
var storeKey = regexp.MustCompile(
	`^transmit/([^/]+)/(?:item/[^/]+/([0-9a-f]{64})/([0-9a-f]{8})/([0-9a-f]{2})|flight/([0-9a-f]{16}))$`)

func readStore(ctx context.Context, file string) (_ Unfinished, err error) {
	found := Unfinished{Numbers: map[string][]uint64{}}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return found, nil // the node has not made its database yet
	}
	// Only read: whoever closes a database as the last of its writers rewrites it.
	source := url.URL{Scheme: "file", Path: file, RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, "SELECT entry_key, content FROM store_entries ORDER BY entry_key")
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, content []byte
		if err := rows.Scan(&key, &content); err != nil {
			return found, err
		}
		if err := found.add(string(key), content); err != nil {
			return found, fmt.Errorf("entry %q: %w", key, err)
		}
	}
	return found, rows.Err()
}

func (u *Unfinished) add(key string, content []byte) error {
	parts := storeKey.FindStringSubmatch(key)
	if parts == nil {
		return nil
	}
	if parts[5] != "" {
		number, err := strconv.ParseUint(parts[5], 16, 64)
		if err != nil {
			return err
		}
		u.Numbers[parts[1]] = append(u.Numbers[parts[1]], number)
		return nil
	}
	var record struct{ Done bool }
	if err := json.Unmarshal(content, &record); err != nil {
		return err
	}
	if record.Done {
		return nil // its transaction is final, and was reverted
	}
	round, err := roundOf(parts[2], parts[3], parts[4], 16)
	if err != nil {
		return err
	}
	u.Reports = append(u.Reports, round)
	return nil
}

// roundOf reads a round from texts. A digest may be empty.
func roundOf(digest, epoch, number string, base int) (Round, error) {
	var round Round
	if _, err := hex.Decode(round.ConfigDigest[:], []byte(digest)); err != nil {
		return Round{}, err
	}
	e, err := strconv.ParseUint(epoch, base, 32)
	if err != nil {
		return Round{}, err
	}
	r, err := strconv.ParseUint(number, base, 8)
	if err != nil {
		return Round{}, err
	}
	round.Epoch, round.Round = uint32(e), uint8(r)
	return round, nil
}

// Tale is what a node's log says about reports, in the order of time and over all generations of the node.
type Tale struct {
	// Accepted were handed to the relayer, which answered that it has them.
	Accepted []Round
	// Ended are the reports whose relayer said what became of them, without their configuration.
	Ended []Round
	// Restored are the numbers of the outcomes from which the node continued after its starts, as found in its
	// database. Only OCR3 has them.
	Restored []uint64
}

// Tale reads the node's log.
func (n *Node) Tale() (Tale, error) {
	log, err := os.Open(n.LogFile())
	if err != nil {
		return Tale{}, fmt.Errorf("read which reports %s accepted: %w", n.Name(), err)
	}
	defer log.Close()
	told, err := tale(log)
	if err != nil {
		return Tale{}, fmt.Errorf("read which reports %s accepted from its log: %w", n.Name(), err)
	}
	return told, nil
}

var (
	// accepted is what the node says when the relayer has answered that it has a report in the Store. To contracts and
	// relayers of OCR2 the number of an outcome of OCR3 is an epoch, of which there is one round.
	accepted = regexp.MustCompile(
		`msg="a report was handed to the relayer" .*\bdigest=([0-9a-f]{64}) epoch=([0-9]+) round=([0-9]+)\b`)
	// restored is what OCR3 says when it begins.
	restored = regexp.MustCompile(`successfully restored cert" .*\bcertTimestamp="?\{SeqNr:([0-9]+)\b`)
	// ended is what sdk/go/relayer says of a report that it has finished, with its fields in any order.
	ended      = regexp.MustCompile(`msg="a transmission ended" `)
	endedEpoch = regexp.MustCompile(` epoch=([0-9]+)\b`)
	endedRound = regexp.MustCompile(` round=([0-9]+)\b`)
)

func tale(log io.Reader) (Tale, error) {
	var told Tale
	for lines := bufio.NewReader(log); ; {
		line, readErr := lines.ReadString('\n')
		err := told.add(line)
		switch {
		case err != nil:
			return Tale{}, fmt.Errorf("line %.200q: %w", line, err)
		case errors.Is(readErr, io.EOF):
			return told, nil
		case readErr != nil:
			return Tale{}, readErr
		}
	}
}

// add takes what a line tells.
func (t *Tale) add(line string) error {
	if parts := accepted.FindStringSubmatch(line); parts != nil {
		round, err := roundOf(parts[1], parts[2], parts[3], 10)
		t.Accepted = append(t.Accepted, round)
		return err
	}
	if parts := restored.FindStringSubmatch(line); parts != nil {
		number, err := strconv.ParseUint(parts[1], 10, 64)
		t.Restored = append(t.Restored, number)
		return err
	}
	at := ended.FindStringIndex(line)
	if at == nil {
		return nil
	}
	rest := line[at[1]-1:]
	epoch, number := endedEpoch.FindStringSubmatch(rest), endedRound.FindStringSubmatch(rest)
	if epoch == nil || number == nil {
		return nil
	}
	round, err := roundOf("", epoch[1], number[1], 10)
	t.Ended = append(t.Ended, round)
	return err
}

// handing is what libocr says before it hands a report to the relayer, in its debug lines: see Settings.Debug.
var handing = []string{`msg="eventTTransmitTimeout: Transmitting"`, `msg="transmitting report"`}

// logPeriod is how often a log is looked at by somebody who waits for a line.
const logPeriod = time.Millisecond

// AwaitHandOver waits until the node begins to hand a report to its relayer, and says whether it did before ctx was
// over.
func (n *Node) AwaitHandOver(ctx context.Context) bool {
	log, err := os.Open(n.LogFile())
	if err != nil {
		return false
	}
	defer log.Close()
	if _, err := log.Seek(0, io.SeekEnd); err != nil {
		return false
	}
	ticker := time.NewTicker(logPeriod)
	defer ticker.Stop()
	var line string // so far
	for lines := bufio.NewReader(log); ; {
		part, err := lines.ReadString('\n')
		line += part
		switch {
		case slices.ContainsFunc(handing, func(said string) bool { return strings.Contains(line, said) }):
			return true
		case err == nil:
			line = ""
			continue
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

// LogFile is where the node's log is.
func (n *Node) LogFile() string { return filepath.Join(n.settings.Dir, "node.log") }
