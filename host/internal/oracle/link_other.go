//go:build !linux

package oracle

// boundSilence does nothing: libocr hands its sockets to nobody, and only Linux lets a process find them. The kernel's
// own retransmission decides there for how long a connection is taken for good.
func boundSilence(string) error { return nil }
