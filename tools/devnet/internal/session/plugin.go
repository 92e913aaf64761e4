package session

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/loop-plugins/loop/tools/devnet/internal/node"
)

// medianPlugin is what --plugin calls the plugin of the product; that of the chain has the chain's name, or relayer: and its relay.
const medianPlugin = "median"

// relayName is what a relayer may call itself.
var relayName = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)

// ownPlugins are the plugins that the user has in place of devnet's: commands as nodes read them, by the plugins' names. relay is the
// relay of the chain's relayer.
func ownPlugins(config Config, chain string) (own map[string]string, relay string, err error) {
	switch {
	case len(config.Plugins) == 0:
		return nil, chain, nil
	case config.InProcess:
		return nil, "", errors.New("--plugin names the command of a process, and with --in-process plugins have none; choose one of them")
	case len(config.Langs) > 0:
		return nil, "", errors.New("--plugin names a plugin for all nodes, and --langs gives them others in turn; choose one of them")
	}
	own, relay = map[string]string{}, chain
	for _, given := range config.Plugins {
		name, command, _ := strings.Cut(given, "=")
		named := name
		if other, ok := strings.CutPrefix(name, "relayer:"); ok && relayName.MatchString(other) && other != medianPlugin {
			name, relay = other, other
		}
		command = strings.TrimSpace(command)
		switch {
		case command == "":
			return nil, "", fmt.Errorf("--plugin %q names no command; write one as in --plugin median=./loop-my-median", given)
		case name == named && name != medianPlugin && name != chain:
			return nil, "", fmt.Errorf("--plugin names %q; the plugins of a feed on the chain %s are %s and %s, or for a relayer of another relay relayer:RELAY", name, chain, medianPlugin, chain)
		case own[name] != "":
			return nil, "", fmt.Errorf("--plugin names %s twice; name each plugin once", name)
		}
		found, err := anywhere(command)
		if err != nil {
			return nil, "", fmt.Errorf("--plugin %s: %w", name, err)
		}
		own[name] = found
	}
	return own, relay, nil
}

// anywhere writes a command so that it starts the same program from every folder: nodes run in folders of their own. What
// follows the program is left to the node to read.
func anywhere(command string) (string, error) {
	program, rest := command, ""
	if quote := command[0]; quote == '\'' || quote == '"' {
		end := strings.IndexByte(command[1:], quote)
		if end < 0 {
			return "", errors.New("the quote at the beginning of the command is not closed; close it")
		}
		program, rest = command[1:1+end], command[2+end:]
	} else if end := strings.IndexAny(command, " \t\n"); end > 0 {
		program, rest = command[:end], command[end:]
	}
	found, err := exec.LookPath(program)
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return "", fmt.Errorf("look for the program %q: %w; build it, or correct its path", program, cmp.Or(errors.Unwrap(err), err))
	}
	return node.Word(found) + rest, nil
}

// programs are those of devnet's folder that the session starts.
func (n *network) programs() []string {
	needed := []string{"loop"}
	if n.config.InProcess {
		return needed
	}
	if n.own[medianPlugin] == "" {
		needed = append(needed, "loop-median")
	}
	if n.own[n.relay] == "" {
		needed = append(needed, n.kind.relayer)
	}
	return needed
}
