package process_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// serveTLS is a plugin of another SDK's making, with a certificate that it dates, or a clock, of its own.
func serveTLS(how string) {
	err := func() error {
		pair, err := wire.NewKeyPair()
		if err != nil {
			return err
		}
		template, err := x509.ParseCertificate(pair.TLS.Certificate[0])
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(os.Getenv("PLUGIN_CLIENT_CERT")))
		config := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
		switch how {
		case "not yet valid":
			template.NotBefore, template.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		case "expired":
			template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		case "of 1969":
			config.Time = func() time.Time { return time.Unix(-1, 0) }
			// with 1.3 the host has written by the time that it is refused, and may read no reason
			config.MaxVersion = tls.VersionTLS12
		default:
			config.Time = func() time.Time { return time.Unix(1, 0) }
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, template.PublicKey, pair.TLS.PrivateKey)
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: pair.TLS.PrivateKey}}
		path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			return err
		}
		if how == "of another" { // it shows one certificate and names another
			der = pair.TLS.Certificate[0]
		}
		fmt.Printf("1|1|unix|%s|grpc|%s\n", path, base64.RawStdEncoding.EncodeToString(der))
		s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
		healthy := health.NewServer()
		healthy.SetServingStatus(wire.HealthService, grpc_health_v1.HealthCheckResponse_SERVING)
		grpc_health_v1.RegisterHealthServer(s, healthy)
		return s.Serve(l)
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A clock that was set, at either end and by however much, stops no plugin, whatever its SDK makes of dates. What could
// stop one all the same names the clock.
func TestClock(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]string{
		"not yet valid": "",
		"expired":       "",
		"of 1970":       "",
		"of 1969":       "set this machine's clock",
		"of another":    "does not answer over mutual TLS",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			_, _, err := start(t, "FAKE_TLS="+how)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("got %v; want %q", err, want)
			}
		})
	}
}
