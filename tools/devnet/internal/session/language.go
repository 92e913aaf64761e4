package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/internal/node"
)

// Language is the record of the plugins of one language in a session.
type Language struct {
	// Nodes is how many nodes ran them.
	Nodes int `json:"nodes"`
	// Observations counts the rounds that each of these nodes observed, among those that ended in a transmission.
	// LeastObservations is the count of the node with the fewest.
	Observations      int `json:"observations"`
	LeastObservations int `json:"least_observations"`
	// Transmissions counts those that these nodes sent.
	Transmissions int `json:"transmissions"`
}

// language is how the plugins of one language are started: commands, as nodes read them.
type language struct{ name, product, relayer string }

// findLanguages finds the plugins of the languages that the user chose. Those in Python are where make puts them: in
// .venv beside the folder of the programs. A plugin of the user's takes the place of devnet's.
func findLanguages(config Config, chosen plugins, found binaries) ([]language, error) {
	golang := language{
		"go", cmp.Or(chosen.own[chosen.agreeing], node.Word(found.median)),
		cmp.Or(chosen.own[chosen.relay], node.Word(found.relayer)),
	}
	if len(config.Langs) == 0 {
		return []language{golang}, nil
	}
	if config.InProcess {
		return nil, errors.New("--langs chooses the languages of plugin processes, and with --in-process there are none; " +
			"choose one of them")
	}
	var languages []language
	for _, name := range config.Langs {
		if slices.ContainsFunc(languages, func(l language) bool { return l.name == name }) {
			return nil, fmt.Errorf("--langs names %s twice; name each language once", name)
		}
		switch name {
		case "go":
			languages = append(languages, golang)
		case "python":
			if config.Chain != chainEVM {
				return nil, fmt.Errorf("--langs names python, but the relayer in Python is for EVM chains and --chain is %s; "+
					"leave one of them out", config.Chain)
			}
			bin := filepath.Join(filepath.Dir(filepath.Dir(found.node)), ".venv", "bin")
			median, relayer := filepath.Join(bin, "loop-median-python"), filepath.Join(bin, "loop-relayer-python")
			for _, file := range []string{median, relayer} {
				if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
					return nil, fmt.Errorf("--langs names python, but %s is not there: run `make python`",
						filepath.Join(".venv", "bin", filepath.Base(file)))
				} else if err != nil {
					return nil, fmt.Errorf("look for the program %s: %w", file, err)
				}
			}
			languages = append(languages, language{"python", node.Word(median), node.Word(relayer)})
		default:
			return nil, fmt.Errorf("--langs names %q; the languages are go and python", name)
		}
	}
	return languages, nil
}

// countLanguages counts what the plugins of each language did, if the user chose languages.
func (n *network) countLanguages(ctx context.Context) error {
	if len(n.config.Langs) == 0 {
		return nil
	}
	n.mu.Lock()
	taken := slices.Clone(n.taken)
	n.mu.Unlock()
	counted := map[string]*Language{}
	for i, m := range n.members {
		name := n.languages[i%len(n.languages)].name
		l := counted[name]
		if l == nil {
			l = &Language{LeastObservations: len(taken)}
			counted[name] = l
		}
		l.Nodes++
		observations := 0
		for _, t := range taken {
			if n.nameOf(t.Transmitter) == m.Name() {
				l.Transmissions++
			}
			round := node.Round{ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round}
			values, _, err := m.observations(ctx, round, time.Unix(int64(t.ObservationsTimestamp), 0))
			if err != nil {
				return err
			}
			if len(values) > 0 {
				observations++
			}
		}
		l.Observations += observations
		l.LeastObservations = min(l.LeastObservations, observations)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.result.Languages = counted
	return nil
}
