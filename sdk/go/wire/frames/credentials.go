package frames

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
)

// Credentials are those of a gRPC server that serves frames on the same socket, with the same certificate: connections
// whose callers ask for frames go to s, and all others stay with gRPC. At most MaxStrangers shake hands at a time.
func Credentials(config *tls.Config, s *Server) credentials.TransportCredentials {
	config = agreed(config)
	return &dispatching{TransportCredentials: credentials.NewTLS(config), config: config, server: s}
}

// agreed is a configuration that offers frames and HTTP/2.
func agreed(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{Protocol, "h2"}
	config.DynamicRecordSizingDisabled = true // frames are written in few large pieces
	return config
}

type dispatching struct {
	credentials.TransportCredentials
	config    *tls.Config
	server    *Server
	strangers Strangers
}

// ServerHandshake implements credentials.TransportCredentials.
func (d *dispatching) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	d.strangers.Enter(raw)
	conn := tls.Server(quick(raw), d.config)
	err := conn.Handshake() // gRPC has set a deadline
	if !d.strangers.Leave(raw) && err == nil {
		err = net.ErrClosed // at the last moment it made room for another
	}
	if err != nil {
		_ = conn.Close() // the handshake's error is told
		return nil, nil, err
	}
	state := conn.ConnectionState()
	switch state.NegotiatedProtocol {
	case Protocol:
		d.server.Serve(conn)
		return nil, nil, credentials.ErrConnDispatched
	case "h2":
		return conn, credentials.TLSInfo{State: state,
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
	}
	_ = conn.Close() // nobody is there to talk to
	return nil, nil, fmt.Errorf("the caller speaks neither %s nor h2", Protocol)
}

// Clone implements credentials.TransportCredentials.
func (d *dispatching) Clone() credentials.TransportCredentials {
	return Credentials(d.config, d.server)
}

// ErrNone means that the other side does not serve frames.
var ErrNone = errors.New("the other side does not serve " + Protocol)

// Dial connects to a server of frames. It returns ErrNone if the server has only gRPC.
func Dial(ctx context.Context, network, address string, config *tls.Config) (net.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(quick(raw), agreed(config))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error is told
		return nil, err
	}
	if conn.ConnectionState().NegotiatedProtocol != Protocol {
		_ = conn.Close() // it has nothing to say
		return nil, ErrNone
	}
	return conn, nil
}
