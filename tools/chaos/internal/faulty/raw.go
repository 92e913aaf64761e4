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

// serveRaw shakes hands as a plugin does, speaks TLS with the right keys, and then answers with bytes that are no
// frames of HTTP/2.
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
		_, _ = os.Stdin.Read(make([]byte, 1)) // the host closes it when it ends
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
			// A header that announces a frame of 16 MiB of an unknown type, then meaningless bytes.
			_, _ = c.Write(append([]byte{0xff, 0xff, 0xff, 0xee, 0xff, 0xff, 0xff, 0xff, 0xff},
				bytes.Repeat([]byte{0xa5}, 1<<16)...))
			_, _ = c.Read(make([]byte, 1<<16))
			time.Sleep(100 * time.Millisecond)
		}()
	}
}
