package keystore

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/host/internal/database"
)

// keyFile is one of testdata/keyfiles.json, which keyfiles.py made beside it: a program that shares nothing with this
// one.
type keyFile struct{ File json.RawMessage }

const keyFilePassword = "established"

func keyFiles(t testing.TB) map[string]keyFile {
	t.Helper()
	text, err := os.ReadFile("testdata/keyfiles.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	files := map[string]keyFile{}
	for name, file := range raw {
		files[name] = keyFile{file}
	}
	return files
}

// field is a public part of a file.
func (f keyFile) field(t testing.TB, name string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(f.File, &fields); err != nil {
		t.Fatal(err)
	}
	text, _ := fields[name].(string)
	return text
}

// TestImportOfAnEstablishedNodesKeys holds that a node can move here without a new on-chain configuration: its keys
// sign what they signed there, and job specs name them as they did.
func TestImportOfAnEstablishedNodesKeys(t *testing.T) {
	t.Parallel()
	files := keyFiles(t)
	for name, c := range map[string]struct{ kind, relay, id, vector string }{
		"evm bundle":       {KindOCR2, relaySecp256k1, files["evm bundle"].field(t, "id"), "secp256k1"},
		"older evm bundle": {KindOCR2, relaySecp256k1, files["older evm bundle"].field(t, "id"), "secp256k1"},
		"solana bundle":    {KindOCR2, relayEd25519, files["solana bundle"].field(t, "id"), "secp256k1, v of 1"},
		"starknet bundle":  {KindOCR2, relayStark, files["starknet bundle"].field(t, "id"), "STARK curve"},
		"peer":             {KindP2P, "", strings.TrimPrefix(files["peer"].field(t, "peerID"), "p2p_"), ""},
		"solana account":   {KindAccount, relayEd25519, "586Z7H2vpX9qNhN2T4e9Utugie3ogjbxzGaMtM3E6HR5", ""},
		"evm account":      {KindAccount, relaySecp256k1, "0x6370eF2f4Db3611D657b90667De398a2Cc2a370C", ""},
		"starknet account": {KindAccount, relayStark, "0x" + strings.TrimLeft(starkPublic, "0"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &memory{}
			k := testOpen(t, store)
			imported, err := k.Import(t.Context(), files[name].File, NewPassword(keyFilePassword), testRelays())
			if err != nil {
				t.Fatal(err)
			}
			if imported.Kind != c.kind || imported.Relay != c.relay || imported.ID != c.id {
				t.Errorf("imported %s key %s of relay %q", imported.Kind, imported.ID, imported.Relay)
			}
			_, err = k.Import(t.Context(), files[name].File, NewPassword(keyFilePassword), testRelays())
			wantError(t, err, database.ErrExists, c.id)
			_, err = testOpen(t, &memory{}).Import(t.Context(), files[name].File, NewPassword("another"), testRelays())
			wantError(t, err, ErrInvalid, "the password does not open the file")

			k = testOpen(t, store)
			if diff := cmp.Diff([]Description{imported}, k.List()); diff != "" {
				t.Errorf("after a restart: %s", diff)
			}
			file, err := k.Export(c.kind, c.id, NewPassword(filePassword), testRelays())
			if err != nil {
				t.Fatal(err)
			}
			other := testOpen(t, &memory{})
			if again, err := other.Import(t.Context(), file, NewPassword(filePassword), testRelays()); err != nil ||
				again.ID != c.id {
				t.Errorf("exported and imported: %v, %v", again, err)
			}
			if c.vector == "" {
				signsAsBefore(t, other, c.kind, c.relay, c.id)
				return
			}
			v := reportVectors[c.vector]
			bundle, err := other.Bundle(c.id)
			if err != nil {
				t.Fatal(err)
			}
			signature, err := bundle.Report().Sign(unhex(t, v.message))
			if err != nil || hex.EncodeToString(signature) != v.signature {
				t.Errorf("signature %x, %v", signature, err)
			}
			if signature, err := bundle.Offchain().OffchainSign([]byte{0x72}); err != nil ||
				hex.EncodeToString(signature) != rfc8032Signature {
				t.Errorf("off-chain signature %x, %v", signature, err)
			}
		})
	}
}

// signsAsBefore checks that an imported key signs as its vector says. A signature of a key of the STARK curve differs
// each time, so it is verified instead.
func signsAsBefore(t *testing.T, k *Keystore, kind, relay, id string) {
	t.Helper()
	var signature []byte
	if kind == KindP2P {
		peer, err := k.P2P(id)
		if err != nil {
			t.Fatal(err)
		}
		if signature, err = peer.Sign([]byte{0x72}); err != nil {
			t.Fatal(err)
		}
	} else {
		account, err := k.Signer(relay, id)
		if err != nil {
			t.Fatal(err)
		}
		if v := reportVectors["secp256k1"]; account.Algorithm() == Secp256k1 {
			if signature, err = account.Sign(t.Context(), unhex(t, v.message)); err != nil ||
				hex.EncodeToString(signature) != v.signature {
				t.Errorf("signature %x, %v", signature, err)
			}
			return
		}
		if account.Algorithm() == Stark {
			felt := make([]byte, starkWord)
			felt[starkWord-1] = 0x72
			if signature, err = account.Sign(t.Context(), felt); err != nil || !verifyStark(unhex(t, starkPublic), felt,
				append(unhex(t, starkPublic), signature...)) {
				t.Errorf("signature %x, %v", signature, err)
			}
			return
		}
		if signature, err = account.Sign(t.Context(), []byte{0x72}); err != nil {
			t.Fatal(err)
		}
	}
	if hex.EncodeToString(signature) != rfc8032Signature {
		t.Errorf("signature %x", signature)
	}
}

// TestImportRefusesDamagedFiles holds that no key is taken whose public parts are not those that its file states.
func TestImportRefusesDamagedFiles(t *testing.T) {
	t.Parallel()
	files := keyFiles(t)
	type object = map[string]any
	for name, c := range map[string]struct {
		file   string
		change func(object)
		part   string
	}{
		"no crypto": {"evm bundle", func(f object) { delete(f, "crypto") }, "crypto is missing"},
		"no id": {"evm bundle", func(f object) {
			delete(f, "id")
		}, `id is "", and a bundle's has 64 hexadecimal digits`},
		"short id": {"evm bundle", func(f object) { f["id"] = "abcd" }, `id is "abcd"`},
		"other relay": {"evm bundle", func(f object) {
			f["chainType"] = "tezos"
		}, `chainType is "tezos", and this node has no such relay`},
		"other algorithm": {"evm bundle", func(f object) { f["chainType"] = "starknet" }, "onchainPublicKey is"},
		"other on-chain": {"evm bundle", func(f object) {
			f["onchainPublicKey"] = "ocr2on_evm_00"
		}, `onchainPublicKey is "ocr2on_evm_00"`},
		"no off-chain": {"evm bundle", func(f object) { delete(f, "offchainPublicKey") }, `offchainPublicKey is ""`},
		"other config": {"evm bundle", func(f object) { f["configPublicKey"] = f["offchainPublicKey"] },
			"configPublicKey is"},
		"other peer": {"peer", func(f object) {
			f["peerID"] = "p2p_12D3KooW"
		}, `peerID is "p2p_12D3KooW", but the key is that of 12D3KooW`},
		"other public": {"starknet account", func(f object) { f["publicKey"] = "0x1" }, `publicKey is "0x1"`},
		"no public":    {"solana account", func(f object) { delete(f, "publicKey") }, `publicKey is ""`},
		"another's prefix": {"solana account", func(f object) {
			f["keyType"] = "StarkNet"
		}, "the password does not open the file"},
		"unknown": {"solana account", func(f object) {
			f["keyType"] = "Aptos"
		}, `keyType is "Aptos", and this node has no such relay`},
		"iv": {"peer", func(f object) {
			f["crypto"].(object)["cipherparams"] = object{"iv": strings.Repeat("0", 32)}
		}, "what the file holds has"},
		"iv of a bundle": {"evm bundle", func(f object) {
			f["crypto"].(object)["cipherparams"] = object{"iv": strings.Repeat("0", 32)}
		}, "what the file holds is not a bundle"},
		"dear":  {"peer", func(f object) { f["crypto"].(object)["kdfparams"].(object)["n"] = 1 << 40 }, "1024 MiB"},
		"shape": {"peer", func(f object) { f["peerID"] = 5 }, "peerID holds a JSON number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var file object
			if err := json.Unmarshal(files[c.file].File, &file); err != nil {
				t.Fatal(err)
			}
			c.change(file)
			text, err := json.Marshal(file)
			if err != nil {
				t.Fatal(err)
			}
			k := testOpen(t, &memory{})
			_, err = k.Import(t.Context(), text, NewPassword(keyFilePassword), testRelays())
			wantError(t, err, ErrInvalid, "import a key", c.part)
			if len(k.List()) != 0 {
				t.Error("a key was added")
			}
		})
	}
}
