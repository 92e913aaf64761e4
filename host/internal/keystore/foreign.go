package keystore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// importable tells a person with another file which files can be imported.
const importable = "this node imports wallets' key files (version 3 of the Web3 Secret Storage format), and files of " +
	"other OCR2 nodes with an account, an OCR2 key bundle or the key of a peer"

// foreign says what a file is that cannot be imported; empty: it may be importable. keyType is that of an OCR2 node's
// file.
func foreign(text []byte) (keyType, what string) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "", "the file is in UTF-16: save it in UTF-8"
	}
	bare := bytes.TrimPrefix(bytes.TrimSpace(text), []byte("0x"))
	if _, err := hex.DecodeString(string(bare)); err == nil && len(bare) == 64 {
		return "", "the file holds a bare private key; " + importable +
			": seal it into one with a wallet, such as geth account import"
	}
	var keypair [65]json.Number
	if n := len(keypair) - 1; json.Unmarshal(text, &keypair) == nil && keypair[n-1] != "" && keypair[n] == "" {
		return "", "the file holds a bare Ed25519 key as a list of numbers; " + importable +
			": make an account here by loop keys create and the name of its relay"
	}
	var file struct {
		KeyType string  `json:"keyType"`
		Version version `json:"version"`
		Crypto  struct {
			KDF struct {
				Function string `json:"function"`
			} `json:"kdf"`
		} `json:"crypto"`
	}
	// What is of another type than here is left out, and told by who reads the file.
	_ = json.Unmarshal(text, &file)
	if file.Crypto.KDF.Function != "" {
		return "", "the file holds a validator's key (EIP-2335, version " + string(file.Version) + "); " + importable
	}
	keyType = strings.ToLower(file.KeyType)
	if what, known := map[string]string{"ocr": "an OCR1 key bundle", "csa": "a CSA key",
		"vrf": "a VRF key"}[keyType]; known {
		return "", "the file holds " + what + ", which this node has no use for; " + importable
	}
	return keyType, ""
}
