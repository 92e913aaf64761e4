package keystore

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/mr-tron/base58"
)

// The relays of these tests, one for each algorithm. Their relayers are fakes: a name that follows from the public key.
const (
	relaySecp256k1 = "evm"
	relayEd25519   = "solana"
	relayStark     = "starknet"
)

func nameSecp256k1(_ context.Context, public []byte) (string, error) {
	key, err := crypto.UnmarshalPubkey(public)
	if err != nil {
		return "", err
	}
	return crypto.PubkeyToAddress(*key).Hex(), nil
}

func nameEd25519(_ context.Context, public []byte) (string, error) {
	if len(public) != 32 {
		return "", errors.New("not a public key")
	}
	return base58.Encode(public), nil
}

func nameStark(_ context.Context, public []byte) (string, error) {
	return "0x" + strings.TrimLeft(hex.EncodeToString(public), "0"), nil
}

func wantedSecp256k1() Wanted {
	return Wanted{Relay: relaySecp256k1, Account: Secp256k1, Report: Secp256k1, Name: nameSecp256k1}
}

// wantedEd25519 is as Solana has it: reports are signed by another algorithm than transactions.
func wantedEd25519() Wanted {
	return Wanted{Relay: relayEd25519, Account: Ed25519, Report: Secp256k1, Name: nameEd25519,
		File: FileForm{KeyType: "Solana", Prefix: "solkey"}}
}

func wantedStark() Wanted {
	return Wanted{Relay: relayStark, Account: Stark, Report: Stark, Name: nameStark,
		File: FileForm{KeyType: "StarkNet", Prefix: "starkkey"}}
}

// testRelays has them all.
func testRelays() Relays {
	return Relays{Wallet: relaySecp256k1, Of: func(relay string) (Wanted, bool) {
		for _, w := range []Wanted{wantedSecp256k1(), wantedEd25519(), wantedStark()} {
			if w.Relay == relay {
				return w, true
			}
		}
		return Wanted{}, false
	}}
}

// before is what the relays of these tests had before algorithms were kept.
func before(relay string) (account, report Algorithm, ok bool) {
	w, ok := testRelays().Of(relay)
	return w.Account, w.Report, ok
}
