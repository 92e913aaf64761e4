package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/crypto/sha3"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// readKnown reads a list of known failures; no file is an empty list.
func readKnown(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the known failures: %w", err)
	}
	known := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, _ := strings.Cut(line, " ")
		if reason = strings.TrimSpace(reason); reason == "" {
			return nil, fmt.Errorf("%s:%d: the known failure %s has no reason: write it after the name", path, number, name)
		}
		if known[name] != "" {
			return nil, fmt.Errorf("%s:%d: the known failure %s is listed twice: remove one", path, number, name)
		}
		known[name] = reason
	}
	return known, lines.Err()
}

// hashes are those of transactions, by the names that users give them.
var hashes = map[string]func([]byte) []byte{
	"keccak256": func(b []byte) []byte {
		h := sha3.NewLegacyKeccak256()
		h.Write(b)
		return h.Sum(nil)
	},
}

// config is what a user says of a relayer or a product.
type config struct {
	ChainID         string   `toml:"chain_id"`
	ConfigTOML      string   `toml:"config_toml"`
	NodeURL         string   `toml:"node_url"`
	ContractID      string   `toml:"contract_id"`
	TransmitterID   string   `toml:"transmitter_id"`
	RelayConfigJSON string   `toml:"relay_config_json"`
	Signers         []string `toml:"signers"`
	Transmitters    []string `toml:"transmitters"`
	Signature       string   `toml:"signature"`
	SignedHash      string   `toml:"signed_hash"`
	Unsigned        bool     `toml:"unsigned"`

	PluginConfigJSON string `toml:"plugin_config_json"`
	OnchainConfig    string `toml:"onchain_config"`
	OffchainConfig   string `toml:"offchain_config"`
	Value            string `toml:"value"`
}

// readConfig reads what a relayer or a product is given; what the file leaves out is as in the default.
func readConfig(path string) (looptest.Relayer, looptest.Product, error) {
	if path == "" {
		r := looptest.DefaultRelayer()
		r.SignedHash = hashes["keccak256"]
		return r, looptest.Product{}, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return looptest.Relayer{}, looptest.Product{}, fmt.Errorf("reading the configuration: %w", err)
	}
	var c config
	decoder := toml.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) && len(strict.Errors) > 0 {
			line, _ := strict.Errors[0].Position()
			return looptest.Relayer{}, looptest.Product{}, fmt.Errorf("%s:%d: the key %s is not known: conformance --help "+
				"lists the keys", path, line, strings.Join(strict.Errors[0].Key(), "."))
		}
		return looptest.Relayer{}, looptest.Product{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	r, err := c.relayer()
	if err != nil {
		return r, looptest.Product{}, fmt.Errorf("%s: %w", path, err)
	}
	p, err := c.product()
	if err != nil {
		return r, p, fmt.Errorf("%s: %w", path, err)
	}
	return r, p, nil
}

// product is what a product is given.
func (c config) product() (looptest.Product, error) {
	p := looptest.Product{PluginConfigJSON: c.PluginConfigJSON, Value: c.Value}
	var err error
	if p.OnchainConfig, err = unhex(c.OnchainConfig); err != nil {
		return p, fmt.Errorf("onchain_config: %w", err)
	}
	if p.OffchainConfig, err = unhex(c.OffchainConfig); err != nil {
		return p, fmt.Errorf("offchain_config: %w", err)
	}
	return p, nil
}

// relayer is what a relayer is given.
func (c config) relayer() (looptest.Relayer, error) {
	r := looptest.DefaultRelayer()
	var err error
	for to, from := range map[*string]string{&r.ChainID: c.ChainID, &r.ConfigTOML: c.ConfigTOML, &r.NodeURL: c.NodeURL,
		&r.ContractID:    c.ContractID,
		&r.TransmitterID: c.TransmitterID, &r.RelayConfigJSON: c.RelayConfigJSON} {
		if from != "" {
			*to = from
		}
	}
	r.Unsigned = c.Unsigned
	if r.SignedHash = hashes[c.SignedHash]; r.SignedHash == nil && c.SignedHash != "" {
		return r, fmt.Errorf("signed_hash: %q is not a hash that is known here; there is keccak256", c.SignedHash)
	}
	if len(c.Transmitters) > 0 {
		r.Transmitters = c.Transmitters
	}
	if c.Signature != "" {
		if r.Signature, err = unhex(c.Signature); err != nil {
			return r, fmt.Errorf("signature: %w", err)
		}
	}
	if len(c.Signers) > 0 {
		r.Signers = nil
		for i, text := range c.Signers {
			signer, err := unhex(text)
			if err != nil {
				return r, fmt.Errorf("signers[%d]: %w", i, err)
			}
			r.Signers = append(r.Signers, signer)
		}
	}
	return r, nil
}

func unhex(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		return nil, fmt.Errorf("%q is not hexadecimal", text)
	}
	return b, nil
}
