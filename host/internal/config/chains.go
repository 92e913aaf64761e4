package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// Chain is one table of a list that belongs to a relayer. The node reads what it needs itself; the rest is for the
// relayer.
type Chain struct {
	// Section is the list's name as in the file. It selects a relayer regardless of letter case.
	Section string
	// ID is the chain's id, ChainID.
	ID string
	// Enabled is true unless the table says otherwise.
	Enabled bool
	// Accounts are the accounts that the relayer may use to sign on the chain; none means all of its kind.
	Accounts []string

	path string // of the table
	text document.Secret
}

// TOML returns the whole table as a document, as its relayer reads it. It may hold secrets: never log it.
func (c Chain) TOML() []byte { return []byte(c.text.Reveal()) }

// Relayer checks the chains of its section.
type Relayer interface {
	// Section is how operators write the name of the relayer's tables.
	Section() string
	// ValidateChain reports what is wrong with a table, and what an operator should know although nothing is wrong, by
	// paths from the table that lead somewhere. It may take as long as ctx allows.
	ValidateChain(ctx context.Context, toml []byte) (problems, warnings []document.Problem, err error)
}

// CheckChains lets the relayers, which must be all of the node's, check the chains. The error joins their problems with
// those of Load, each with its line. A chain for which no relayer has a section is a problem.
func (c *Config) CheckChains(ctx context.Context, relayers []Relayer) error {
	p := &c.problems
	var failures []error
	for _, chain := range c.Chains {
		at := slices.IndexFunc(relayers, func(r Relayer) bool { return strings.EqualFold(r.Section(), chain.Section) })
		if at < 0 {
			p.add(chain.path, "%s", noRelayer(chain.Section, relayers))
			continue
		}
		found, warnings, err := relayers[at].ValidateChain(ctx, chain.TOML())
		if err != nil {
			failures = append(failures, fmt.Errorf("checking %s: %w", chain.path, err))
			continue
		}
		p.file.Include(chain.path, found)
		for _, warning := range warnings {
			p.file.Warn(document.Under(chain.path, warning.Path), "%s", warning.Text)
		}
	}
	c.Warnings = p.warnings()
	return errors.Join(append(failures, p.err())...)
}

// noRelayer is what is wrong with a list of tables that is not a relayer's.
func noRelayer(section string, relayers []Relayer) string {
	known := fieldNames()
	for _, r := range relayers {
		known = append(known, r.Section())
	}
	if near := document.DidYouMean(section, known); near != "" {
		return "unknown key" + near
	}
	return "no relayer of this node has such tables; remove it, or start the relayer that has by a variable CL_<NAME>_CMD"
}

// readChains reads what the node needs of the tables of chains.
func (c *Config) readChains(tables []keys.Table) {
	p, seen := &c.problems, map[string]bool{}
	for _, table := range tables {
		own := struct {
			ChainID  string
			Enabled  bool
			Accounts []string
		}{Enabled: true}
		found, _ := document.Read(table.Text, &own, document.Settings{Open: true})
		p.file.Include(table.Path, found.List())
		section, _, _ := strings.Cut(table.Path, "[")
		id := strings.ToLower(section) + "/" + own.ChainID
		switch {
		case own.ChainID == "":
			p.add(table.Path+".ChainID", "every chain needs a ChainID")
		case seen[id]:
			p.add(table.Path+".ChainID", "%s chain %q is configured twice; merge the two entries", section, own.ChainID)
		}
		seen[id] = true
		c.Chains = append(c.Chains, Chain{
			Section: section, ID: own.ChainID, Enabled: own.Enabled, Accounts: own.Accounts,
			path: table.Path, text: document.NewSecret(string(table.Text)),
		})
	}
}

// problems are those of the file, of the files that the environment names and of the environment itself.
type problems struct {
	name string // of the file
	file document.Problems
	// elsewhere are those of other files and of variables.
	elsewhere []placed
}

type placed struct {
	place string // a file or the name of a variable
	line  int
	text  string
}

// add adds a problem of the key at a path of the configuration file.
func (p *problems) add(path, format string, arguments ...any) { p.file.Add(path, format, arguments...) }

// addAt adds a problem outside the configuration file.
func (p *problems) addAt(place string, line int, format string, arguments ...any) {
	p.elsewhere = append(p.elsewhere, placed{place: place, line: line, text: fmt.Sprintf(format, arguments...)})
}

func (p *problems) warnings() []Warning {
	var all []Warning
	for _, warning := range p.file.Warnings() {
		all = append(all, Warning{File: p.name, Line: warning.Line, Key: warning.Path, Text: warning.Text})
	}
	return all
}

// err joins the problems: those of the file by line, then those of the environment.
func (p *problems) err() error {
	var all []placed
	for _, problem := range p.file.List() {
		all = append(all, placed{place: p.name, line: problem.Line, text: problem.String()})
	}
	slices.SortStableFunc(p.elsewhere, func(a, b placed) int {
		return cmp.Or(strings.Compare(a.place, b.place), cmp.Compare(a.line, b.line))
	})
	var errs []error
	for _, found := range append(all, p.elsewhere...) {
		place := found.place
		if found.line > 0 {
			place = fmt.Sprintf("%s:%d", place, found.line)
		}
		if place != "" {
			place += ": "
		}
		errs = append(errs, errors.New(place+found.text))
	}
	return errors.Join(errs...)
}
