package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/document"
)

// Bootstrapper is the address of a peer that introduces others, in libocr's form PeerID@host:port[/host:port…].
type Bootstrapper struct {
	PeerID    string
	Addresses []string

	bad string
}

// Fault implements document.Faulty.
func (b Bootstrapper) Fault() string { return b.bad }

// ParseBootstrapper reads one bootstrapper.
func ParseBootstrapper(text string) (Bootstrapper, error) {
	if today := ocr2Form(text); today != "" {
		return Bootstrapper{}, fmt.Errorf("bootstrapper %q is a multiaddress, as nodes of OCR1 had; write %q, with the "+
			"port at "+
			"which the peer listens for OCR2", text, today)
	}
	peer, list, found := strings.Cut(text, "@")
	if !found || peer == "" || strings.Contains(list, "@") {
		return Bootstrapper{}, fmt.Errorf("bootstrapper %q is not of the form PeerID@host:port", text)
	}
	addresses := strings.Split(list, "/")
	for _, address := range addresses {
		if err := checkAddress(address); err != nil {
			return Bootstrapper{}, fmt.Errorf("bootstrapper %q is not of the form PeerID@host:port: %w", text, err)
		}
	}
	return Bootstrapper{PeerID: peer, Addresses: addresses}, nil
}

// ocr2Form returns the present spelling of a multiaddress such as /dns4/host/tcp/9000/p2p/PeerID, and nothing for other
// texts.
func ocr2Form(text string) string {
	if !strings.HasPrefix(text, "/") {
		return ""
	}
	host, port, peer := "host", "port", "PeerID"
	parts := strings.Split(text[1:], "/")
	for i := 0; i+1 < len(parts); i += 2 {
		switch parts[i] {
		case "ip4", "ip6", "dns", "dns4", "dns6", "dnsaddr":
			host = parts[i+1]
		case "tcp":
			port = parts[i+1]
		case "p2p", "ipfs":
			peer = parts[i+1]
		}
	}
	return peer + "@" + net.JoinHostPort(host, port)
}

// String returns the form that ParseBootstrapper reads.
func (b Bootstrapper) String() string { return b.PeerID + "@" + strings.Join(b.Addresses, "/") }

// MarshalText writes the form that ParseBootstrapper reads.
func (b Bootstrapper) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads a bootstrapper. It never fails; Fault says what was wrong.
func (b *Bootstrapper) UnmarshalText(text []byte) error {
	parsed, err := ParseBootstrapper(string(text))
	if err != nil {
		parsed.bad = err.Error()
	}
	*b = parsed
	return nil
}

// Equal compares the texts.
func (b Bootstrapper) Equal(other Bootstrapper) bool { return b.String() == other.String() }

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return fmt.Errorf("%q is not host:port", address)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return fmt.Errorf("%q has no port between 1 and 65535", address)
	}
	return nil
}

var (
	scheme    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	keyBundle = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

// check reports everything that a decoded file may not say.
func (c *Config) check(p *problems) {
	document.OneOf(&p.file, "Log.Level", strings.ToLower(c.Log.Level), "debug", "info", "warn", "error")
	document.OneOf(&p.file, "Log.Format", strings.ToLower(c.Log.Format), "text", "json")
	c.WebServer.check(p)

	if len(c.P2P.V2.ListenAddresses) == 0 {
		p.add("P2P.V2.ListenAddresses", "at least one host:port to listen on is needed")
	}
	reachable(p, "P2P.V2.ListenAddresses", c.P2P.V2.ListenAddresses)
	reachable(p, "P2P.V2.AnnounceAddresses", c.P2P.V2.AnnounceAddresses)

	o := c.OCR2
	document.Lasts(&p.file, "OCR2.BlockchainTimeout", o.BlockchainTimeout, BlockchainTimeoutBounds.Min,
		BlockchainTimeoutBounds.Max)
	document.Lasts(&p.file, "OCR2.ContractPollInterval", o.ContractPollInterval, ContractPollIntervalBounds.Min,
		ContractPollIntervalBounds.Max)
	document.Within(&p.file, "OCR2.ContractConfirmations", o.ContractConfirmations, ContractConfirmationsBounds.Min,
		ContractConfirmationsBounds.Max)
	if o.KeyBundleID != "" && !keyBundle.MatchString(o.KeyBundleID) {
		p.add("OCR2.KeyBundleID", "%q is not a key bundle's ID, which is 64 hexadecimal digits", o.KeyBundleID)
	}

	// A unix socket's path has room for 108 bytes, and the runtime needs 48 of them below this folder.
	if dir := c.Plugins.SocketDir; dir != "" && (!filepath.IsAbs(dir) || len(dir) > 60) {
		p.add("Plugins.SocketDir", "%q is not an absolute path of at most 60 bytes; leave it empty for the default", dir)
	}
}

// hostName is a name as a request's Host has it, without a port.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

func (w WebServer) check(p *problems) {
	for path, ip := range map[string]string{"WebServer.ListenIP": w.ListenIP, "WebServer.TLS.ListenIP": w.TLS.ListenIP} {
		if _, err := netip.ParseAddr(ip); err != nil {
			p.add(path, "%q is not an IP address; use 127.0.0.1, or 0.0.0.0 for every interface", ip)
		}
	}
	for at, name := range w.AllowedHosts {
		if !hostName.MatchString(name) {
			p.add(fmt.Sprintf("WebServer.AllowedHosts[%d]", at), "%q is not the name of a host, without a port", name)
		}
	}
	if len(w.Socket) > longestSocket {
		p.add("WebServer.Socket", "%q is too long for a socket: it has %d bytes of at most %d",
			w.Socket, len(w.Socket), longestSocket)
	}
	switch tls := w.TLS; {
	case tls.HTTPSPort > 0 && (tls.CertPath == "" || tls.KeyPath == ""):
		p.add("WebServer.TLS.HTTPSPort", "TLS wants a certificate; name its files by CertPath and KeyPath")
	case tls.HTTPSPort == 0 && (tls.CertPath != "" || tls.KeyPath != ""):
		p.add("WebServer.TLS.HTTPSPort", "a certificate is named, and no port to serve it on")
	}
}

func reachable(p *problems, path string, addresses []string) {
	for at, address := range addresses {
		if err := checkAddress(address); err != nil {
			p.add(fmt.Sprintf("%s[%d]", path, at), "%v", err)
		}
	}
}
