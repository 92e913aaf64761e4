package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Range is the smallest and the largest value that a setting may have.
type Range[T cmp.Ordered] struct{ Min, Max T }

// Contains reports whether a value is neither below nor above the bounds.
func (r Range[T]) Contains(value T) bool { return r.Min <= value && value <= r.Max }

// Bootstrapper is where a peer that introduces others is reached, in libocr's form PeerID@host:port[/host:port…].
type Bootstrapper struct {
	PeerID    string
	Addresses []string

	bad error
}

// ParseBootstrapper reads one bootstrapper.
func ParseBootstrapper(text string) (Bootstrapper, error) {
	if today := ocr2Form(text); today != "" {
		return Bootstrapper{}, fmt.Errorf("bootstrapper %q is a multiaddress, as nodes of OCR1 had; write %q, with the port at "+
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

// ocr2Form returns how a multiaddress such as /dns4/host/tcp/9000/p2p/PeerID is written now, and nothing for other texts.
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

// UnmarshalText reads a bootstrapper. Like a Duration's it never fails; checking reports what was wrong.
func (b *Bootstrapper) UnmarshalText(text []byte) error {
	parsed, err := ParseBootstrapper(string(text))
	parsed.bad = err
	*b = parsed
	return nil
}

// Equal compares what is written.
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
	decimal   = regexp.MustCompile(`^(0|[1-9][0-9]{0,77})$`)

	evmAccount = regexp.MustCompile(`^0x[0-9a-fA-F]{40}$`)
)

// check reports everything that a decoded file may not say.
func (c *Config) check(p *problems) {
	oneOf(p, "Log.Level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(p, "Log.Format", c.Log.Format, "text", "json")
	c.WebServer.check(p)

	within(p, "P2P.IncomingMessageBufferSize", c.P2P.IncomingMessageBufferSize, 1, 65536)
	within(p, "P2P.OutgoingMessageBufferSize", c.P2P.OutgoingMessageBufferSize, 1, 65536)
	if len(c.P2P.V2.ListenAddresses) == 0 {
		p.add("P2P.V2.ListenAddresses", "at least one host:port to listen on is needed")
	}
	reachable(p, "P2P.V2.ListenAddresses", c.P2P.V2.ListenAddresses)
	reachable(p, "P2P.V2.AnnounceAddresses", c.P2P.V2.AnnounceAddresses)
	for at, bootstrapper := range c.P2P.V2.DefaultBootstrappers {
		if bootstrapper.bad != nil {
			p.add(fmt.Sprintf("P2P.V2.DefaultBootstrappers[%d]", at), "%v", bootstrapper.bad)
		}
	}
	lasts(p, "P2P.V2.DeltaDial", c.P2P.V2.DeltaDial, 10*time.Millisecond, time.Minute)
	lasts(p, "P2P.V2.DeltaReconcile", c.P2P.V2.DeltaReconcile, 10*time.Millisecond, 10*time.Minute)

	o := c.OCR2
	lasts(p, "OCR2.BlockchainTimeout", o.BlockchainTimeout, BlockchainTimeoutBounds.Min, BlockchainTimeoutBounds.Max)
	lasts(p, "OCR2.ContractPollInterval", o.ContractPollInterval, ContractPollIntervalBounds.Min, ContractPollIntervalBounds.Max)
	within(p, "OCR2.ContractConfirmations", o.ContractConfirmations, ContractConfirmationsBounds.Min, ContractConfirmationsBounds.Max)
	lasts(p, "OCR2.ContractTransmitterTransmitTimeout", o.ContractTransmitterTransmitTimeout, time.Second, time.Minute)
	lasts(p, "OCR2.DatabaseTimeout", o.DatabaseTimeout, 100*time.Millisecond, 10*time.Second)
	lasts(p, "OCR2.ContractConfigLoadTimeout", o.ContractConfigLoadTimeout, time.Second, time.Hour)
	lasts(p, "OCR2.DefaultMaxDurationInitialization", o.DefaultMaxDurationInitialization, time.Second, time.Hour)
	if o.KeyBundleID != "" && !keyBundle.MatchString(o.KeyBundleID) {
		p.add("OCR2.KeyBundleID", "%q is not a key bundle's ID, which is 64 hexadecimal digits", o.KeyBundleID)
	}

	lasts(p, "JobPipeline.MaxRunDuration", c.JobPipeline.MaxRunDuration, time.Second, 24*time.Hour)
	lasts(p, "JobPipeline.HTTPRequest.DefaultTimeout", c.JobPipeline.HTTPRequest.DefaultTimeout, time.Millisecond, time.Hour)
	within(p, "JobPipeline.HTTPRequest.MaxSize", c.JobPipeline.HTTPRequest.MaxSize, 1, 16<<20)

	lasts(p, "Plugins.HealthInterval", c.Plugins.HealthInterval, 100*time.Millisecond, time.Minute)
	lasts(p, "Plugins.HealthTimeout", c.Plugins.HealthTimeout, 100*time.Millisecond, time.Minute)
	lasts(p, "Plugins.StopTimeout", c.Plugins.StopTimeout, 100*time.Millisecond, 5*time.Minute)
	// A unix socket's path has room for 108 bytes, and the runtime needs 48 of them below this folder.
	if dir := c.Plugins.SocketDir; dir != "" && (!filepath.IsAbs(dir) || len(dir) > 60) {
		p.add("Plugins.SocketDir", "%q is not an absolute path of at most 60 bytes; leave it empty for the default", dir)
	}

	for _, kind := range c.kinds() {
		kind.rules.check(p, "Plugins."+kind.name, "CL_"+strings.ToUpper(kind.name)+"_CMD", kind.plugin.InProcess())
	}

	chains := chainCheck{problems: p, seen: map[string]bool{}}
	for at, chain := range c.EVM {
		chain.check(&chains, fmt.Sprintf("EVM[%d]", at))
	}
	for at, chain := range c.Solana {
		chain.check(&chains, fmt.Sprintf("Solana[%d]", at))
	}
	for at, chain := range c.Starknet {
		chain.check(&chains, fmt.Sprintf("Starknet[%d]", at))
	}
}

// memoryLimits catch a slip of the unit: no plugin starts in less, and no machine has more.
var memoryLimits = Range[uint64]{16 << 20, 1 << 40}

const (
	badPin    = "%.80q is not one or two SHA-256 checksums of 64 hexadecimal digits with a blank between; sha256sum FILE prints one"
	pinInside = "the plugin runs inside the node and has no file of its own; give it a process by %s, or remove the checksum"
)

// Values of PluginRules.Transport.
const (
	TransportAuto = "auto"
	TransportGRPC = "grpc"
)

func (r PluginRules) check(p *problems, path, command string, inProcess bool) {
	switch pin := r.SHA256; {
	case pin.bad != "":
		p.add(path+".SHA256", badPin, pin.bad)
	case len(pin.Sums) > 0 && inProcess:
		p.add(path+".SHA256", pinInside, command)
	}
	switch r.Transport {
	case "", TransportAuto, TransportGRPC:
	default:
		p.add(path+".Transport", "%q is no transport; write %s or %s", r.Transport, TransportAuto, TransportGRPC)
	}
	switch limit := r.MemoryLimit; {
	case limit.bad != "":
		p.add(path+".MemoryLimit", `%q is not an amount of memory; write a number with a unit, such as "512MiB" or "1.5GiB"`, limit.bad)
	case limit == Size{}:
	case !memoryLimits.Contains(limit.Bytes):
		p.add(path+".MemoryLimit", "%s is not between %s and %s; leave it empty for no limit", limit, Size{Bytes: memoryLimits.Min}, Size{Bytes: memoryLimits.Max})
	case inProcess:
		p.add(path+".MemoryLimit", "the plugin runs inside the node, where its memory cannot be told from the node's; give it a process by %s, or remove the limit", command)
	}
}

func (c EVMChain) check(chains *chainCheck, path string) {
	p := chains.problems
	if chains.identity("EVM", path, c.ChainID) && !decimal.MatchString(c.ChainID) {
		p.add(path+".ChainID", "%q is not a chain's number in decimal", c.ChainID)
	}
	c.checkNetwork(p, path)
	if c.GasLimitDefault < leastGas {
		p.add(path+".GasLimitDefault", "%d is below %d, which is what a bare transfer takes", c.GasLimitDefault, leastGas)
	}
	if c.GasEstimator != nil {
		c.GasEstimator.check(p, path+".GasEstimator")
	}
	if c.Transactions != nil && c.Transactions.ResendAfterThreshold != nil {
		lasts(p, path+".Transactions.ResendAfterThreshold", *c.Transactions.ResendAfterThreshold, time.Second, time.Hour)
	}
	named := map[string]bool{}
	for at, key := range c.KeySpecific {
		where, account := fmt.Sprintf("%s.KeySpecific[%d].Key", path, at), strings.ToLower(key.Key)
		if !evmAccount.MatchString(key.Key) {
			p.add(where, "%q is not an account, which is 0x and 40 hexadecimal digits", key.Key)
		} else if named[account] {
			p.add(where, "account %s has an earlier entry; merge the two", key.Key)
		}
		named[account] = true
		if price := key.GasEstimator.PriceMax; price != nil {
			price.check(p, fmt.Sprintf("%s.KeySpecific[%d].GasEstimator.PriceMax", path, at))
		}
	}
	within(p, path+".FeeBumpPercent", c.FeeBumpPercent, 10, 1000)
	amounts := true
	for _, fee := range []struct {
		name   string
		amount Wei
	}{{"FeeCapDefault", c.FeeCapDefault}, {"TipCapDefault", c.TipCapDefault}, {"FeeCapMax", c.FeeCapMax}} {
		amounts = fee.amount.check(p, path+"."+fee.name) && amounts
	}
	if amounts && c.given["TipCapDefault"] && c.TipCapDefault.amount.Cmp(&c.FeeCapDefault.amount) > 0 {
		p.add(path+".TipCapDefault", "%s is more than FeeCapDefault, %s", c.TipCapDefault, c.FeeCapDefault)
	}
	if amounts && c.given["FeeCapDefault"] && c.FeeCapDefault.amount.Cmp(&c.FeeCapMax.amount) > 0 {
		p.add(path+".FeeCapMax", "%s is less than FeeCapDefault, %s", c.FeeCapMax, c.FeeCapDefault)
	}

	for at, account := range c.Accounts {
		if !evmAccount.MatchString(account) {
			p.add(fmt.Sprintf("%s.Accounts[%d]", path, at), "%q is not an account, which is 0x and 40 hexadecimal digits", account)
		}
	}
	names := chains.nodes("EVM", path, c.ChainID, c.Enabled, len(c.Nodes))
	for at, node := range c.Nodes {
		nodePath := fmt.Sprintf("%s.Nodes[%d]", path, at)
		who := names.node(nodePath, node.Name)
		if node.WSURL.IsEmpty() && node.HTTPURL.IsEmpty() {
			p.add(nodePath, "%s has neither WSURL nor HTTPURL; give one of them", who)
		}
		checkURL(p, nodePath+".WSURL", who, node.WSURL, "ws", "wss")
		checkURL(p, nodePath+".HTTPURL", who, node.HTTPURL, "http", "https")
	}
}

// chainCheck holds what is unique over all chains.
type chainCheck struct {
	problems *problems
	seen     map[string]bool
}

// identity reports whether the chain has an ID that can be judged further.
func (c *chainCheck) identity(family, path, chainID string) bool {
	if chainID == "" {
		c.problems.add(path+".ChainID", "every chain needs a ChainID")
		return false
	}
	key := family + "/" + chainID
	if c.seen[key] {
		c.problems.add(path+".ChainID", "%s chain %q is configured twice; merge the two entries", family, chainID)
	}
	c.seen[key] = true
	return true
}

func (c *chainCheck) nodes(family, path, chainID string, enabled bool, count int) *nodeNames {
	if enabled && count == 0 {
		c.problems.add(path+".Nodes", "%s chain %q has no node; add a [[%s.Nodes]] or set Enabled = false", family, chainID, family)
	}
	return &nodeNames{problems: c.problems, chain: fmt.Sprintf("%s chain %q", family, chainID), seen: map[string]bool{}}
}

type nodeNames struct {
	problems *problems
	chain    string
	seen     map[string]bool
}

// node checks a node's name and returns how errors call it.
func (n *nodeNames) node(path, name string) string {
	who := fmt.Sprintf("node %q of %s", name, n.chain)
	if name == "" {
		n.problems.add(path+".Name", "a node of %s has no Name", n.chain)
	} else if n.seen[name] {
		n.problems.add(path+".Name", "%s has the name of an earlier one", who)
	}
	n.seen[name] = true
	return who
}

// checkURL never repeats the address: its user, path and query may be keys. Not even the parser's error is shown, since it
// quotes what it could not read.
func checkURL(p *problems, path, who string, address Secret, schemes ...string) {
	if address.IsEmpty() {
		return
	}
	parsed, err := url.Parse(address.Reveal())
	if err != nil || parsed.Host == "" || !slices.Contains(schemes, strings.ToLower(parsed.Scheme)) {
		p.add(path, "the address of %s is not a %s URL", who, strings.Join(schemes, ":// or ")+"://")
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

func oneOf(p *problems, path, value string, allowed ...string) {
	if !slices.Contains(allowed, strings.ToLower(value)) {
		p.add(path, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

func within[T cmp.Ordered](p *problems, path string, value, low, high T) {
	if !(Range[T]{low, high}).Contains(value) {
		p.add(path, "%v is not between %v and %v", value, low, high)
	}
}

func lasts(p *problems, path string, value Duration, low, high time.Duration) {
	if value.bad != "" {
		p.add(path, `%q is not a duration; write a number with a unit, such as "10s" or "1m30s"`, value.bad)
		return
	}
	if !(Range[time.Duration]{low, high}).Contains(value.Duration) {
		p.add(path, "%s is not between %s and %s", value, Duration{Duration: low}, Duration{Duration: high})
	}
}
