package loop

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// hostCertificateKey names the variable in which go-plugin's hosts hand their certificate over.
const hostCertificateKey = "PLUGIN_CLIENT_CERT"

// certify makes the process's certificate and puts it into the handshake. go-plugin would make one itself, on P-521,
// and not give out its configuration, which frames need too.
func certify(hostPEM string) (*tls.Config, error) {
	if hostPEM == "" {
		return nil, fmt.Errorf("the host gives no certificate in %s, and this plugin serves nobody without one: start it "+
			"by a LOOP node, or with --debug", hostCertificateKey)
	}
	own, err := wire.NewKeyPair()
	if err != nil {
		return nil, err
	}
	config, err := wire.ServerTLS(own.TLS, []byte(hostPEM))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", hostCertificateKey, err)
	}
	printed, print, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout := os.Stdout
	os.Stdout = print // go-plugin prints the handshake there, and then replaces it
	go func() {
		passOn(stdout, printed, base64.RawStdEncoding.EncodeToString(own.TLS.Certificate[0]))
		runtime.KeepAlive(print) // other code may have kept it before go-plugin replaced it
	}()
	return config, nil
}

// certificateField is the field of the handshake's line that holds the certificate.
const certificateField = 5

// passOn copies what is printed, and completes the handshake's line.
func passOn(stdout io.Writer, printed io.Reader, certificate string) {
	lines := bufio.NewReader(printed)
	for {
		line, err := lines.ReadString('\n')
		fields := strings.Split(strings.TrimRight(line, "\n"), "|")
		done := len(fields) > certificateField && fields[certificateField-1] == "grpc" && fields[certificateField] == ""
		if done {
			fields[certificateField] = certificate
			line = strings.Join(fields, "|") + "\n"
		}
		if _, werr := io.WriteString(stdout, line); werr != nil || err != nil {
			return // the host is gone, and stdin says so too
		}
		if done {
			_, _ = io.Copy(stdout, lines)
			return
		}
	}
}
