package config

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// maxFileSize bounds what Load reads: a path that names a device or a database by mistake must not fill the memory.
const maxFileSize = 1 << 20

// Load reads the file at path or, if that is empty, the one that CL_CONFIG names; if there is neither, the defaults
// hold. The environment has the form of os.Environ, without CL_PASSWORD_KEYSTORE, whose value is password; nil if it is
// not set. Built-in plugins, named in lower case, need no command. The error joins all problems of the file and of the
// environment, each with its file and line if it has one.
//
// If the error names problems, Load also returns the configuration as far as it could be read, so that CheckChains can
// add the problems that relayers find. It returns no configuration if the file cannot be read to its end.
func Load(path string, environ []string, password []byte, builtIn ...string) (*Config, error) {
	all := variables(environ)
	config, err := read(path, all, builtIn)
	if err != nil {
		return nil, err
	}
	config.resolve(all, password)
	return config, config.problems.err()
}

// Read is like Load, for commands that start no node. It leaves settings that only a node needs as they are in the
// file: it looks for no folder and no database, and reads no password.
func Read(path string, environ []string, builtIn ...string) (*Config, error) {
	config, err := read(path, variables(environ), builtIn)
	if err != nil {
		return nil, err
	}
	return config, config.problems.err()
}

// Socket returns the path of the unix socket on which a node with this configuration serves its operators. It reads the
// file that CL_CONFIG names, if any. Problems in other tables are not errors, since operators use a running node to
// find what is wrong.
func Socket(environ []string, builtIn ...string) (string, error) {
	all := variables(environ)
	config, err := read("", all, builtIn)
	if err != nil {
		return "", err
	}
	config.resolveRootDir(all)
	config.resolveSocket()
	for _, problem := range config.problems.file.List() {
		if table, _, inside := strings.Cut(problem.Path, "."); !inside || strings.EqualFold(table, "WebServer") {
			return "", config.problems.err()
		}
	}
	return config.WebServer.Socket, nil
}

// read is the part of Load that depends only on the file and the variables. It returns an error only if the file cannot
// be read to its end; other problems are among the configuration's.
func read(path string, all map[string]string, builtIn []string) (*Config, error) {
	config := Default()
	p := &config.problems
	environment := readEnvironment(p, all, builtIn)
	config.Environment = environment

	p.name = cmp.Or(path, environment.ConfigPath)
	config.Environment.ConfigPath = p.name
	var chains, rules []keys.Table
	if p.name != "" {
		text, err := readFile(p.name)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration file: %w; check --config and CL_CONFIG", err)
		}
		text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // some editors mark UTF-8 so
		var elsewhere []string
		for _, table := range keys.Cut(text, others) {
			if name, _, list := strings.Cut(table.Path, "["); list {
				chains, elsewhere = append(chains, table), append(elsewhere, name)
			} else {
				rules, elsewhere = append(rules, table), append(elsewhere, table.Path)
			}
		}
		found, whole := document.Read(text, config, document.Settings{Elsewhere: elsewhere, Idle: idle})
		p.file = *found
		if !whole {
			return nil, p.err()
		}
	}
	config.check(p)
	config.readRules(rules, builtIn)
	config.readChains(chains)
	config.Warnings = p.warnings()
	return config, nil
}

// idle are keys of established nodes without an effect.
var idle = []document.Idle{{
	Keys: []string{"OCR2.CaptureEATelemetry"},
	Why: "this node sends no telemetry of its bridges; the metrics loop_bridge_requests_total and " +
		"loop_bridge_request_duration_seconds tell of them",
}}

var (
	chainTable = regexp.MustCompile(`^([A-Za-z0-9_-]+)\[[0-9]+\]$`)
	rulesTable = regexp.MustCompile(`^(?i:plugins)\.([A-Za-z0-9_-]+)$`)
)

// others returns the tables that are not the node's own: those of chains and of plugins.
func others(path string) bool {
	if parts := chainTable.FindStringSubmatch(path); parts != nil {
		return !hasField(fieldNames(), parts[1])
	}
	parts := rulesTable.FindStringSubmatch(path)
	return parts != nil && !hasField(document.Keys(Plugins{}), parts[1])
}

// fieldNames are the node's own keys at the top of the file.
func fieldNames() []string { return document.Keys(Config{}) }

func hasField(fields []string, name string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return strings.EqualFold(field, name) })
}

// othersRead is the permission of others to read a file.
const othersRead = 0o004

// resolve fills in what depends on the environment and on other files.
func (c *Config) resolve(all map[string]string, password []byte) {
	p := &c.problems
	c.resolveRootDir(all)
	c.resolveSocket()

	switch address := c.Database.URL.Reveal(); {
	case address == "":
		c.Database.Path = filepath.Join(c.RootDir, "loop.db")
	case strings.HasPrefix(address, "sqlite:"):
		c.Database.Path = strings.TrimPrefix(strings.TrimPrefix(address, "sqlite:"), "//")
		if c.Database.Path == "" {
			p.add("Database.URL", "sqlite: names no file; write sqlite:/path/to/loop.db")
		}
	case scheme.MatchString(address):
		// Only the scheme is shown: the rest holds a user and a password.
		kind, _, _ := strings.Cut(address, ":")
		p.add("Database.URL", "%q is not a database that this node can use; give sqlite:PATH or the path of a file", kind)
	default:
		c.Database.Path = address
	}

	switch {
	case len(password) > 0:
		c.Keystore.Password = newPassword(password)
	case c.Keystore.PasswordFile == "":
		p.add("Keystore.PasswordFile",
			"the keystore has no password; name a file with it here, or set the environment variable CL_PASSWORD_KEYSTORE")
	default:
		if info, err := os.Stat(c.Keystore.PasswordFile); err == nil && info.Mode()&othersRead != 0 {
			p.file.Warn("Keystore.PasswordFile", "every user of this machine can read %s; chmod it to 600",
				c.Keystore.PasswordFile)
			c.Warnings = p.warnings()
		}
		text, err := readFile(c.Keystore.PasswordFile)
		if err != nil {
			p.add("Keystore.PasswordFile", "reading the keystore's password: %v", err)
			return
		}
		c.Keystore.Password = newPassword(bytes.TrimRight(text, "\r\n"))
		if c.Keystore.Password.IsEmpty() {
			p.add("Keystore.PasswordFile", "%s holds no password", c.Keystore.PasswordFile)
		}
	}
}

func (c *Config) resolveRootDir(all map[string]string) {
	p, home, data := &c.problems, all["HOME"], all["XDG_DATA_HOME"]
	switch rest, tilde := strings.CutPrefix(c.RootDir, "~/"); {
	case tilde && home != "":
		c.RootDir = filepath.Join(home, rest)
	case c.RootDir == "" && filepath.IsAbs(data): // a relative one must be ignored, says the XDG specification
		c.RootDir = filepath.Join(data, "loop")
	case c.RootDir == "" && home != "":
		c.RootDir = filepath.Join(home, ".local", "share", "loop")
	case c.RootDir == "" || tilde:
		p.add("RootDir", "the home folder is unknown since HOME is not set; give RootDir as an absolute path")
	default:
		if absolute, err := filepath.Abs(c.RootDir); err != nil {
			p.add("RootDir", "making %q absolute: %v", c.RootDir, err)
		} else {
			c.RootDir = absolute
		}
	}
}

// longestSocket is the longest path of a socket that every system takes, in bytes.
const longestSocket = 103

func (c *Config) resolveSocket() {
	p := &c.problems
	if c.WebServer.Socket == "" {
		c.WebServer.Socket = filepath.Join(c.RootDir, "loop.sock")
		if len(c.WebServer.Socket) > longestSocket {
			p.add("WebServer.Socket",
				"the default %s is too long for a socket: it has %d bytes of at most %d; name a shorter path",
				c.WebServer.Socket, len(c.WebServer.Socket), longestSocket)
		}
		return
	}
	absolute, err := filepath.Abs(c.WebServer.Socket)
	if err != nil {
		p.add("WebServer.Socket", "making %q absolute: %v", c.WebServer.Socket, err)
		return
	}
	c.WebServer.Socket = absolute
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() || info.Size() > maxFileSize {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", path, maxFileSize)
	}
	return os.ReadFile(path)
}
