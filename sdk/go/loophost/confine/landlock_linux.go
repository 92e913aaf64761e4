package confine

import (
	"golang.org/x/sys/unix"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine/stage"
)

// What rules allow. Nothing that can be written can be executed.
const (
	readFiles   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	executeThem = readFiles | unix.LANDLOCK_ACCESS_FS_EXECUTE
	writeThem   = readFiles | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
)

// handled are the kinds of access to files that a version of Landlock knows, of those that this package knows.
func handled(abi int) uint64 {
	switch {
	case abi >= 5:
		return 1<<16 - 1 // with ioctl on devices
	case abi >= 3:
		return 1<<15 - 1 // with truncation
	case abi == 2:
		return 1<<14 - 1 // with links and renames between folders
	}
	return 1<<13 - 1
}

// rules tell a stage its ruleset, which allows nothing if there is no launch.
func (c *Confinement) rules(b *script, l *Launch) {
	var network, scopes uint64
	if c.abi >= 4 && c.needs.Connect != nil {
		network = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if c.abi >= 6 {
		scopes = unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	b.line(stage.Ruleset, handled(c.abi), network, scopes)
	if l == nil {
		return
	}
	const firstExtra = 3
	for at := range l.Pinned {
		b.line(stage.Open, executeThem, firstExtra+at)
	}
	for _, r := range c.paths(*l) {
		b.line(stage.Beneath, r.access, r.path)
	}
	if network != 0 {
		for _, port := range c.needs.Connect {
			b.line(stage.Port, unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, port)
		}
	}
}
