package web

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// certificate is the certificate of a TLS listener. Its files are read anew for each connection. While they do not fit
// each other, as in the middle of a renewal, the last ones that did are used.
type certificate struct {
	settings *TLS
	logger   *slog.Logger
	last     atomic.Pointer[tls.Certificate]
}

func loadCertificate(s *TLS, logger *slog.Logger) (*certificate, error) {
	c := &certificate{settings: s, logger: logger}
	loaded, err := tls.LoadX509KeyPair(s.CertPath, s.KeyPath)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of [WebServer.TLS] failed: %w; check CertPath and KeyPath", err)
	}
	c.last.Store(&loaded)
	return c, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: c.get}
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	loaded, err := tls.LoadX509KeyPair(c.settings.CertPath, c.settings.KeyPath)
	if err != nil {
		c.logger.Warn("the certificate of [WebServer.TLS] cannot be read; the last one is used", "error", err)
		return c.last.Load(), nil
	}
	c.last.Store(&loaded)
	return &loaded, nil
}
