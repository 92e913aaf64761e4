//go:build unix && !linux

package process

import "os/exec"

// TellsMemory reports whether this machine can tell how much memory a process takes. Only Linux can, in /proc.
func TellsMemory() bool { return false }

// table and family are not known outside Linux: there a process's group is all that is known of its descendants.
type table struct{}

type family struct{}

func newFamily(int, string, *Starter) *family { return nil }

func (*family) resident() uint64 { return 0 }

func (*family) kill() {}

// Adopt does nothing. Only Linux lets a process adopt others.
func (*Starter) Adopt() error { return nil }

// wait waits for a process to end and then calls endOthers. Outside Linux the process's id may be used again by then.
func wait(cmd *exec.Cmd, endOthers func()) error {
	err := cmd.Wait()
	endOthers()
	return err
}
