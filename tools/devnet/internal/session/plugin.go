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

// medianPlugin is what --plugin calls the plugin of the median; that of the chain has the chain's name, or relayer: and
// its relay.
const medianPlugin = "median"

// pluginName is what a relayer may call itself, and what a product's plugin may be called.
var pluginName = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)

// plugins are those of a session, by the names that nodes know them by.
type plugins struct {
	// own are the user's in place of devnet's: commands as nodes read them.
	own map[string]string
	// relay is the relay of the chain's relayer, which is also its plugin's name, and agreeing the plugin by which the
	// nodes agree: the median, or the product's.
	relay, agreeing string
}

// ownPlugins are the plugins of a session that the user may replace.
func ownPlugins(config Config, chain string) (plugins, error) {
	chosen := plugins{relay: chain, agreeing: medianPlugin}
	flag := "--plugin"
	if config.Product != "" {
		flag = "--product"
	}
	switch {
	case len(config.Plugins) == 0 && config.Product == "":
		return chosen, nil
	case config.InProcess:
		return plugins{}, fmt.Errorf(
			"%s names the command of a process, and with --in-process plugins have none; choose one of them",
			flag,
		)
	case len(config.Langs) > 0:
		return plugins{}, fmt.Errorf(
			"%s names a plugin for all nodes, and --langs gives them others in turn; choose one of them",
			flag,
		)
	}
	chosen.own = map[string]string{}
	for _, given := range config.Plugins {
		name, _, _ := strings.Cut(given, "=")
		named := name
		if other, ok := strings.CutPrefix(name, "relayer:"); ok && pluginName.MatchString(other) && other != medianPlugin {
			name, chosen.relay = other, other
		}
		if name == named && name != medianPlugin && name != chain && strings.Contains(given, "=") {
			return plugins{}, fmt.Errorf(
				"--plugin names %q; the plugins of a feed on the chain %s are %s and %s, or for a relayer of another "+
					"relay relayer:RELAY",
				name, chain, medianPlugin, chain,
			)
		}
		if err := chosen.add("--plugin", given, name); err != nil {
			return plugins{}, err
		}
	}
	if config.Product == "" {
		return chosen, nil
	}
	return chosen, chosen.addProduct(config.Product)
}

// addProduct takes the user's product, in place of the median.
func (p *plugins) addProduct(given string) error {
	name, _, _ := strings.Cut(given, "=")
	switch {
	case p.own[medianPlugin] != "":
		return errors.New("--product takes the place of the median, and --plugin names a command of it; choose one of them")
	case !pluginName.MatchString(name):
		return fmt.Errorf(
			"--product names %q; a plugin's name is a small letter, then small letters and digits, as nodes have it "+
				"in CL_<NAME>_CMD",
			name,
		)
	case name == medianPlugin || name == p.relay:
		return fmt.Errorf(
			"--product names %s, which is another plugin of the nodes; give the product a name of its own", name)
	}
	p.agreeing = name
	return p.add("--product", given, name)
}

// add takes a plugin of the user's, as flag gave it.
func (p plugins) add(flag, given, name string) error {
	_, command, _ := strings.Cut(given, "=")
	command = strings.TrimSpace(command)
	switch {
	case command == "":
		return fmt.Errorf(
			"%s %q names no command; write one as in --plugin median=./loop-my-median or --product "+
				"twap=.venv/bin/loop-twap",
			flag, given,
		)
	case p.own[name] != "":
		return fmt.Errorf("%s names %s twice; name each plugin once", flag, name)
	}
	found, err := anywhere(command)
	if err != nil {
		return fmt.Errorf("%s %s: %w", flag, name, err)
	}
	p.own[name] = found
	return nil
}

// anywhere writes a command so that it starts the same program from every folder: nodes run in folders of their own.
// What follows the program is left to the node to read.
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
		return "", fmt.Errorf("look for the program %q: %w; build it, or correct its path", program,
			cmp.Or(errors.Unwrap(err), err))
	}
	return node.Word(found) + rest, nil
}

// programs are those of devnet's folder that the session starts.
func (n *network) programs() []string {
	needed := []string{"loop"}
	if n.config.InProcess {
		return needed
	}
	if n.own[n.agreeing] == "" {
		needed = append(needed, "loop-median")
	}
	if n.own[n.relay] == "" {
		needed = append(needed, n.kind.relayer)
	}
	return needed
}
