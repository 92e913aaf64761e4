package process

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// attached is a process of somebody else's, which a host calls and does not end.
type attached struct {
	pid    int
	family *family
	done   chan struct{}
	once   sync.Once
}

// Attach connects to a plugin that somebody has started with --debug, by the file that the plugin has written. The host
// does not see the end of that process and must poll it. Only the settings Name, Kind, Hint and GRPC count.
func Attach(ctx context.Context, s Settings, file string) (*Process, error) {
	say := func(err error) error {
		return fmt.Errorf("plugin %s: attaching to the process of %s failed: %w; start the plugin with --debug, and %s",
			s.Name, file, err, s.Hint)
	}
	a, err := wire.ReadAttachment(file)
	if err != nil {
		return nil, say(err)
	}
	if a.Kind != s.Kind.Name || a.ProtocolVersion != s.Kind.ProtocolVersion {
		return nil, say(fmt.Errorf("it is a %s of protocol version %d, not a %s of %d", a.Kind, a.ProtocolVersion,
			s.Kind.Name, s.Kind.ProtocolVersion))
	}
	pair, err := tls.X509KeyPair([]byte(a.HostCertificatePEM), []byte(a.HostKeyPEM))
	if err != nil {
		return nil, say(errors.New("the host's key in the file does not parse"))
	}
	config, err := wire.ClientTLS(pair, []byte(a.CertificatePEM))
	if err != nil {
		return nil, say(err)
	}
	p := &Process{attached: &attached{pid: a.PID, family: newFamily(a.PID, "", nil), done: make(chan struct{})}}
	if err := p.connect(ctx, a.Address, config, s); err != nil {
		if p.Conn != nil {
			_ = p.Conn.Close()
		}
		return nil, say(ofClocks(err))
	}
	return p, nil
}

// Attached reports whether somebody else started the process. Such a process is not killed, and may pause in a debugger
// for any time.
func (p *Process) Attached() bool { return p.attached != nil }

// letGo ends the connection, and with it what the host sees of the process.
func (p *Process) letGo() {
	p.attached.once.Do(func() {
		_ = p.Conn.Close() // a host can do nothing about an error
		close(p.attached.done)
	})
}
