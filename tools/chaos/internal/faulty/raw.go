package faulty

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// serveRaw shakes hands as a plugin does, and then answers frames that are none: it speaks TLS with the right keys, and
// below it no HTTP/2.
func serveRaw() error {
	pair, err := wire.NewKeyPair()
	if err != nil {
		return err
	}
	config, err := wire.ServerTLS(pair.TLS, []byte(os.Getenv("PLUGIN_CLIENT_CERT")))
	if err != nil {
		return err
	}
	dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	path := filepath.Join(dir, fmt.Sprintf("raw%d", os.Getpid()))
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(pair.CertificatePEM)
	fmt.Printf("1|1|unix|%s|grpc|%s\n", path, base64.RawStdEncoding.EncodeToString(block.Bytes))
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // its end is the host's
		_ = os.Remove(path)
		os.Exit(0)
	}()
	for {
		c, err := tls.NewListener(l, config).Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			// A header that promises 16 MiB of a frame of no known type, then bytes without a meaning.
			_, _ = c.Write(append([]byte{0xff, 0xff, 0xff, 0xee, 0xff, 0xff, 0xff, 0xff, 0xff},
				bytes.Repeat([]byte{0xa5}, 1<<16)...))
			_, _ = c.Read(make([]byte, 1<<16))
			time.Sleep(100 * time.Millisecond)
		}()
	}
}
