package ocr2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	sol "github.com/gagliardetto/solana-go"
)

// Offsets of a Transmissions account (programs/store/src/state.rs of chainlink-solana).
const (
	// RecordLength is the length of a record of the ring.
	RecordLength = 48

	feedVersion      = 2
	feedHeaderLength = 160
	ringAt           = 200 // the header has a room of 192 bytes behind the discriminator
)

// FeedHeader is the beginning of a Transmissions account.
type FeedHeader struct {
	Owner, Writer     sol.PublicKey
	Flagged           bool
	Description       string
	Decimals          uint8
	FlaggingThreshold uint32
	// LatestRoundID counts records; 0 means none.
	LatestRoundID uint32
	// Granularity is how many rounds make one record of the historical ring.
	Granularity uint8
	// LiveLength is the length of the live ring in records, and LiveCursor where its next record goes.
	LiveLength, LiveCursor uint32
	// HistoricalCursor is where the next record of the historical ring goes.
	HistoricalCursor uint32
}

// Record is one answer.
type Record struct {
	Slot   uint64
	Time   time.Time
	Answer *big.Int
}

// Transmissions is a whole account.
type Transmissions struct {
	FeedHeader
	// Live is the live ring in the account's order, and Historical the ring of every so many rounds.
	Live, Historical []Record
}

// ParseFeedHeader reads the beginning of a Transmissions account: 160 bytes or more.
func ParseFeedHeader(data []byte) (FeedHeader, error) {
	if len(data) < feedHeaderLength {
		return FeedHeader{}, fmt.Errorf("the Transmissions account has %d bytes, and its header alone takes %d; check that "+
			"it is a feed of the store", len(data), feedHeaderLength)
	}
	if want := discriminator("account", "Transmissions"); [discriminatorLength]byte(data) != want {
		return FeedHeader{}, fmt.Errorf("the account begins with %x, and a feed of the store with %x; check the job's "+
			"transmissionsID", data[:discriminatorLength], want)
	}
	if data[8] != feedVersion {
		return FeedHeader{}, fmt.Errorf("the Transmissions account has version %d, and only %d is known", data[8],
			feedVersion)
	}
	h := FeedHeader{
		Flagged: data[9] != 0, Owner: key(data[10:]), Writer: key(data[74:]),
		Description: string(bytes.TrimRight(data[106:138], "\x00")),
		Decimals:    data[138], FlaggingThreshold: binary.LittleEndian.Uint32(data[139:]),
		LatestRoundID: binary.LittleEndian.Uint32(data[143:]),
		Granularity:   data[147], LiveLength: binary.LittleEndian.Uint32(data[148:]),
		LiveCursor:       binary.LittleEndian.Uint32(data[152:]),
		HistoricalCursor: binary.LittleEndian.Uint32(data[156:]),
	}
	if h.LiveLength == 0 || h.LiveCursor >= h.LiveLength {
		return FeedHeader{}, fmt.Errorf("the Transmissions account says that its next record goes to %d of %d", h.LiveCursor,
			h.LiveLength)
	}
	return h, nil
}

// Latest returns the index of the newest record in the live ring.
func (h FeedHeader) Latest() uint32 {
	if h.LiveCursor == 0 {
		return h.LiveLength - 1
	}
	return h.LiveCursor - 1
}

// LatestOffset returns the offset of the newest record in the account, in bytes.
func (h FeedHeader) LatestOffset() uint64 { return ringAt + uint64(h.Latest())*RecordLength }

// ParseRecord reads one record: RecordLength bytes.
func ParseRecord(data []byte) (Record, error) {
	if len(data) != RecordLength {
		return Record{}, fmt.Errorf("a record of the feed has %d bytes, want %d: the account ends before its ring does",
			len(data), RecordLength)
	}
	return Record{
		Slot: binary.LittleEndian.Uint64(data), Time: time.Unix(int64(binary.LittleEndian.Uint32(data[8:])), 0).UTC(),
		Answer: int128(data[16:]),
	}, nil
}

// NoRecord is the answer of a feed without rounds.
func NoRecord() Record { return Record{Time: time.Unix(0, 0).UTC(), Answer: new(big.Int)} }

// ParseTransmissions reads a whole account.
func ParseTransmissions(data []byte) (Transmissions, error) {
	header, err := checkFeed(data)
	if err != nil {
		return Transmissions{}, err
	}
	t := Transmissions{FeedHeader: header}
	for at := ringAt; at < len(data); at += RecordLength {
		record, err := ParseRecord(data[at : at+RecordLength])
		if err != nil {
			return Transmissions{}, err
		}
		if uint64(len(t.Live)) < uint64(header.LiveLength) {
			t.Live = append(t.Live, record)
		} else {
			t.Historical = append(t.Historical, record)
		}
	}
	return t, nil
}

// ParseLatest reads only the header and the newest record of a whole account.
func ParseLatest(data []byte) (FeedHeader, Record, error) {
	header, err := checkFeed(data)
	if err != nil {
		return FeedHeader{}, Record{}, err
	}
	if header.LatestRoundID == 0 {
		return header, NoRecord(), nil
	}
	record, err := ParseRecord(data[header.LatestOffset() : header.LatestOffset()+RecordLength])
	return header, record, err
}

// checkFeed reads the header of a whole account, and checks it against the account's length.
func checkFeed(data []byte) (FeedHeader, error) {
	header, err := ParseFeedHeader(data)
	switch {
	case err != nil:
		return FeedHeader{}, err
	case len(data) < ringAt || (len(data)-ringAt)%RecordLength != 0:
		return FeedHeader{}, fmt.Errorf("the Transmissions account has %d bytes, which is not a whole number of records",
			len(data))
	case uint64(header.LiveLength) > uint64(len(data)-ringAt)/RecordLength:
		return FeedHeader{}, fmt.Errorf("the Transmissions account has %d bytes and says that it holds %d live records",
			len(data), header.LiveLength)
	case uint64(header.HistoricalCursor) > uint64(len(data)-ringAt)/RecordLength-uint64(header.LiveLength):
		return FeedHeader{}, fmt.Errorf("the Transmissions account says that its next historical record goes to %d, beyond "+
			"its end", header.HistoricalCursor)
	}
	return header, nil
}
