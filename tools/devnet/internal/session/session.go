// Package session runs a local network from its start to its end: a chain with a feed on it, a price to agree on,
// nodes, and the check of every answer on the chain. An answer must be the median of the observations that the nodes
// report, or what a product computes from the prices that the nodes got.
//
// The other packages meet here. It must not know how its progress is shown.
package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/hosts"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
	"github.com/loop-plugins/loop/tools/devnet/internal/process"
	"github.com/loop-plugins/loop/tools/devnet/internal/table"
)

// DefaultMaxDurationQuery is the longest time of a query in the feed's configuration, unless the user chooses another.
const DefaultMaxDurationQuery = 200 * time.Millisecond

// Config is the user's configuration.
type Config struct {
	// Chain is "evm", "solana" or "starknet"; empty: the first.
	Chain string
	// StarknetRPC is the version of the JSON-RPC that Starknet's node serves: 0.8, 0.9 or 0.10; empty: the last.
	StarknetRPC string
	// RPC is the URL of an RPC node of an EVM chain that is used in place of devnet's own; empty: none. It may hold a
	// secret.
	RPC string
	// KeyFile is the key of the account that pays there, and PasswordFile holds the password of a wallet. If KeyFile is
	// empty, the RPC node signs for an account of its own.
	KeyFile, PasswordFile string
	// Fund is how many coins each node gets there, a decimal number.
	Fund string
	// MaxDurationQuery is the longest time of a query in the feed's configuration. With 0, as real feeds have it, nodes
	// take a minimum of their own.
	MaxDurationQuery time.Duration
	// Variables are environment variables that configure the nodes.
	Variables map[string]string
	// Rounds is how many transmissions end the session; 0: it goes on until it is interrupted.
	Rounds int
	// Feeds measures what so many feeds cost the nodes; 0: there is one, and nothing is measured. Rounds are then those of
	// each.
	Feeds int
	// Pace is the time between two rounds of each of Feeds; 0: 10 s or, if that is more, a tenth of a second for each.
	Pace time.Duration
	// Nodes is their number, 4 to 31, on Solana to 19.
	Nodes int
	// InProcess runs the plugins inside the nodes.
	InProcess bool
	// HTTPPort is the first node's port for operators, the next nodes have the next ports; 0: free ones. FallBack says
	// that free ones will do when these are taken.
	HTTPPort int
	FallBack bool
	// KillEvery is how often a random process is killed, in the mean; 0: never.
	KillEvery time.Duration
	// Kill says what: "nodes", which are started again, "plugins", and "network", all nodes at once; empty: plugins.
	Kill []string
	// Kills is how many kills there must have been, as well as the rounds, before the session ends, and there are no more;
	// 0: any number.
	Kills int
	// Aim has every second kill, in the mean, wait until its node hands a report to the relayer, and come within 50 ms of
	// that.
	Aim bool
	// Hosts gives each node its own network namespace, and Net says what happens to them: hosts.ParseEvent reads each.
	Hosts bool
	Net   []string
	// HealedWithin is how long the next round may take when an event is over, JoinedWithin how long a node may that was
	// started again until it takes part; 0: any time.
	HealedWithin, JoinedWithin time.Duration
	// Keep leaves the folder of the nodes.
	Keep bool
	// JobTemplate is a file with a template of the nodes' jobs; empty: devnet's own.
	JobTemplate string
	// Source is a URL where the nodes read the price; empty means devnet's own prices. SourcePath is where the number
	// is in its answer, keys separated by commas.
	Source, SourcePath string
	// Price is a constant price, instead of devnet's random walk: a decimal number with up to 8 decimals, which nodes
	// read as a JSON number. Every answer must be exactly this price. Empty means none.
	Price string
	// Seed fixes devnet's own prices and its choice of what to kill.
	Seed uint64
	// Timeout is how long the rounds may take; 0: for ever. Without a number of rounds it is a good end.
	Timeout time.Duration
	// Langs are the languages of the plugins, which the nodes take in turn; empty: Go.
	Langs []string
	// Plugins are plugins of the user's that all nodes run in place of devnet's, each NAME=COMMAND: the name is "median",
	// or the chain's for its relayer, or "relayer:" and a relay of the relayer's own.
	Plugins []string
	// Product is one of the user's that all nodes run in place of the median, NAME=COMMAND; empty: the median.
	Product string
	// OCR is the version of the protocol: 2 or 3; 0: 3 for a product, 2 for the median.
	OCR int
	// ProductConfig is the product's part of the contract's off-chain configuration: JSON, or the name of a file.
	ProductConfig string
	// Check is how the answers of a product are checked: "range", "median", "twap" or "none"; empty: "range", or "none"
	// where prices are not devnet's own.
	Check string
	// NoLostVotes fails a session in which a product's calls lost votes, other than by the ends of their epochs.
	NoLostVotes bool
	// BinDir holds the programs loop, loop-median and that of the relayer; empty: the folder of devnet's own program, or
	// ./bin.
	BinDir string

	// settleTimeout is for tests; 0: the package's own.
	settleTimeout time.Duration
}

// Display shows progress.
type Display interface {
	// Step says what the session does now, in a sentence.
	Step(text string)
	// Round shows an answer that was checked.
	Round(table.Round)
	// Nodes shows the nodes and their plugins.
	Nodes([]table.Node)
}

// Result is the result of a session.
type Result struct {
	// Chain is "evm", "solana" or "starknet".
	Chain string `json:"chain"`
	// Nodes is their number, Rounds the number of transmissions that were asked for.
	Nodes  int `json:"nodes"`
	Rounds int `json:"rounds"`
	// Transmissions is how many there were, Verified how many of their answers were found to be the median of what the
	// nodes recorded, or what Config.Check says of a product's, Answers what they were: prices with 8 decimals. What a
	// node recorded dies with its process: with nodes killed, some may not be verified.
	Transmissions int      `json:"transmissions"`
	Verified      int      `json:"verified"`
	Answers       []string `json:"answers"`
	// FirstTransmissionMS is the time from the start of the first node's process to the first transmission, in
	// milliseconds; 0: there was none.
	FirstTransmissionMS int64 `json:"first_transmission_ms"`
	// PluginProcesses is the most plugin processes that the nodes reported at one time.
	PluginProcesses int `json:"plugin_processes"`
	// InProcess says that the plugins ran inside the nodes.
	InProcess bool `json:"in_process"`
	// Kills counts the processes that devnet killed, Restarts the generations of plugins after their first.
	Kills    int    `json:"kills"`
	Restarts uint64 `json:"restarts"`
	// NodeRestarts counts the nodes among Kills, which were started again. A node that ends by itself ends the session.
	NodeRestarts int `json:"node_restarts"`
	// Net is how a network of hosts fared; absent without them.
	Net *Net `json:"net,omitempty"`
	// Reports is what became of the reports that the nodes accepted; absent if nothing was killed, the nodes had no
	// hosts and the chain is devnet's own.
	Reports *audit.Delivery `json:"reports,omitempty"`
	// Seed is the one in use.
	Seed uint64 `json:"seed"`
	// Languages has the record of the plugins of each language; absent if no languages were chosen.
	Languages map[string]*Language `json:"languages,omitempty"`
	// Plugins are the commands of the user's plugins by their names; absent when there were none.
	Plugins map[string]string `json:"plugins,omitempty"`
	// Product has the record of a product's rounds; absent without a product.
	Product *Product `json:"product,omitempty"`
	// Feeds has the cost of many feeds; absent without Config.Feeds.
	Feeds *Feeds `json:"feeds,omitempty"`
	// DurationMS is how long all of it took, with the clearing up, in milliseconds.
	DurationMS int64 `json:"duration_ms"`
	// Error says why the session failed; absent when it did not.
	Error string `json:"error,omitempty"`
}

// Run runs a session until it has its rounds, fails, or ctx ends. It leaves no process behind and, unless told to, no
// file. Without a number of rounds or kills, the end of ctx is the good end. The result can also be used after an
// error.
func Run(ctx context.Context, config Config, display Display) (Result, error) {
	begin := time.Now()
	n := &network{
		config: config, display: display,
		complete: make(chan struct{}), enough: make(chan struct{}), spared: make(chan struct{}),
		begun: make(chan struct{}), rested: make(chan struct{}),
		releasePorts: func() {},
	}
	defer func() { n.releasePorts() }()
	n.result = Result{
		Chain: config.Chain, Nodes: config.Nodes, Rounds: config.Rounds, InProcess: config.InProcess, Seed: config.Seed,
		Answers: []string{},
	}
	err := n.prepare(ctx)
	if err == nil {
		err = n.run(ctx)
	}
	n.result.DurationMS = time.Since(begin).Milliseconds()
	if err != nil {
		err = conceal(conceal(err, config.RPC), config.Source)
		n.result.Error = err.Error()
		return n.result, err
	}
	if n.result.Transmissions == 0 {
		return n.result, nil // interrupted before there was anything to say
	}
	each := "each " + n.claim()
	if unverified := n.result.Transmissions - n.result.Verified; unverified > 0 {
		each = fmt.Sprintf("%s, but for %d %s", each, unverified, n.doubt())
	}
	display.Step(fmt.Sprintf("%d transmissions, the first %.1f s after the nodes were started%s; %s.",
		n.result.Transmissions, float64(n.result.FirstTransmissionMS)/1000, n.result.Product.fared(), each))
	return n.result, nil
}

// conceal takes out of an error what may be secret in a URL that the user gave: all but its scheme and host. Errors of
// connections repeat URLs.
func conceal(err error, address string) error {
	parsed, invalid := url.Parse(address)
	if address == "" || invalid != nil || parsed.Host == "" {
		return err
	}
	var pairs []string
	if parsed.User != nil {
		pairs = append(pairs, parsed.User.String()+"@", "", parsed.User.Username()+":***@", "")
	}
	if rest := parsed.RequestURI(); rest != "/" {
		pairs = append(pairs, parsed.Host+rest, parsed.Host+"/…")
	}
	if text := strings.NewReplacer(pairs...).Replace(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// prepare checks what the user chose, before anything is started.
func (n *network) prepare(ctx context.Context) error {
	config := &n.config
	var err error
	if n.kind, err = kindOf(config.Chain); err != nil {
		return err
	}
	config.Chain, n.result.Chain = n.kind.name, n.kind.name
	switch {
	case config.StarknetRPC != "" && config.Chain != chainStarknet:
		return fmt.Errorf("--starknet-rpc is %s, but --chain is %s; leave one of them out", config.StarknetRPC, config.Chain)
	case config.Nodes < evm.MinOracles || config.Nodes > n.kind.maxOracles:
		return fmt.Errorf("--nodes is %d, but a feed takes %d to %d oracles", config.Nodes, evm.MinOracles, n.kind.maxOracles)
	case config.MaxDurationQuery < 0:
		return fmt.Errorf("--max-duration-query is %s; give 0 or a time above it", config.MaxDurationQuery)
	case config.Rounds < 0:
		return fmt.Errorf("--rounds is %d; give the number of rounds, or 0 to go on until Ctrl-C", config.Rounds)
	case config.Timeout < 0:
		return fmt.Errorf("--timeout is %s; give a time above zero, or 0 for none", config.Timeout)
	case config.HTTPPort < 0 || config.HTTPPort > 65536-config.Nodes:
		return fmt.Errorf("--http-port is %d, but the ports of %d nodes end at 65535", config.HTTPPort, config.Nodes)
	}
	if err := checkKills(config); err != nil {
		return err
	}
	if err := checkFeeds(*config, config.Chain); err != nil {
		return err
	}
	if n.events, err = checkNet(*config); err != nil {
		return err
	}
	n.calm = !timed(n.events)
	if err := n.remoteChain(); err != nil {
		return err
	}
	if n.plugins, err = ownPlugins(*config, n.kind.name); err != nil {
		return err
	}
	n.result.Plugins = n.own
	if n.product, err = productOf(*config, n.kind.name, n.agreeing); err != nil {
		return err
	}
	if n.binaries, err = findBinaries(config.BinDir, n.kind.relayer, n.programs()); err != nil {
		return err
	}
	if n.languages, err = findLanguages(*config, n.plugins, n.binaries); err != nil {
		return err
	}
	n.template = n.kind.template()
	if n.product != nil {
		n.template = job.DefaultProduct()
	}
	if config.JobTemplate != "" {
		if n.template, err = job.Load(config.JobTemplate); err != nil {
			return err
		}
	}
	if err := n.checkPrices(ctx); err != nil {
		return err
	}
	return n.choosePorts()
}

// checkPrices checks what the nodes are to observe.
func (n *network) checkPrices(ctx context.Context) (err error) {
	config := &n.config
	if config.Price != "" {
		if config.Source != "" {
			return errors.New("--price is one of devnet's own, and --source names another's; choose one of them")
		}
		if n.exact, err = exactAnswer(config.Price); err != nil {
			return fmt.Errorf("--price is %q: %w", config.Price, err)
		}
	}
	if config.Source != "" {
		return price.CheckSource(ctx, config.Source, config.SourcePath)
	}
	return nil
}

// choosePorts claims the nodes' ports until the session has ended.
func (n *network) choosePorts() error {
	free, release, err := ports.Claim(2 * n.config.Nodes)
	if err != nil {
		return err
	}
	n.releasePorts = release
	n.httpPorts, n.p2pPorts = free[:n.config.Nodes], free[n.config.Nodes:]
	if n.config.HTTPPort == 0 {
		return nil
	}
	releaseRow, err := ports.ClaimFrom(n.config.HTTPPort, n.config.Nodes)
	switch {
	case err == nil:
		n.releasePorts = func() { release(); releaseRow() }
		for i := range n.httpPorts {
			n.httpPorts[i] = n.config.HTTPPort + i
		}
	case !n.config.FallBack:
		return fmt.Errorf("%w; choose others with --http-port, or 0 for free ones", err)
	}
	return nil
}

// binaries are the programs of a network.
type binaries struct{ node, median, relayer string }

// findBinaries finds the programs in dir, or when it is empty beside this program or in ./bin. Those that are needed
// must be there.
func findBinaries(dir, relayer string, needed []string) (binaries, error) {
	dirs := []string{dir}
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return binaries{}, fmt.Errorf("find the folder of devnet's own program: %w; name it with --bin-dir", err)
		}
		dirs = []string{filepath.Dir(self), "bin"}
	}
	var missing error
	for _, dir := range dirs {
		found, err := binariesIn(dir, relayer, needed)
		if err == nil {
			return found, nil
		}
		if missing == nil {
			missing = err
		}
	}
	return binaries{}, missing
}

func binariesIn(dir, relayer string, needed []string) (binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return binaries{}, fmt.Errorf("find the folder %s: %w", dir, err)
	}
	found := binaries{
		node: filepath.Join(dir, "loop"), median: filepath.Join(dir, "loop-median"), relayer: filepath.Join(dir, relayer),
	}
	for _, name := range needed {
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return binaries{}, fmt.Errorf("%s not found: run `make build`, or name its folder with --bin-dir",
				strings.TrimPrefix(file, filepath.Dir(dir)+"/"))
		case err != nil:
			return binaries{}, fmt.Errorf("look for the program %s: %w", file, err)
		case info.IsDir() || info.Mode()&0o111 == 0:
			return binaries{}, fmt.Errorf("%s is not a program: run `make build`, or name its folder with --bin-dir", file)
		}
	}
	return found, nil
}

// makeFolder makes the folder of the nodes. Its path is short because sockets have to fit under it.
func makeFolder() (string, error) {
	folder, err := os.MkdirTemp("", "devnet-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the nodes: %w", err)
	}
	return folder, nil
}

// open starts what the nodes need: a chain with a feed on it, and prices. What was opened is closed by close.
func (n *network) open(ctx context.Context) error {
	var err error
	if n.folder, err = makeFolder(); err != nil {
		return err
	}
	if n.config.Hosts {
		if n.hosts, err = hosts.Start(n.config.Nodes, n.config.Seed); err != nil {
			return err
		}
	}
	if n.ledger, err = n.kind.ledger(n.config, filepath.Dir(n.binaries.node)); err != nil {
		return err
	}
	if err = n.ledger.open(ctx); err != nil {
		return err
	}
	if n.config.Feeds > 0 {
		if err = n.newFeeds(); err != nil {
			return err
		}
	}
	if n.prices, err = price.Start(n.config.Seed, n.config.Price); err != nil {
		return err
	}
	if n.launcher, err = process.NewLauncher(); err != nil {
		return err
	}
	return n.connect()
}
