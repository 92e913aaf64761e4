package web

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/loop-plugins/loop/host/internal/peer"
)

// peerOf asks the kernel who connected. Plugins run as the node's own user too: the node's descendants are recognised
// by their parents.
func peerOf(c net.Conn) Peer {
	caller, err := peer.Of(c)
	if err != nil {
		return Peer{UID: -1, PID: -1, Refusal: fmt.Sprintf("the kernel does not say who calls: %v", err)}
	}
	p := Peer{UID: caller.UID, PID: caller.PID}
	switch {
	case p.UID == 0 && os.Geteuid() != 0: // it could do anything to the node
	case p.UID != os.Geteuid():
		p.Refusal = fmt.Sprintf("this socket is for the node's own user and root, not for user %d", p.UID)
	default:
		child, err := descends(p.PID)
		if err != nil {
			p.Refusal = fmt.Sprintf("whether process %d is a plugin's cannot be told: %v", p.PID, err)
		} else if child {
			p.Refusal = fmt.Sprintf("process %d comes of the node, as plugins do, and they do not administer it", p.PID)
		}
	}
	return p
}

// descends reports whether this process is among a process's parents. One of another container has no number here, and
// none of these parents.
func descends(pid int) (bool, error) {
	for first := true; pid > 1; first = false {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if !first && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)) {
			return false, nil // it has ended, or is another user's and hidden: what comes of the node is neither
		}
		if err != nil {
			return false, err
		}
		// The second field is the program's name in brackets and may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			return false, fmt.Errorf("/proc/%d/stat is not what it should be", pid)
		}
		if pid, err = strconv.Atoi(string(fields[1])); err != nil {
			return false, err
		}
		if pid == os.Getpid() {
			return true, nil
		}
	}
	return false, nil
}
