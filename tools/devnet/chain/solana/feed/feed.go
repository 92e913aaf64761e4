// Package feed puts an OCR2 feed on a Solana test chain: the ocr_2 and store programs, the feed's accounts, and the
// configuration of its oracles. It reads the layout of the deployed programs by its own offsets, so that it can check
// what relayers read and write.
//
// It must not know of nodes, jobs or prices.
package feed

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/big"
	"path/filepath"

	"github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/programs/system"
	"github.com/gagliardetto/solana-go/rpc"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/chain/solana/svm"
)

// The addresses of the programs, as on Solana's networks.
var (
	OCR2Program             = solana.MustPublicKeyFromBase58("cjg3oHmg9uuPsP8D6g29NWvhySJkdYdAo9D25PRbKXJ")
	StoreProgram            = solana.MustPublicKeyFromBase58("HEvSKofvBgfaexv23kMabbYqxasxU3mQ4ibBMEmJWHny")
	AccessControllerProgram = solana.MustPublicKeyFromBase58("9xi644bRR8birboDGdTiwBq3C7VEeR7VuamRYYXCubUW")
)

const (
	// Decimals is the number of decimals in a feed's answers.
	Decimals = 8
	// MinOracles and MaxOracles bound a feed: fewer outvote no faulty oracle, and the state has room for no more.
	MinOracles = ocr2.MinOracles
	MaxOracles = 19
	// description is what the feed says of itself.
	description = "loop devnet"
	// The feed keeps so many rounds, and every granularity-th of as many again.
	liveLength       = 1024
	historicalLength = 64
	granularity      = 30
	// flaggingThreshold raises the feed's flag at jumps of more than half, in units of a thousandth of a percent.
	flaggingThreshold = 50_000
	// ownerFunds pay for accounts and transactions, vaultFunds are LINK for the oracles, with 9 decimals.
	ownerFunds = 1000 * solana.LAMPORTS_PER_SOL
	vaultFunds = 1_000_000_000_000_000
)

// Answers are limited to this range, which no price of a demonstration reaches.
var (
	minAnswer = big.NewInt(1)
	maxAnswer = new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)
)

// Settings say which feed to make. What is zero is chosen.
type Settings struct {
	// Min and Max bound the answers; nil: 1 and 10^30.
	Min, Max *big.Int
	// LiveLength and HistoricalLength are the lengths of the two rings in rounds, Granularity the distance between two
	// rounds of the second; 0: 1024, 64 and 30. A negative HistoricalLength is none.
	LiveLength, HistoricalLength int
	Granularity                  uint8
}

// Feed is a feed on a chain.
type Feed struct {
	chain    *svm.Chain
	client   *rpc.Client
	owner    solana.PrivateKey
	min, max *big.Int

	// State and Transmissions are the feed's accounts.
	State, Transmissions solana.PublicKey
	// StoreAuthority may write to the feed, VaultAuthority may spend the vault; both are derived from State.
	StoreAuthority, VaultAuthority solana.PublicKey
	// StoreBump makes StoreAuthority, and comes first in each transmission.
	StoreBump uint8
	// TokenMint is LINK, TokenVault holds it for the oracles.
	TokenMint, TokenVault solana.PublicKey
	// RequesterAccess and BillingAccess are empty access controllers.
	RequesterAccess, BillingAccess solana.PublicKey
}

// Load loads the programs from a folder, see svm.Locate, into a chain. Load them once; a chain has room for many feeds.
func Load(ctx context.Context, chain *svm.Chain, dir string) error {
	for file, program := range map[string]solana.PublicKey{"ocr_2.so": OCR2Program, "store.so": StoreProgram} {
		path, err := filepath.Abs(filepath.Join(dir, file))
		if err != nil {
			return fmt.Errorf("load the program %s: %w", file, err)
		}
		if err := chain.AddProgram(ctx, program, path); err != nil {
			return fmt.Errorf("load the program %s: %w", path, err)
		}
	}
	return nil
}

// Deploy makes an unconfigured feed.
func Deploy(ctx context.Context, chain *svm.Chain, settings Settings) (*Feed, error) {
	f := &Feed{chain: chain, client: rpc.New(chain.AdminURL()), min: settings.Min, max: settings.Max}
	if f.min == nil {
		f.min = minAnswer
	}
	if f.max == nil {
		f.max = maxAnswer
	}
	if settings.LiveLength == 0 {
		settings.LiveLength = liveLength
	}
	switch {
	case settings.HistoricalLength == 0:
		settings.HistoricalLength = historicalLength
	case settings.HistoricalLength < 0:
		settings.HistoricalLength = 0
	}
	if settings.Granularity == 0 {
		settings.Granularity = granularity
	}
	if err := f.deploy(ctx, settings); err != nil {
		return nil, fmt.Errorf("deploy the feed: %w", err)
	}
	return f, nil
}

func (f *Feed) deploy(ctx context.Context, settings Settings) error {
	var keys []solana.PrivateKey
	for range 6 {
		key, err := solana.NewRandomPrivateKey()
		if err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
		keys = append(keys, key)
	}
	f.owner = keys[0]
	state, transmissions := keys[1], keys[2]
	f.State, f.Transmissions, f.TokenMint = state.PublicKey(), transmissions.PublicKey(), keys[3].PublicKey()
	f.RequesterAccess, f.BillingAccess = keys[4].PublicKey(), keys[5].PublicKey()
	if err := f.derive(); err != nil {
		return err
	}
	if err := f.chain.Airdrop(ctx, f.owner.PublicKey(), ownerFunds); err != nil {
		return err
	}
	if err := f.writeTokens(ctx); err != nil {
		return err
	}
	size := ringOffset + recordSize*(settings.LiveLength+settings.HistoricalLength)
	create, err := f.createAccount(ctx, f.Transmissions, size, StoreProgram)
	if err != nil {
		return err
	}
	err = f.send(ctx, []solana.PrivateKey{transmissions},
		create,
		createFeed(f.Transmissions, f.owner.PublicKey(), description, Decimals, settings.Granularity,
			uint32(settings.LiveLength)),
		setWriter(f.Transmissions, f.owner.PublicKey(), f.StoreAuthority),
		setValidatorConfig(f.Transmissions, f.owner.PublicKey(), flaggingThreshold),
	)
	if err != nil {
		return fmt.Errorf("create the account of the answers: %w", err)
	}
	if create, err = f.createAccount(ctx, f.State, stateSize, OCR2Program); err != nil {
		return err
	}
	if err := f.send(ctx, []solana.PrivateKey{state}, create, f.initialize()); err != nil {
		return fmt.Errorf("create the account of the state: %w", err)
	}
	return nil
}

// derive finds the addresses that follow from the state's.
func (f *Feed) derive() (err error) {
	if f.StoreAuthority, f.StoreBump, err = solana.FindProgramAddress([][]byte{[]byte("store"), f.State[:]},
		OCR2Program); err != nil {
		return fmt.Errorf("derive the store authority: %w", err)
	}
	if f.VaultAuthority, _, err = solana.FindProgramAddress([][]byte{[]byte("vault"), f.State[:]},
		OCR2Program); err != nil {
		return fmt.Errorf("derive the vault authority: %w", err)
	}
	if f.TokenVault, _, err = solana.FindAssociatedTokenAddress(f.VaultAuthority, f.TokenMint); err != nil {
		return fmt.Errorf("derive the token vault: %w", err)
	}
	return nil
}

// writeTokens writes the accounts that other programs would make: the LINK token, a full vault, and empty access
// controllers.
func (f *Feed) writeTokens(ctx context.Context) error {
	mint := make([]byte, 82)
	binary.LittleEndian.PutUint64(mint[36:], vaultFunds) // the supply
	mint[44] = 9                                         // decimals
	mint[45] = 1                                         // initialized
	if err := f.write(ctx, f.TokenMint, mint, solana.TokenProgramID); err != nil {
		return fmt.Errorf("write the LINK token: %w", err)
	}
	if err := f.writeTokenAccount(ctx, f.TokenVault, f.VaultAuthority, vaultFunds); err != nil {
		return fmt.Errorf("write the token vault: %w", err)
	}
	for _, controller := range []solana.PublicKey{f.RequesterAccess, f.BillingAccess} {
		// Owner, proposed owner, 64 keys and their number.
		data := make([]byte, 8+32+32+64*32+8)
		copy(data, discriminator("account:AccessController"))
		copy(data[8:], f.owner.PublicKey().Bytes())
		if err := f.write(ctx, controller, data, AccessControllerProgram); err != nil {
			return fmt.Errorf("write an access controller: %w", err)
		}
	}
	return nil
}

func (f *Feed) writeTokenAccount(ctx context.Context, address, owner solana.PublicKey, amount uint64) error {
	data := make([]byte, 165)
	copy(data, f.TokenMint[:])
	copy(data[32:], owner[:])
	binary.LittleEndian.PutUint64(data[64:], amount)
	data[108] = 1 // initialized
	return f.write(ctx, address, data, solana.TokenProgramID)
}

func (f *Feed) write(ctx context.Context, address solana.PublicKey, data []byte, owner solana.PublicKey) error {
	rent, err := f.client.GetMinimumBalanceForRentExemption(ctx, uint64(len(data)), rpc.CommitmentProcessed)
	if err != nil {
		return fmt.Errorf("ask for the rent of %d bytes: %w", len(data), err)
	}
	return f.chain.SetAccount(ctx, address, svm.Account{Lamports: rent, Data: data, Owner: owner})
}

func (f *Feed) createAccount(ctx context.Context, address solana.PublicKey, size int,
	owner solana.PublicKey) (solana.Instruction, error) {
	rent, err := f.client.GetMinimumBalanceForRentExemption(ctx, uint64(size), rpc.CommitmentProcessed)
	if err != nil {
		return nil, fmt.Errorf("ask for the rent of %d bytes: %w", size, err)
	}
	return system.NewCreateAccountInstruction(rent, uint64(size), owner, f.owner.PublicKey(), address).Build(), nil
}
