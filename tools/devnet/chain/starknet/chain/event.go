package chain

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/loop-plugins/loop/plugins/stark"
)

// Limits of a filter.
const (
	maxChunk = 1024
	maxKeys  = 256
)

// Filter chooses events.
type Filter struct {
	From    *BlockID  `json:"from_block"`
	To      *BlockID  `json:"to_block"`
	Address Addresses `json:"address"`
	// Keys has, for each position, the allowed keys; none means any.
	Keys  [][]stark.Felt `json:"keys"`
	Chunk int            `json:"chunk_size"`
	Token *string        `json:"continuation_token"`
}

// Addresses are the addresses of contracts; none means any. Nodes accept a list of them from 0.10 on.
type Addresses []stark.Felt

// UnmarshalJSON implements json.Unmarshaler.
func (a *Addresses) UnmarshalJSON(text []byte) error {
	var one *stark.Felt
	if err := json.Unmarshal(text, &one); err != nil {
		return json.Unmarshal(text, (*[]stark.Felt)(a))
	}
	if *a = nil; one != nil {
		*a = Addresses{*one}
	}
	return nil
}

// Page is a page of events, and what asks for the next; empty: there is none.
type Page struct {
	Events []Event `json:"events"`
	Token  string  `json:"continuation_token,omitempty"`
}

// Events gives a page of the events that a filter chooses, in the order of the chain.
func (v View) Events(f Filter) (Page, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	keys := 0
	for _, place := range f.Keys {
		keys += max(len(place), 1)
	}
	switch {
	case len(f.Address) > 1 && v.version != Version10:
		return Page{}, invalid("address must be one")
	case f.Chunk < 1:
		return Page{}, invalid("chunk_size must be at least 1")
	case f.Chunk > maxChunk:
		return Page{}, Fail(CodePageTooBig)
	case keys > maxKeys:
		return Page{}, Fail(CodeTooManyKeys)
	}
	first, last := v.chain.blocks[0], v.latest()
	for _, end := range []struct {
		id    *BlockID
		found **block
	}{{f.From, &first}, {f.To, &last}} {
		if end.id == nil {
			continue
		}
		b, _, failure := v.find(*end.id)
		if failure != nil {
			return Page{}, failure
		}
		*end.found = b
	}
	start := position{block: first.number}
	if f.Token != nil {
		var ok bool
		// The block of the page before may have been completed meanwhile.
		pending := f.From != nil && f.From.tag == v.version.PreConfirmed()
		if start, ok = parsePosition(*f.Token); !ok || start.block > last.number || start.block < first.number && !pending {
			return Page{}, Fail(CodeInvalidToken)
		}
	}
	page := Page{Events: []Event{}}
	for number := start.block; number <= last.number; number++ {
		b := last
		if number < last.number {
			b = v.chain.blocks[number]
		}
		index := 0
		for place, t := range b.transactions {
			for i, e := range t.events {
				at := position{number, index}
				index++
				if number == start.block && at.index < start.index || !f.takes(e) {
					continue
				}
				if len(page.Events) == f.Chunk {
					page.Token = at.String()
					return page, nil
				}
				shown := Event{From: e.from, Keys: e.Keys, Data: e.Data, Transaction: &t.hash}
				shown.BlockHash, shown.BlockNumber = v.where(b)
				if v.version == Version10 {
					shown.Place, shown.Index = &place, &i
				}
				page.Events = append(page.Events, shown)
			}
		}
	}
	return page, nil
}

func (f Filter) takes(e emitted) bool {
	if len(f.Address) > 0 && !slices.Contains(f.Address, e.from) {
		return false
	}
	for i, place := range f.Keys {
		if len(place) > 0 && (i >= len(e.Keys) || !slices.Contains(place, e.Keys[i])) {
			return false
		}
	}
	return true
}

// position is that of an event: which in which block. It is what a continuation token says.
type position struct {
	block uint64
	index int
}

func (p position) String() string { return fmt.Sprintf("%d-%d", p.block, p.index) }

func parsePosition(token string) (p position, ok bool) {
	n, err := fmt.Sscanf(token, "%d-%d", &p.block, &p.index)
	return p, err == nil && n == 2 && p.index >= 0 && p.String() == token
}
