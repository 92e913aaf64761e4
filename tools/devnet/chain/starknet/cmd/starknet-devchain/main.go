// Starknet-devchain runs a model of a Starknet network with OCR2 feeds on it, for the tests of whatever talks to one.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/console"
	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/feed"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/rpc"
)

const long = `Starknet-devchain runs a network on this machine that answers as Starknet does: nodes with JSON-RPC 0.8, 0.9 or 0.10, and on it
accounts, the fee token and OCR2 feeds. It is a model in Go, not Cairo (tools/devnet/chain/starknet/README.md says what holds it to that).

It prints one line of JSON and ends when its standard input does:
  rpc_url                of the first node; nodes lists the addresses of all
  admin_url              serves like a node that never fails, and the methods that begin with loop_ (tools/devnet/chain/starknet/README.md)
  chain_id               the network's name
  fee_token              the contract of STRK
  account_class_hash, aggregator_class_hash
  owner                  address and private_key of the account that owns the feeds
  feeds                  each with address, config_digest (hex), config_count and config_block
  f                      how many of the oracles may be faulty
  oracles                in the order of their numbers: signer and signer_private_key of their reports, and transmitter,
                         transmitter_public_key and transmitter_private_key of their accounts, which are funded

A line "configure N" on its standard input configures feed N (from 0) again, with the same oracles, and prints the
feed as a line of JSON.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command(os.Stdin, os.Stdout).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starknet-devchain: "+err.Error())
		os.Exit(1)
	}
}

// config is what a user chooses.
type config struct {
	chain                 chain.Settings
	versions              []string
	nodes, feeds, oracles int
	maxDurationQuery      time.Duration
}

func command(stdin io.Reader, stdout io.Writer) *cobra.Command {
	config := config{}
	c := &cobra.Command{
		Use: "starknet-devchain", Short: "Run a model of a Starknet network with OCR2 feeds", Long: long, Args: cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), config, stdin, stdout) },
	}
	flags := c.Flags()
	flags.StringVar(&config.chain.ChainID, "chain-id", chain.DefaultChainID, "the network's name")
	flags.IntVar(&config.feeds, "feeds", 1, "number of feeds")
	flags.IntVar(&config.oracles, "oracles", 4, "number of oracles, 4 to 31")
	flags.IntVar(&config.nodes, "nodes", 1, "number of RPC nodes")
	flags.StringSliceVar(&config.versions, "rpc", []string{"0.10"},
		"versions of the JSON-RPC that the nodes serve, which take them in turn: 0.8, 0.9, 0.10")
	flags.DurationVar(&config.chain.BlockTime, "block-time", time.Second,
		"time between blocks; negative: blocks come by loop_createBlock alone")
	flags.Uint64Var(&config.chain.L1After, "l1-after", 0, "after how many more blocks a block is accepted on L1; 0: never")
	flags.DurationVar(&config.maxDurationQuery, "max-duration-query", ocr2.DefaultTiming().MaxDurationQuery,
		"MaxDurationQuery in the feeds' configuration")
	return c
}

type feedJSON struct {
	Address      stark.Felt `json:"address"`
	ConfigDigest string     `json:"config_digest"`
	ConfigCount  uint64     `json:"config_count"`
	ConfigBlock  uint64     `json:"config_block"`
}

type oracleJSON struct {
	Signer                stark.Felt `json:"signer"`
	SignerPrivateKey      string     `json:"signer_private_key"`
	Transmitter           stark.Felt `json:"transmitter"`
	TransmitterPublicKey  stark.Felt `json:"transmitter_public_key"`
	TransmitterPrivateKey string     `json:"transmitter_private_key"`
}

type ownerJSON struct {
	Address    stark.Felt `json:"address"`
	PrivateKey string     `json:"private_key"`
}

type chainJSON struct {
	RPCURL          string       `json:"rpc_url"`
	Nodes           []string     `json:"nodes"`
	AdminURL        string       `json:"admin_url"`
	ChainID         string       `json:"chain_id"`
	FeeToken        stark.Felt   `json:"fee_token"`
	AccountClass    stark.Felt   `json:"account_class_hash"`
	AggregatorClass stark.Felt   `json:"aggregator_class_hash"`
	Owner           ownerJSON    `json:"owner"`
	Feeds           []feedJSON   `json:"feeds"`
	F               int          `json:"f"`
	Oracles         []oracleJSON `json:"oracles"`
}

// devchain is a network with its feeds.
type devchain struct {
	config  config
	chain   *chain.Chain
	network *rpc.Network
	feeds   []*feed.Feed
	oracles []feed.Oracle
	out     *json.Encoder
}

func run(ctx context.Context, config config, stdin io.Reader, stdout io.Writer) (err error) {
	if config.feeds < 1 || config.nodes < 1 || config.oracles < feed.MinOracles || config.oracles > feed.MaxOracles {
		return fmt.Errorf("%d feeds of %d oracles on %d nodes are asked for; give 1 feed or more, of %d to %d oracles, on "+
			"1 node or more",
			config.feeds, config.oracles, config.nodes, feed.MinOracles, feed.MaxOracles)
	}
	settings := rpc.Settings{Nodes: config.nodes}
	for _, text := range config.versions {
		version, err := chain.ParseVersion(text)
		if err != nil {
			return fmt.Errorf("--rpc: %w", err)
		}
		settings.Versions = append(settings.Versions, version)
	}
	d := &devchain{config: config, out: json.NewEncoder(stdout)}
	if d.chain, err = chain.New(config.chain); err != nil {
		return err
	}
	defer d.chain.Close()
	if d.network, err = rpc.Start(d.chain, settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.network.Close()) }()
	if err := d.start(ctx); err != nil {
		return err
	}
	return d.console(stdin).Obey(ctx, nil)
}

// start makes the feeds and says where everything is.
func (d *devchain) start(ctx context.Context) error {
	owner := d.chain.Owner()
	said := chainJSON{
		RPCURL: d.network.URLs()[0], Nodes: d.network.URLs(), AdminURL: d.network.AdminURL(), ChainID: d.chain.Name(),
		FeeToken:     chain.FeeToken(),
		AccountClass: chain.AccountClass(), AggregatorClass: chain.AggregatorClass(),
		Owner: ownerJSON{owner.Address, secret(owner.Key)}, F: ocr2.Faulty(d.config.oracles),
	}
	for range d.config.oracles {
		member, err := feed.NewMember()
		if err != nil {
			return err
		}
		d.oracles = append(d.oracles, member.Oracle)
		d.chain.DeployAccount(member.Account.Key.Public(), transmitterFunds())
		said.Oracles = append(said.Oracles, oracleJSON{
			member.Signer, secret(member.SignerKey), member.Transmitter, member.Account.Key.Public(), secret(member.Account.Key),
		})
	}
	for number := range d.config.feeds {
		deployed, err := feed.Deploy(d.chain, feed.Settings{})
		if err != nil {
			return err
		}
		d.feeds = append(d.feeds, deployed)
		shown, err := d.configure(ctx, number)
		if err != nil {
			return err
		}
		said.Feeds = append(said.Feeds, shown)
	}
	return d.out.Encode(said)
}

// transmitterFunds are 1000 STRK, which pay for some 100,000 transmissions.
func transmitterFunds() *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(21), nil) }

func secret(key *stark.Key) string { return "0x" + hex.EncodeToString(key.Secret()) }

func (d *devchain) console(stdin io.Reader) *console.Console {
	configure := func(ctx context.Context, feed int) (any, error) { return d.configure(ctx, feed) }
	return &console.Console{In: stdin, Out: d.out, Feeds: len(d.feeds), Configure: configure}
}

func (d *devchain) configure(ctx context.Context, number int) (feedJSON, error) {
	f := d.feeds[number]
	digest, err := f.Configure(ctx, d.oracles, ocr2.Timing{MaxDurationQuery: d.config.maxDurationQuery})
	if err != nil {
		return feedJSON{}, err
	}
	details, err := f.Call(ctx, d.network.AdminURL(), "latest_config_details")
	if err != nil {
		return feedJSON{}, err
	}
	count, _ := details[0].Uint64()
	block, _ := details[1].Uint64()
	d.chain.MakeBlock() // so that readers of complete blocks find it, too
	return feedJSON{Address: f.Address(), ConfigDigest: digest.Hex(), ConfigCount: count, ConfigBlock: block}, nil
}
