//go:build !linux

package hosts

import (
	"errors"
	"os"
)

// Network is only on Linux, which has network namespaces.
type Network struct{}

// Start says that there is none.
func Start(int, uint64) (*Network, error) {
	return nil, errors.New("--hosts makes network namespaces and TUN devices, which only Linux has")
}

// The rest is never called.
func (*Network) Close() error               { return nil }
func (*Network) Set([]*Condition)           {}
func (*Network) Namespace(int) *os.File     { return nil }
func (*Network) Address(int) string         { return "" }
func (*Network) Move(int) error             { return nil }
func (*Network) Publish(int, int) error     { return nil }
func (*Network) URL(string) (string, error) { return "", nil }
