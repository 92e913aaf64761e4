package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// KeyPair is a self-signed certificate and its key. It is used as long as the process for which it was made lives.
type KeyPair struct {
	CertificatePEM []byte
	KeyPEM         []byte
	TLS            tls.Certificate
}

// String keeps the key out of logs.
func (*KeyPair) String() string { return "[certificate and key]" }

// A certificate says nothing by its dates: each end was handed the other's own, and clocks step. But peers with other
// SDKs check them, so certificates are valid from Unix's first second to the date that RFC 5280, 4.1.2.5, has for a
// certificate without an end.
var (
	validFrom  = time.Unix(0, 0).UTC()
	validUntil = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
)

// NewKeyPair makes a pair for the name localhost on P-256, because BoringSSL, and so grpcio and netty-tcnative, refuses
// P-521, which go-plugin's own AutoMTLS uses.
func NewKeyPair() (*KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a P-256 key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(one, 127))
	if err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             validFrom,
		NotAfter:              validUntil,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	pair := &KeyPair{
		CertificatePEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}
	pair.TLS, err = tls.X509KeyPair(pair.CertificatePEM, pair.KeyPEM)
	return pair, err
}

// ServerTLS returns the configuration of a server that accepts one client by its certificate.
func ServerTLS(own tls.Certificate, clientPEM []byte) (*tls.Config, error) {
	client, err := fromPEM(clientPEM)
	if err != nil {
		return nil, fmt.Errorf("the client's certificate %w", err)
	}
	return &tls.Config{
		Certificates:     []tls.Certificate{own},
		ClientAuth:       tls.RequireAnyClientCert,
		VerifyConnection: Exactly(client),
		MinVersion:       tls.VersionTLS13,
	}, nil
}

// ClientTLS returns the configuration of a client that accepts one server by its certificate.
func ClientTLS(own tls.Certificate, serverPEM []byte) (*tls.Config, error) {
	server, err := fromPEM(serverPEM)
	if err != nil {
		return nil, fmt.Errorf("the server's certificate %w", err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{own},
		// No check of authorities, names and dates.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection takes this one certificate alone
		VerifyConnection:   Exactly(server),
		ServerName:         "localhost",
		MinVersion:         tls.VersionTLS13,
	}, nil
}

// Exactly returns a VerifyConnection for a tls.Config that accepts only the peer with one certificate, given in DER.
// TLS itself checks that the peer holds its key. Authorities, names and dates would add nothing, and the dates fail
// when a clock changes.
func Exactly(der []byte) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, der) {
			return errors.New("the peer's certificate is not the one that it was to have")
		}
		return nil
	}
}

// fromPEM is the certificate of a text, in DER.
func fromPEM(text []byte) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("is not PEM")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("does not parse: %w", err)
	}
	return block.Bytes, nil
}
