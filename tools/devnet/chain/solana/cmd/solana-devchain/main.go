// Solana-devchain runs a Solana chain with OCR2 feeds on it, for the tests of whatever talks to one.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gagliardetto/solana-go"
	"github.com/spf13/cobra"

	"github.com/loop-plugins/loop/tools/devnet/chain/console"
	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/chain/solana/feed"
	"github.com/loop-plugins/loop/tools/devnet/chain/solana/svm"
)

const long = `Solana-devchain runs a Solana chain on this machine: a real virtual machine (LiteSVM) behind the
JSON-RPC and WebSocket interfaces of a validator, with the ocr_2 and store programs and feeds on it.

It prints one line of JSON and ends when its standard input does:
  rpc_url, ws_url        of the first node; nodes lists them all
  admin_url              serves like a node that never fails, and the methods loop_setAccount, loop_addProgram,
                         loop_airdrop, loop_warp, loop_tick and loop_fault (tools/devnet/chain/solana/README.md)
  ocr2_program_id, store_program_id, access_controller_program_id
  feeds                  each with state, transmissions, store_authority, store_bump, vault_authority, token_mint,
                         token_vault, config_digest (hex) and config_count
  f                      how many of the oracles may be faulty
  oracles                in the order of their numbers, with the private keys of their signers (hex) and
                         transmitters (base58), which are funded

A line "configure N" on its standard input configures feed N (from 0) again, with the same oracles, and prints the
feed as a line of JSON.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command(os.Stdin, os.Stdout).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "solana-devchain: "+err.Error())
		os.Exit(1)
	}
}

// config is what a user chooses.
type config struct {
	settings         svm.Settings
	feeds, oracles   int
	maxDurationQuery time.Duration
}

func command(stdin io.Reader, stdout io.Writer) *cobra.Command {
	config := config{}
	c := &cobra.Command{
		Use: "solana-devchain", Short: "Run a Solana chain with OCR2 feeds", Long: long, Args: cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), config, stdin, stdout) },
	}
	flags := c.Flags()
	flags.IntVar(&config.feeds, "feeds", 1, "number of feeds")
	flags.IntVar(&config.oracles, "oracles", 4, "number of oracles, 4 to 19")
	flags.DurationVar(&config.maxDurationQuery, "max-duration-query", ocr2.DefaultTiming().MaxDurationQuery,
		"MaxDurationQuery in the feeds' configuration")
	flags.IntVar(&config.settings.Nodes, "nodes", 1, "number of RPC nodes")
	flags.DurationVar(&config.settings.SlotTime, "slot-time", 200*time.Millisecond,
		"time between slots; negative: slots come by loop_warp alone")
	flags.IntVar(&config.settings.HashWindow, "hash-window", 150, "age in slots at which blockhashes expire")
	flags.IntVar(&config.settings.FinalizedAfter, "finalized-after", 31, "age in slots at which blocks are final")
	flags.StringVar(&config.settings.Dir, "dir", "",
		"folder of the chain's programs (default: solana beside this program, or ./bin/solana)")
	return c
}

type feedJSON struct {
	State          solana.PublicKey `json:"state"`
	Transmissions  solana.PublicKey `json:"transmissions"`
	StoreAuthority solana.PublicKey `json:"store_authority"`
	StoreBump      uint8            `json:"store_bump"`
	VaultAuthority solana.PublicKey `json:"vault_authority"`
	TokenMint      solana.PublicKey `json:"token_mint"`
	TokenVault     solana.PublicKey `json:"token_vault"`
	ConfigDigest   string           `json:"config_digest"`
	ConfigCount    int              `json:"config_count"`
}

type oracleJSON struct {
	Signer                string           `json:"signer"`
	SignerPrivateKey      string           `json:"signer_private_key"`
	Transmitter           solana.PublicKey `json:"transmitter"`
	TransmitterPrivateKey string           `json:"transmitter_private_key"`
}

type chainJSON struct {
	svm.Node
	Nodes                     []svm.Node       `json:"nodes"`
	AdminURL                  string           `json:"admin_url"`
	OCR2ProgramID             solana.PublicKey `json:"ocr2_program_id"`
	StoreProgramID            solana.PublicKey `json:"store_program_id"`
	AccessControllerProgramID solana.PublicKey `json:"access_controller_program_id"`
	Feeds                     []feedJSON       `json:"feeds"`
	F                         int              `json:"f"`
	Oracles                   []oracleJSON     `json:"oracles"`
}

// devchain is a chain with its feeds.
type devchain struct {
	config  config
	chain   *svm.Chain
	feeds   []*feed.Feed
	counts  []int // of each feed's configurations
	oracles []feed.Oracle
	out     *json.Encoder
}

func run(ctx context.Context, config config, stdin io.Reader, stdout io.Writer) error {
	if config.feeds < 1 || config.oracles < feed.MinOracles || config.oracles > feed.MaxOracles {
		return fmt.Errorf("%d feeds of %d oracles are asked for; give 1 feed or more, of %d to %d oracles",
			config.feeds, config.oracles, feed.MinOracles, feed.MaxOracles)
	}
	if config.settings.Dir == "" {
		var err error
		if config.settings.Dir, err = svm.Locate(); err != nil {
			return err
		}
	}
	chain, err := svm.Start(ctx, config.settings)
	if err != nil {
		return err
	}
	defer chain.Close()
	d := &devchain{config: config, chain: chain, out: json.NewEncoder(stdout)}
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.console(stdin).Obey(ctx, chain.Ended()); err != nil {
		return err
	}
	select {
	case <-chain.Ended():
		return fmt.Errorf("the chain ended by itself and printed:\n%s", chain.Tail())
	default:
		return nil
	}
}

// start makes the feeds and says where everything is.
func (d *devchain) start(ctx context.Context) error {
	if err := feed.Load(ctx, d.chain, d.config.settings.Dir); err != nil {
		return err
	}
	said := chainJSON{
		Node: d.chain.Nodes()[0], Nodes: d.chain.Nodes(), AdminURL: d.chain.AdminURL(), OCR2ProgramID: feed.OCR2Program,
		StoreProgramID: feed.StoreProgram, AccessControllerProgramID: feed.AccessControllerProgram,
		F: ocr2.Faulty(d.config.oracles),
	}
	members := map[[20]byte]feed.Member{}
	for range d.config.oracles {
		member, err := feed.NewMember()
		if err != nil {
			return err
		}
		members[member.Signer] = member
		d.oracles = append(d.oracles, member.Oracle)
	}
	d.oracles = feed.Sort(d.oracles)
	for _, oracle := range d.oracles {
		member := members[oracle.Signer]
		said.Oracles = append(said.Oracles, oracleJSON{
			hex.EncodeToString(member.Signer[:]), hex.EncodeToString(member.SignerKey.Serialize()), member.Transmitter,
			member.TransmitterKey.String(),
		})
	}
	for number := range d.config.feeds {
		deployed, err := feed.Deploy(ctx, d.chain, feed.Settings{})
		if err != nil {
			return err
		}
		d.feeds, d.counts = append(d.feeds, deployed), append(d.counts, 0)
		shown, err := d.configure(ctx, number)
		if err != nil {
			return err
		}
		said.Feeds = append(said.Feeds, shown)
	}
	return d.out.Encode(said)
}

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
	d.counts[number]++
	return feedJSON{
		State: f.State, Transmissions: f.Transmissions, StoreAuthority: f.StoreAuthority, StoreBump: f.StoreBump,
		VaultAuthority: f.VaultAuthority, TokenMint: f.TokenMint, TokenVault: f.TokenVault, ConfigDigest: digest.Hex(),
		ConfigCount: d.counts[number],
	}, nil
}
