// Devnet runs a whole oracle network on one machine: nodes with their plugins in processes of their own agree on a
// price through OCR2 or OCR3 and write it to an OCR2Aggregator contract.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/loop-plugins/loop/tools/devnet/internal/hosts"
	"github.com/loop-plugins/loop/tools/devnet/internal/session"
	"github.com/loop-plugins/loop/tools/devnet/internal/table"
)

const long = `Devnet runs a whole oracle network on this machine. Four nodes, each with its relayer and its
median plugin in processes of their own, agree on a price through OCR2 and write it to a real
OCR2Aggregator contract on an Ethereum chain that lives in devnet itself, or with --chain solana
to a feed on a Solana chain (make solana builds it), or with --chain starknet to a feed on a
model of Starknet that lives in devnet too and serves the JSON-RPC of --starknet-rpc. Devnet checks every answer on the chain
against what the nodes say that they observed, and fails when one is not their median.

With --product NAME=COMMAND the nodes run a product in place of the median, over OCR3 or with
--ocr 2 over OCR2, in jobs of the type "plugin" whose pluginName is NAME. What all oracles must
have the same, such as the window of an average, stands in the contract: --product-config. Devnet
serves the prices and knows what it told each node, so that --check can hold the answers to it.

With --rpc URL the feed and its network go to an EVM chain that somebody else runs, such as
anvil's. The account that pays is the first that its RPC node signs for (eth_accounts), or that
of --key-file: a Web3 wallet of version 3, with --password-file, or a key in hexadecimal in a file
that nobody else may read. Nothing of the URL but its host is shown. In the end what the nodes
accepted is compared with that chain, as after --kill-every.

Nothing remains afterwards: no process, and without --keep no file.

With --json the last line of the output is a JSON object:
  chain                  "evm", "solana" or "starknet"
  nodes, rounds, seed    as asked
  transmissions          answers that the contract took
  verified               of them, those found to be the median of what the nodes recorded; with --kill nodes, not those of
                         which a node was killed before it could be asked. Of a product, those that --check found to be right:
                         with twap, not those behind four or more outcomes of which nothing landed
  answers                the answers, prices with 8 decimals
  first_transmission_ms  from the start of the first node's process to the first transmission
  plugin_processes       the most plugin processes that the nodes reported at one time
  in_process             whether the plugins ran inside the nodes
  kills, restarts        processes that devnet killed, and generations of plugins after their first
  node_restarts          of the kills, those of nodes, which were started again; a node that ends by itself ends the run
  reports                with --kill-every or --rpc: what became of the reports that nodes handed to their relayers (accepted): landed,
                         stale because a newer one landed (on EVM, unsent are those of them that nobody sent, and
                         unexplained those of which a relayer never said why), lost, landed_twice; and on EVM transactions
                         that did not come to an end (in_flight) and nonces that were left out (nonce_gaps). Any of the last
                         four fails the run
  languages              with --langs: for each language its nodes, the observations that they made of the rounds
                         that ended in a transmission, those of the node with the fewest (least_observations),
                         and the transmissions that they sent
  plugins                with --plugin or --product: the commands, by name
  product                with --product: its name, the version of the protocol (ocr) and the check; and over OCR3 the votes of all
                         nodes on outcomes that they computed, the reports that they made, the epochs of the node that entered
                         the most, and by the calls of the product the votes and reports that were lost to errors of it (lost).
                         failures are the errors of the nodes' jobs, each reason with its count. With --kill network, resumed has for
                         each time the number of the newest outcome that had landed, of the newest that a node found in its
                         database (restored), and of the next that landed; a network that forgets fails the run
  net                    with --hosts: longest_gap_ms between two answers of the run, and for each of events, which is what
                         --net said, the rounds while it lasted, the longest_gap_ms around it, first_round_ms from its end
                         to the next answer, and of a node that was started again joined_ms from then until a round
                         landed in which it observed. reports is there too
  feeds                  with --feeds: what so many feeds cost a node, in the mean of the nodes, from when every node had observed in
                         every feed: processes with their memory, processor, goroutines and descriptors; cpu_per_round_ms;
                         calls_per_block of the chain, by method in calls, and the posts_per_block that held them; metrics_bytes
                         and metrics_ms of a scrape; log_lines_per_minute, written_per_minute; ready_seconds and
                         observing_seconds of a node that is started again; and how each feed fared
  duration_ms            all of it, with the clearing up
  error                  why it failed; absent when it did not

With --hosts each node has a network namespace of its own, and a switch in devnet joins them; it needs root and
/dev/net/tun. The nodes meet by the defaults of their configuration, and know node 0 alone as a bootstrapper. Each --net is
an event. Its times count from the first round, nodes are numbered as they are named, and chain stands for what is not a
node; one group of hosts alone is set against all others. What begins with the start has no time. Examples:
` + hosts.Examples + `

A job template (--job-template) is a job spec in TOML with the fields of Go's text/template:
  .Node .Relay .ChainID .Contract .TransmitterID .BundleID
  .Bootstrappers         all nodes, each PEERID@HOST:PORT
  .PriceURL .PricePath   what an http task fetches, and where a jsonparse task finds the price in it
  .BridgeName .BridgeURL a bridge that every node has; it answers {"data":{"result":"PRICE"}}
  .JuelsURL              answers {"data":{"result":"JUELS"}}: of an ether, a lamport or a FRI
  .Decimals .Scale       of the contract's answers: 8, and 100000000
  .OCR2Program .StoreProgram .Transmissions
                         addresses on Solana, where .Contract is the feed's state
  .Product .OCRVersion   with --product, the name of its plugin, and 2 or 3
  .AccountAddress .GasPriceURL
                         on Starknet, where .TransmitterID is the public key of that account; the URL answers
                         {"data":{"result":"FRI"}}
  quoted X               a text, or a list of them, as TOML strings`

func main() {
	// A terminal that closes is a reason to clear up too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// So is a pipe that nobody reads any more, but its signal would end the process on the spot, and once it is asked for
	// it comes for every broken connection. It is asked for here and dropped; writes that fail tell the same, see output.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := command(os.Stdout, os.Stderr).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "devnet: "+err.Error())
		os.Exit(1)
	}
}

// output calls gone when nobody takes what is written.
type output struct {
	io.Writer
	gone func()
}

func (o output) Write(text []byte) (int, error) {
	n, err := o.Writer.Write(text)
	if err != nil {
		o.gone()
	}
	return n, err
}

// defaultTimeout is long enough for tens of rounds on a busy machine.
const defaultTimeout = 2 * time.Minute

// aimTimeout is what a kill that aims takes at most.
const aimTimeout = 4 * time.Second

func command(stdout, stderr *os.File) *cobra.Command {
	config := session.Config{}
	var asJSON bool
	var minimum time.Duration
	c := &cobra.Command{
		Use:           "devnet",
		Short:         "Run an oracle network on this machine",
		Long:          long,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := c.Flags()
	flags.IntVar(&config.Rounds, "rounds", 0, "end after so many transmissions; 0: go on until Ctrl-C")
	flags.DurationVar(&config.Timeout, "timeout", defaultTimeout,
		"fail when the rounds and kills take longer, or end then without either; 0: never\n(the default holds with "+
			"--rounds, --kills or a --net with a time only, and leaves time for the kills and events)")
	flags.DurationVar(&minimum, "min-max-duration-query", 0,
		"the nodes' CL_MIN_OCR2_MAX_DURATION_QUERY (default: the nodes' own)")
	chainFlags(flags, &config)
	nodeFlags(flags, &config)
	faultFlags(flags, &config)
	priceFlags(flags, &config)
	productFlags(flags, &config)
	flags.BoolVar(&asJSON, "json", false, "end with a JSON object on stdout; progress goes to stderr")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config.FallBack = !flags.Changed("http-port")
		if flags.Changed("min-max-duration-query") {
			config.Variables = map[string]string{"CL_MIN_OCR2_MAX_DURATION_QUERY": minimum.String()}
		}
		if !flags.Changed("timeout") {
			config.Timeout = timeout(config)
		}
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		result, err := session.Run(ctx, config, display(stdout, stderr, asJSON, cancel))
		if asJSON {
			return writeResult(stdout, result, err)
		}
		return err
	}
	return c
}

// timeout is how long a session takes at most that is given no limit; 0: it has no end.
func timeout(config session.Config) time.Duration {
	if config.Rounds == 0 && config.Kills == 0 && session.NetLength(config) == 0 {
		return 0
	}
	each := 2 * config.KillEvery
	if config.Aim {
		each += aimTimeout
	}
	return defaultTimeout + time.Duration(config.Kills)*each + session.NetLength(config)
}

// chainFlags are those of the feed's chain.
func chainFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.StringVar(&config.Chain, "chain", "evm", "the feed's chain: evm, solana or starknet")
	flags.StringVar(&config.StarknetRPC, "starknet-rpc", "",
		"with --chain starknet, the version of the JSON-RPC that its node serves: 0.8, 0.9 or 0.10 (default: 0.10)")
	flags.StringVar(&config.RPC, "rpc", "", "`URL` of an RPC node of an EVM chain to use in place of devnet's own")
	flags.StringVar(&config.KeyFile, "key-file", "",
		"with --rpc: file with the key of the account that pays, a Web3 wallet or hexadecimal\n"+
			"(default: the RPC node signs for the first account of its own)")
	flags.StringVar(&config.PasswordFile, "password-file", "",
		"file with the password of the wallet that --key-file names")
	flags.StringVar(&config.Fund, "fund", "1",
		"with --rpc: how many coins each node gets; what it does not spend is not given back")
}

// nodeFlags are those of the nodes and their plugins.
func nodeFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.IntVar(&config.Feeds, "feeds", 0,
		"measure what so many feeds cost the nodes, each with a round in 10 s, or a tenth of a second for each of them\n"+
			"if that is more; --rounds are those of each feed while it is measured")
	flags.IntVar(&config.Nodes, "nodes", 4, "number of nodes, 4 to 31, on Solana to 19")
	flags.DurationVar(&config.MaxDurationQuery, "max-duration-query", session.DefaultMaxDurationQuery,
		"MaxDurationQuery in the feed's configuration; 0 is what real feeds have")
	flags.BoolVar(&config.InProcess, "in-process", false, "run the plugins inside the nodes")
	flags.IntVar(&config.HTTPPort, "http-port", 6688,
		"the first node's port for operators, the next nodes count up; 0: free ones\n(free ones are taken too when the "+
			"default is in use)")
	flags.BoolVar(&config.Keep, "keep", false, "leave the nodes' folder, with their logs")
	flags.StringSliceVar(&config.Langs, "langs", nil,
		"languages of the plugins, which the nodes take in turn: go, python\n(default: go)")
	flags.StringArrayVar(&config.Plugins, "plugin", nil,
		"`NAME=COMMAND` of a plugin that every node runs in place of devnet's: median, or the chain's name for its "+
			"relayer,\nor relayer:RELAY for one that serves the chain as a relay of its own; may be repeated. Paths in the "+
			"command's arguments must be absolute")
	flags.StringVar(&config.BinDir, "bin-dir",
		"",
		"folder of the programs loop, loop-median and that of the chain's relayer, such as loop-evm\n(default: that of "+
			"devnet itself, or ./bin)")
}

// faultFlags say what befalls nodes, plugins and the network.
func faultFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.DurationVar(&config.KillEvery, "kill-every",
		0, "kill a random process so often in the mean, and check in the end that nothing which nodes accepted is lost")
	flags.StringSliceVar(&config.Kill, "kill",
		nil, "what to kill: nodes, which are started again, plugins, network, which is all nodes at once\n(default: plugins)")
	flags.IntVar(&config.Kills, "kills", 0, "go on until so many kills, as well as the rounds; 0: any number")
	flags.BoolVar(&config.Aim, "aim", false,
		"have every second kill wait until its node hands a report to the relayer, where most can be lost")
	flags.BoolVar(&config.Hosts, "hosts", false, "give each node a network namespace of its own; it needs root")
	flags.StringArrayVar(&config.Net, "net", nil,
		"`EVENT` on the network of --hosts, such as 'split 0,1|2,3 at 20s for 60s'; may be repeated. The session goes "+
			"on\nuntil all are over and the feed has gone on")
	flags.DurationVar(&config.HealedWithin, "healed-within",
		0, "fail when the next round takes longer after the end of an event; 0: any time")
	flags.DurationVar(&config.JoinedWithin, "joined-within",
		0, "fail when a node that an event started again takes longer until a round lands in which it observed; 0: any time")
}

// priceFlags are those of what the nodes observe.
func priceFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.StringVar(&config.JobTemplate, "job-template", "", "file with a template of the nodes' jobs")
	flags.StringVar(&config.Source, "source", "", "URL where the nodes fetch the price, instead of devnet's own")
	flags.StringVar(&config.SourcePath, "source-path", "data,result", "where the price stands in the source's JSON")
	flags.StringVar(&config.Price, "price", "",
		"a price that stands still and that nodes read as a JSON number, instead of devnet's walk;\nevery answer must be "+
			"exactly it")
	flags.Uint64Var(&config.Seed, "seed", 1, "fixes devnet's own prices and its choice of what to kill")
}

// productFlags are those of products.
func productFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.StringVar(&config.Product, "product", "",
		"`NAME=COMMAND` of a product that every node runs in place of the median. Paths in the command's\n"+
			"arguments must be absolute")
	flags.IntVar(&config.OCR, "ocr", 0, "version of the protocol: 2 or 3 (default: 3 with --product, 2 without)")
	flags.StringVar(&config.ProductConfig, "product-config", "",
		"the product's part of the contract's off-chain configuration, `JSON` or a file (default: empty)")
	flags.StringVar(&config.Check, "check", "", "how the answers of a product are checked: each\n"+
		"range   lies within the prices that the nodes were told\n"+
		"median  is the median of prices that its nodes were told at its time\n"+
		"twap    is the time-weighted average of such medians over the window of --product-config, 60 s without\n"+
		"none    is taken as it is\n"+
		"(default: range, or none with --source or --job-template)")
	flags.BoolVar(&config.NoLostVotes, "no-lost-votes", false,
		"fail when a call of the product loses a vote over OCR3, unless the epoch ended meanwhile")
}

// display is a table on a terminal, and lines everywhere else. It calls gone when nobody reads them.
func display(stdout, stderr *os.File, asJSON bool, gone func()) session.Display {
	if asJSON {
		return table.NewLines(output{stderr, gone})
	}
	if screen, ok := table.NewScreen(stdout); ok {
		return screen
	}
	return table.NewLines(output{stdout, gone})
}

// writeResult writes the result of a session that ended with err, and returns err.
func writeResult(out io.Writer, result session.Result, err error) error {
	if writeErr := json.NewEncoder(out).Encode(result); writeErr != nil && err == nil {
		return fmt.Errorf("write the result: %w", writeErr)
	}
	return err
}
