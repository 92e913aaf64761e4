package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Warning is a key of the configuration file that changes nothing.
type Warning struct {
	File string
	Line int
	Key  string
	// Why says why it changes nothing, and what to set in its place where there is something.
	Why string
}

// Place is the file and the line, as errors have them.
func (w Warning) Place() string { return fmt.Sprintf("%s:%d", w.File, w.Line) }

// String is the warning as one sentence.
func (w Warning) String() string {
	return fmt.Sprintf("%s: %s has no effect: %s", w.Place(), w.Key, w.Why)
}

// idle are keys of the established node that this one takes and does not heed, so that a file that serves there serves
// here. A key that is heeded is a field of the configuration and stands in no list.
type idle struct {
	keys []string // by path below the chain's table
	// why they change nothing, as the second half of a sentence.
	why string
	// off marks switches that are taken only while they are false: under true the node would do another thing than it
	// was told.
	off bool
}

// idleKeys are by full path without indexes.
var idleKeys = func() map[string]idle {
	all := map[string]idle{}
	for family, list := range map[string][]idle{"EVM": evmIdle, "Solana": solanaIdle, "Starknet": starknetIdle} {
		for _, idle := range list {
			for _, key := range idle.keys {
				all[family+"."+key] = idle
			}
		}
	}
	return all
}()

// idleKey finds a key whatever its letter case, as the decoder finds fields, and returns it as it is usually written.
func idleKey(path string) (idle, string, bool) {
	for name, key := range idleKeys {
		if strings.EqualFold(name, path) {
			return key, name, true
		}
	}
	return idle{}, "", false
}

// belongs reports whether a path is that of a table or of something in it.
func belongs(path, table string) bool {
	if len(path) < len(table) || !strings.EqualFold(path[:len(table)], table) {
		return false
	}
	return len(path) == len(table) || path[len(table)] == '.'
}

// idleNames are the idle keys and the tables with idle keys that stand directly in a table.
func idleNames(table string) []string {
	var names []string
	for path := range idleKeys {
		if belongs(path, table) && len(path) > len(table) {
			name, _, _ := strings.Cut(path[len(table)+1:], ".")
			names = append(names, name)
		}
	}
	return names
}

// notBound judges what the decoder has no field for: idle keys are warned of, and all others are problems.
func (c *Config) notBound(p *problems, missing *toml.DecodeError) {
	path := strings.Join(missing.Key(), ".")
	expected := false
	for name := range idleKeys {
		expected = expected || belongs(name, path)
	}
	if !expected {
		line, _ := missing.Position()
		p.list = append(p.list, unknownKey(missing.Key(), line))
		return
	}
	// Of a table that it has no field for, the decoder names nothing that is in it.
	for _, entry := range p.index.Entries() {
		parts := pathParts(entry.Path)
		plain, folded := strings.Join(parts, "."), strings.ToLower(entry.Path)
		switch entry.Kind {
		case unstable.Table, unstable.ArrayTable, unstable.InlineTable:
			continue // what is in it has entries of its own
		}
		if !belongs(plain, path) || strings.HasSuffix(entry.Path, "]") || p.reported[folded] {
			continue
		}
		p.reported[folded] = true
		switch key, name, ok := idleKey(plain); {
		case !ok:
			p.list = append(p.list, unknownKey(parts, entry.Line))
		case key.off && entry.True:
			text := "this cannot be true here: " + key.why
			p.list = append(p.list, problem{line: entry.Line, key: name, text: text})
		default:
			c.Warnings = append(c.Warnings, Warning{File: p.file, Line: entry.Line, Key: name, Why: key.why})
		}
	}
}
