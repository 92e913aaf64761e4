package wire_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestKeyPair(t *testing.T) {
	t.Parallel()
	p := keyPair(t)
	block, rest := pem.Decode(p.CertificatePEM)
	if block == nil || len(rest) != 0 {
		t.Fatal("the certificate is not one block of PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("the key is %T; BoringSSL wants P-256", c.PublicKey)
	}
	if err := c.VerifyHostname("localhost"); err != nil {
		t.Error(err)
	}
	if from, until := c.NotBefore.Unix(), c.NotAfter.Format(time.RFC3339); from != 0 || until != "9999-12-31T23:59:59Z" {
		t.Errorf("valid from %d s to %s; a plugin of another SDK looks at the dates, and clocks step", from, until)
	}
	key, _ := pem.Decode(p.KeyPEM)
	if _, err := x509.ParsePKCS8PrivateKey(key.Bytes); err != nil {
		t.Error(err)
	}
	for _, format := range []string{"%v", "%s", "%+v"} {
		if s := fmt.Sprintf(format, p); strings.Contains(s, "PRIVATE") || len(s) > 100 {
			t.Errorf("%s prints %q", format, s)
		}
	}
	if other := keyPair(t); string(other.CertificatePEM) == string(p.CertificatePEM) {
		t.Error("two pairs are one")
	}
}

// A connection is only made between two sides that were told each other's certificates.
func TestOnlyTheRightCertificatesConnect(t *testing.T) {
	t.Parallel()
	server, client, stranger := keyPair(t), keyPair(t), keyPair(t)
	must := func(c *tls.Config, err error) *tls.Config {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	host := &fake{answer: func(context.Context, protoreflect.MethodDescriptor, proto.Message) (any, error) {
		return &hostservicev1.PutResponse{Version: 1}, nil
	}}
	address := listen(t, host.seam,
		grpc.Creds(credentials.NewTLS(must(wire.ServerTLS(server.TLS, client.CertificatePEM)))))
	// The client's certificate is an authority's, for peers that want one; what it signs is not the client.
	issued := issue(t, stranger, client)
	with := func(change func(*tls.Config)) credentials.TransportCredentials {
		c := must(wire.ClientTLS(client.TLS, server.CertificatePEM))
		if change != nil {
			change(c)
		}
		return credentials.NewTLS(c)
	}
	tests := map[string]struct {
		credentials credentials.TransportCredentials
		connects    bool
	}{
		"both right":             {with(nil), true},
		"another client":         {with(func(c *tls.Config) { c.Certificates = []tls.Certificate{stranger.TLS} }), false},
		"client without any":     {with(func(c *tls.Config) { c.Certificates = nil }), false},
		"another server":         {credentials.NewTLS(must(wire.ClientTLS(client.TLS, stranger.CertificatePEM))), false},
		"the server as a client": {with(func(c *tls.Config) { c.Certificates = []tls.Certificate{server.TLS} }), false},
		"one that it issued":     {with(func(c *tls.Config) { c.Certificates = []tls.Certificate{issued} }), false},
		"TLS 1.2": {with(func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		}), false},
		"no TLS at all": {insecure.NewCredentials(), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cc := wire.Bind(dial(t, address, grpc.WithTransportCredentials(test.credentials)), "object")
			_, err := hostservicev1.NewStoreServiceClient(cc).Put(patient(t), &hostservicev1.PutRequest{Key: "k"})
			if test.connects && err != nil {
				t.Error(err)
			}
			if !test.connects && status.Code(err) != codes.Unavailable {
				t.Errorf("got %v; want UNAVAILABLE", err)
			}
		})
	}
}

// issue has an authority sign a certificate for another's key.
func issue(t *testing.T, subject, authority *wire.KeyPair) tls.Certificate {
	t.Helper()
	parent, err := x509.ParseCertificate(authority.TLS.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	template, err := x509.ParseCertificate(subject.TLS.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, template.PublicKey, authority.TLS.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: subject.TLS.PrivateKey}
}

// Two ends that know each other's certificate meet whatever their clocks say: one of them may have been set by years
// between two connections, and a certificate of somebody else's SDK may be dated.
func TestClocksStopNoConnection(t *testing.T) {
	t.Parallel()
	dated := keyPair(t)
	template, err := x509.ParseCertificate(dated.TLS.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	if dated.TLS.Certificate[0], err = x509.CreateCertificate(rand.Reader, template, template, template.PublicKey,
		dated.TLS.PrivateKey); err != nil {
		t.Fatal(err)
	}
	dated.CertificatePEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: dated.TLS.Certificate[0]})
	own := keyPair(t)
	for _, step := range []time.Duration{-50 * 365 * 24 * time.Hour, -2 * time.Minute, 2 * time.Hour,
		50 * 365 * 24 * time.Hour} {
		for _, stepped := range []string{"server", "client"} {
			t.Run(fmt.Sprintf("%s by %s", stepped, step), func(t *testing.T) {
				t.Parallel()
				server, err := wire.ServerTLS(dated.TLS, own.CertificatePEM)
				if err != nil {
					t.Fatal(err)
				}
				client, err := wire.ClientTLS(own.TLS, dated.CertificatePEM)
				if stepped == "server" { // it is the one that looks at a dated certificate then
					if server, err = wire.ServerTLS(own.TLS, dated.CertificatePEM); err != nil {
						t.Fatal(err)
					}
					client, err = wire.ClientTLS(dated.TLS, own.CertificatePEM)
				}
				if err != nil {
					t.Fatal(err)
				}
				clock := func() time.Time { return time.Now().Add(step) }
				if stepped == "server" {
					server.Time = clock
				} else {
					client.Time = clock
				}
				a, b := net.Pipe()
				served := make(chan error, 1)
				go func() { served <- tls.Server(a, server).HandshakeContext(t.Context()) }()
				if err := tls.Client(b, client).HandshakeContext(t.Context()); err != nil {
					t.Error(err)
				}
				_ = b.Close() // the server may be writing session tickets
				if err := <-served; err != nil && !errors.Is(err, io.ErrClosedPipe) {
					t.Error(err)
				}
			})
		}
	}
}

func TestCertificatesThatAreNone(t *testing.T) {
	t.Parallel()
	p := keyPair(t)
	for name, text := range map[string]string{"empty": "", "no PEM": "certificate", "a key": string(p.KeyPEM)} {
		if _, err := wire.ServerTLS(p.TLS, []byte(text)); err == nil ||
			!strings.Contains(err.Error(), "client's certificate") {
			t.Errorf("%s as a client's: %v", name, err)
		}
		if _, err := wire.ClientTLS(p.TLS, []byte(text)); err == nil ||
			!strings.Contains(err.Error(), "server's certificate") {
			t.Errorf("%s as a server's: %v", name, err)
		}
	}
}
