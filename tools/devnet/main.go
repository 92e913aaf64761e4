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
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/loop-plugins/loop/tools/devnet/internal/session"
	"github.com/loop-plugins/loop/tools/devnet/internal/table"
)

func main() {
	// A terminal that closes is a reason to clear up too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// So is a pipe that nobody reads any more. Its signal would end the process at once, and if asked for comes for every
	// broken connection too. So it is asked for and dropped here; writes that fail tell the same, see output.
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
	c.SetUsageTemplate(strings.ReplaceAll(c.UsageTemplate(), "FlagUsages", "FlagUsagesWrapped "+helpColumns))
	flags := c.Flags()
	flags.IntVar(&config.Rounds, "rounds", 0, "end after so many transmissions; 0: go on until Ctrl-C")
	flags.DurationVar(&config.Timeout, "timeout", defaultTimeout,
		"fail when the rounds and kills take longer, or end then if there are neither; 0: never (the default applies "+
			"only with --rounds, --kills or a --net with a time, and leaves time for kills, events and --feeds)")
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
	return defaultTimeout + time.Duration(config.Kills)*each + session.NetLength(config) + session.FeedsLength(config)
}

// chainFlags are those of the feed's chain.
func chainFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.StringVar(&config.Chain, "chain", "evm", "the feed's chain: evm, solana or starknet")
	flags.StringVar(&config.StarknetRPC, "starknet-rpc", "",
		"with --chain starknet, the version of the JSON-RPC that its node serves: 0.8, 0.9 or 0.10 (default: 0.10)")
	flags.StringVar(&config.RPC, "rpc", "", "`URL` of an RPC node of an EVM chain to use in place of devnet's own")
	flags.StringVar(&config.KeyFile, "key-file", "",
		"with --rpc: file with the key of the account that pays, a Web3 wallet or hexadecimal digits (default: the RPC "+
			"node signs with its first account)")
	flags.StringVar(&config.PasswordFile, "password-file", "",
		"file with the password of the wallet that --key-file names")
	flags.StringVar(&config.Fund, "fund", "1",
		"with --rpc: how many coins each node gets; what is left is not given back")
}

// nodeFlags are those of the nodes and their plugins.
func nodeFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.IntVar(&config.Feeds, "feeds", 0,
		"measure what so many feeds cost the nodes; --rounds are those of each feed while it is measured")
	flags.DurationVar(&config.Pace, "pace", 0,
		"with --feeds: the time between two rounds of a feed (default: 10s or, if that is more, a tenth of a second for "+
			"each feed)")
	flags.IntVar(&config.Nodes, "nodes", 4, "number of nodes, 4 to 31, on Solana to 19")
	flags.DurationVar(&config.MaxDurationQuery, "max-duration-query", session.DefaultMaxDurationQuery,
		"MaxDurationQuery in the feed's configuration; real feeds have 0")
	flags.BoolVar(&config.InProcess, "in-process", false, "run the plugins inside the nodes")
	flags.IntVar(&config.HTTPPort, "http-port", 6688,
		"the first node's HTTP port, the next nodes have the next ports; 0: any free ones (they are also used when the "+
			"default is taken)")
	flags.BoolVar(&config.Keep, "keep", false, "leave the nodes' folder, with their logs")
	flags.StringSliceVar(&config.Langs, "langs", nil,
		"languages of the plugins, which the nodes use in turn: go, python (default: go)")
	flags.StringArrayVar(&config.Plugins, "plugin", nil,
		"`NAME=COMMAND` of a plugin that every node runs in place of devnet's. NAME is median, or the chain's name for its "+
			"relayer, or relayer:RELAY for one that serves the chain as a relay of its own; may be repeated. Paths in the "+
			"command's arguments must be absolute")
	flags.StringVar(&config.BinDir, "bin-dir",
		"",
		"folder of the programs loop, loop-median and that of the chain's relayer, such as loop-evm (default: that of "+
			"devnet itself, or ./bin)")
}

// faultFlags say what befalls nodes, plugins and the network.
func faultFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.DurationVar(&config.KillEvery, "kill-every",
		0, "kill a random process at this interval on average, and check at the end that no report is lost")
	flags.StringSliceVar(&config.Kill, "kill",
		nil, "what to kill: nodes (which are started again), plugins, network (all nodes at once) (default: plugins)")
	flags.IntVar(&config.Kills, "kills", 0, "go on until so many kills, as well as the rounds; 0: any number")
	flags.BoolVar(&config.Aim, "aim", false,
		"let every second kill wait until its node hands a report to the relayer, when most can be lost")
	flags.BoolVar(&config.Hosts, "hosts", false, "give each node a network namespace of its own; it needs root")
	flags.StringArrayVar(&config.Net, "net", nil,
		"`EVENT` on the network of --hosts, such as 'split 0,1|2,3 at 20s for 60s'; may be repeated. The session goes "+
			"on until all are over and the feed has gone on")
	flags.DurationVar(&config.HealedWithin, "healed-within",
		0, "fail when the next round comes later than this after the end of an event; 0: no limit")
	flags.DurationVar(&config.JoinedWithin, "joined-within",
		0, "fail when a node that an event started again takes longer until a round lands in which it observed; 0: no limit")
}

// priceFlags are those of what the nodes observe.
func priceFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.StringVar(&config.JobTemplate, "job-template", "", "file with a template of the nodes' jobs")
	flags.StringVar(&config.Source, "source", "", "URL at which the nodes fetch the price, instead of devnet's own")
	flags.StringVar(&config.SourcePath, "source-path", "data,result", "path of the price in the source's JSON")
	flags.StringVar(&config.Price, "price", "",
		"a constant price, which nodes read as a JSON number, instead of devnet's random walk; every answer must be "+
			"exactly it")
	flags.Uint64Var(&config.Seed, "seed", 1, "seed of devnet's own prices and of its choice of what to kill")
}

// productFlags are those of products.
func productFlags(flags *pflag.FlagSet, config *session.Config) {
	flags.StringVar(&config.Product, "product", "",
		"`NAME=COMMAND` of a product that every node runs in place of the median. Paths in the command's "+
			"arguments must be absolute")
	flags.IntVar(&config.OCR, "ocr", 0, "version of the protocol: 2 or 3 (default: 3 with --product, 2 without)")
	flags.StringVar(&config.ProductConfig, "product-config", "",
		"the product's part of the contract's off-chain configuration, `JSON` or a file (default: empty)")
	flags.StringVar(&config.Check, "check", "", "how a product's answers are checked. Each\n"+
		"range   lies within the prices that the nodes were given\n"+
		"median  is the median of prices that its nodes were given at its time\n"+
		"twap    is the time-weighted average of such medians over the window of\n"+
		"        --product-config, or 60 s\n"+
		"none    is accepted as it is\n"+
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
