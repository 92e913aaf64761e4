package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// starting are the faults that end the start of a node. Each make prepares one that was never started.
func starting() chapter {
	plugin := func(script string) func(*scene) {
		return func(s *scene) { s.environ("CL_MEDIAN_CMD=" + s.script("plugin", script)) }
	}
	return chapter{
		title: "A node that does not start",
		about: "`loop node start` ends with this sentence on stderr, and with the exit code. `loop node check` finds " +
			"problems of the configuration and the plugins without a start.",
		faults: []fault{
			{
				name: "a key of the configuration is misspelled",
				make: func(s *scene) { s.node.config += "\n[JobPipeline]\nMaxRunDuratoin = \"1m\"\n" },
				says: says{exit: 2, stderr: "loop: …node.toml:…: JobPipeline.MaxRunDuratoin: unknown key; did you mean " +
					"MaxRunDuration?"},
				todo: "correct the line; loop node config prints every key",
			},
			{
				name: "the file of the password is not there",
				make: func(s *scene) { s.remove("password") },
				says: says{exit: 2, stderr: "loop: …node.toml:…: Keystore.PasswordFile: reading the keystore's password: …no " +
					"such file or directory"},
				todo: "name a file that the node's user can read, or set CL_PASSWORD_KEYSTORE",
			},
			{
				name: "the password is another",
				make: func(s *scene) {
					s.node.start(s.t)
					s.node.stop(s.t)
					s.node.write(s.t, "password", "wrong\n")
				},
				says: says{exit: 1, stderr: "loop: open keystore: the password does not open this node's keys: give the one " +
					"that this database was first started with"},
				todo: "give the password that the database was first started with",
			},
			{
				name: "another node runs on the database",
				make: func(s *scene) {
					s.node.start(s.t)
					s.node.http, s.node.peers = ports.Address(s.t), ports.Address(s.t)
				},
				says: says{exit: 1, stderr: `loop: open database "…loop.db": another node (process …) is using it: stop that ` +
					`node or choose another file`},
				todo: "stop the other node: two nodes must never run on one database or on copies of it",
			},
			{
				name: "the port of HTTP is in use",
				make: func(s *scene) { s.node.http = s.company[0].http },
				says: says{exit: 1, stderr: "loop: listening on … failed: …address already in use; end what holds the port or " +
					"set [WebServer] HTTPPort"},
				todo: "end the process that holds the port, or set another port",
			},
			{
				name: "the port of peers is in use",
				make: func(s *scene) { s.node.peers = s.company[0].peers },
				says: says{exit: 1, stderr: "loop: …address already in use…[P2P.V2] ListenAddresses…"},
				todo: "end the process that holds the port, or set another port by [P2P.V2] ListenAddresses",
			},
			{
				name: "the folder of the database is a file",
				make: func(s *scene) { s.node.write(s.t, "root", "") },
				says: says{exit: 1, stderr: "loop: …not a directory…"},
				todo: "set RootDir to a folder that the node's user may write to",
			},
			{
				name: "a plugin's command names no program",
				make: func(s *scene) { s.environ("CL_MEDIAN_CMD=/nowhere/loop-median") },
				says: says{exit: 3, stderr: `loop: plugin median: starting "/nowhere/loop-median" failed: …no such file or ` +
					`directory; check CL_MEDIAN_CMD`},
				todo: "set the variable to the plugin's program, as an absolute path",
			},
			{
				name: "a plugin's program is not executable",
				make: func(s *scene) { s.environ("CL_MEDIAN_CMD=" + s.node.write(s.t, "plain", "#!/bin/sh\n")) },
				says: says{exit: 3, stderr: `loop: plugin median: starting "…plain" failed: it is not executable: chmod +x it ` +
					`(permission denied); check CL_MEDIAN_CMD`},
				todo: "chmod +x it",
			},
			{
				name: "a plugin's program is none",
				make: plugin("echo Welcome to my shell; sleep 60"),
				says: says{exit: 3, stderr: `loop: plugin median: "…plugin" printed "Welcome to my shell" where a plugin ` +
					`prints its handshake: it is not a LOOP plugin; check CL_MEDIAN_CMD`},
				todo: "name a LOOP plugin's program",
			},
			{
				name: "a plugin's program says nothing",
				make: plugin("sleep 60"),
				says: says{exit: 3, stderr: `loop: plugin median: "…plugin" printed no handshake within 30s: it is not a LOOP ` +
					`plugin, or too slow (it sleeps, after … on a processor and … of waiting for one); check CL_MEDIAN_CMD`},
				todo: "name a LOOP plugin's program; if it is one, see what it waits for: one in Go or Python has written its " +
					"stacks to the log",
			},
			{
				name: "a plugin is of another kind",
				make: func(s *scene) { s.environ("CL_MEDIAN_CMD=" + filepath.Join(s.bin, "loop-evm")) },
				says: says{exit: 3, stderr: `loop: plugin median: "…loop-evm" ended before its handshake (exit status 1; it ` +
					`said: …); check CL_MEDIAN_CMD`},
				todo: "name a program of the right kind",
			},
			{
				name: "a plugin is another runtime's",
				make: func(s *scene) {
					s.environ("CL_MEDIAN_CMD=" + s.script("plugin", "export "+wire.CookieKey+"=other; exec "+
						""+filepath.Join(s.bin, "loop-median")))
				},
				says: says{exit: 3, stderr: `loop: plugin median: "…plugin" ended before its handshake (exit status 1; it ` +
					`said: …); check CL_MEDIAN_CMD`},
				todo: "name a LOOP plugin's program: this one expects another magic cookie",
			},
			{
				name: "a plugin ends at each start",
				make: plugin("echo 'no licence for this machine' >&2; exit 7"),
				says: says{exit: 3, stderr: `loop: plugin median: "…plugin" ended before its handshake (exit status 7; it ` +
					`said: no licence for this machine); check CL_MEDIAN_CMD`},
				todo: "fix the problem that the plugin states",
			},
			{
				name: "a plugin is not the build that is pinned",
				make: func(s *scene) {
					s.environ("CL_MEDIAN_CMD="+filepath.Join(s.bin, "loop-median"), "CL_MEDIAN_SHA256="+strings.Repeat("0", 64))
				},
				says: says{exit: 3, stderr: "loop: plugin median: …loop-median has the SHA-256 checksum … and is pinned to " +
					"0000000000000000000000000000000000000000000000000000000000000000: install the build that is pinned, or pin " +
					"this one; check CL_MEDIAN_CMD"},
				todo: "install the build that is pinned, or pin this one",
			},
		},
	}
}

// environ adds to the environment of the row's node.
func (s *scene) environ(variables ...string) {
	s.node.environment = append(s.node.environment, variables...)
}

// script writes a program of the shell into the row's folder.
func (s *scene) script(name, text string) string {
	file := filepath.Join(s.node.dir, name)
	if err := executable.Write(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// remove removes a file of the row's folder.
func (s *scene) remove(name string) {
	if err := os.Remove(filepath.Join(s.node.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

// runStarting runs each on a node of its own. Some take their time to end, and all may at once.
func runStarting(t *testing.T, n *network) {
	for _, f := range starting().faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := &scene{t: t, network: n, node: newNode(t, n.bin)}
			s.node.config = chainConfig(n.chain.HTTPURL())
			f.make(s)
			s.node.configure(t)
			s.tells(f, "", "node", "start")
		})
	}
}
