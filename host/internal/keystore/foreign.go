package keystore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// importable is what a person needs to know who has brought another file.
const importable = "this node imports accounts with a secp256k1 key alone, from wallets' key files (version 3 of the Web3 Secret Storage format)"

// established are the kinds of key files of established nodes that are no relay's, by their keyType in lower case, with
// what makes such a key here. An account's keyType is the name of its relay.
var established = map[string]struct{ what, here string }{
	"ocr2": {"an OCR2 key bundle", "loop keys create ocr2"},
	"p2p":  {"the key of a peer", "loop keys create p2p"},
	"ocr":  {"an OCR1 key bundle", ""},
	"csa":  {"a CSA key", ""},
	"vrf":  {"a VRF key", ""},
}

// foreign says what a file is that no wallet wrote; empty: it may be one of theirs.
func (k *Keystore) foreign(text []byte) string {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "the file is in UTF-16: save it in UTF-8"
	}
	bare := bytes.TrimPrefix(bytes.TrimSpace(text), []byte("0x"))
	if _, err := hex.DecodeString(string(bare)); err == nil && len(bare) == 64 {
		return "the file holds a bare private key; " + importable + ": seal it into one with a wallet, such as geth account import"
	}
	var keypair [65]json.Number
	if n := len(keypair) - 1; json.Unmarshal(text, &keypair) == nil && keypair[n-1] != "" && keypair[n] == "" {
		return "the file holds an Ed25519 key as a list of " + strconv.Itoa(n) + " numbers; " + importable + ": make an account here by loop keys create and the name of its relay"
	}
	var file struct {
		KeyType   string  `json:"keyType"`
		ChainType string  `json:"chainType"`
		Version   version `json:"version"`
		Crypto    struct {
			KDF struct {
				Function string `json:"function"`
			} `json:"kdf"`
		} `json:"crypto"`
	}
	// What is of another type than here is left out, and told by who reads the file as a wallet's.
	_ = json.Unmarshal(text, &file)
	if file.Crypto.KDF.Function != "" {
		return "the file holds a validator's key (EIP-2335, version " + string(file.Version) + "); " + importable
	}
	if file.KeyType == "" {
		return ""
	}
	keyType := strings.ToLower(file.KeyType)
	kind, known := established[keyType]
	if !known && k.before != nil {
		if _, _, known = k.before(keyType); known {
			kind.what, kind.here = "an account of relay "+keyType, "loop keys create "+keyType
		}
	}
	if !known {
		return fmt.Sprintf("the file holds a key of the keyType %.32q; %s", file.KeyType, importable)
	}
	said := fmt.Sprintf("the file holds %s (keyType %q", kind.what, file.KeyType)
	if file.ChainType != "" {
		said += fmt.Sprintf(", chainType %.32q", file.ChainType)
	}
	said += "); " + importable
	if kind.here != "" {
		said += ": make a new one by " + kind.here
	}
	return said
}
