//go:build !linux

package peer

import (
	"errors"
	"net"
)

// Of is not supported here.
func Of(net.Conn) (Credentials, error) { return Credentials{}, errors.ErrUnsupported }
