package evm

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-cmp/cmp"
)

// write writes a file with a mode, whatever the mask, and returns its path.
func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, []byte(text), mode))
	check(t, os.Chmod(file, mode))
	return file
}

// wallet makes a Web3 wallet of a key.
func wallet(t *testing.T, key *ecdsa.PrivateKey, password string) string {
	t.Helper()
	sealed, err := keystore.EncryptKey(
		&keystore.Key{Address: crypto.PubkeyToAddress(key.PublicKey), PrivateKey: key}, password, keystore.LightScryptN,
		keystore.LightScryptP)
	check(t, err)
	return string(sealed)
}

// TestDial proves that a chain of somebody else's takes a feed that a key of ours pays for, over HTTP with and without
// WebSocket and over WebSocket alone, and that its books are kept from the moment of dialling.
func TestDial(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	defer http.DefaultClient.CloseIdleConnections()
	own, err := Start()
	check(t, err)
	defer func() { check(t, own.Close()) }()
	key, err := crypto.GenerateKey()
	check(t, err)
	payer := crypto.PubkeyToAddress(key.PublicKey)
	check(t, own.Fund(ctx, payer))
	// A node that serves HTTP alone answers an Upgrade as any other GET.
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := http.Post(own.HTTPURL(), "application/json", r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, answer.Body)
	}))
	defer mute.Close()

	for name, test := range map[string]struct {
		remote         Remote
		httpURL, wsURL string
	}{
		"a key, by HTTP": {
			Remote{URL: own.HTTPURL(), KeyFile: write(t, hex.EncodeToString(crypto.FromECDSA(key))+"\n", 0o600)}, own.HTTPURL(),
			own.WSURL(),
		},
		"a wallet, by WebSocket": {
			Remote{URL: own.WSURL(), KeyFile: write(t, wallet(t, key, " pass word "), 0o644),
				PasswordFile: write(t, " pass word \r\n", 0o600)},
			"", own.WSURL(),
		},
		"a key, by HTTP alone": {
			Remote{URL: mute.URL, KeyFile: write(t, "0x"+hex.EncodeToString(crypto.FromECDSA(key)), 0o400)}, mute.URL, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.remote.Share, test.remote.Accounts = ether(2), 4
			before, err := own.client.BlockNumber(ctx)
			check(t, err)
			c, err := Dial(ctx, test.remote)
			check(t, err)
			defer func() { check(t, c.Close()) }()
			if c.ID().Int64() != ID || c.HTTPURL() != test.httpURL || c.WSURL() != test.wsURL || c.payer.account != payer ||
				c.first < before {
				t.Errorf("dialled is %+v", c)
			}
			feed, err := c.DeployFeed(ctx)
			check(t, err)
			var oracles []Oracle
			for range 4 {
				oracles = append(oracles, newMember(t).oracle)
			}
			check(t, c.Fund(ctx, oracles[0].Transmitter))
			balance, err := c.client.BalanceAt(ctx, oracles[0].Transmitter, nil)
			check(t, err)
			if balance.Cmp(ether(2)) != 0 {
				t.Errorf("the account has %s wei, want 2 ether", balance)
			}
			_, err = feed.Configure(ctx, oracles, Timing{}, nil)
			check(t, err)
			watch, stop := context.WithTimeout(ctx, 50*time.Millisecond)
			defer stop()
			if err := feed.Watch(watch, nil); watch.Err() == nil {
				t.Errorf("the watch ended with %v", err)
			}
			c.Seal(ctx) // go-ethereum has no evm_mine, and that is not an error
			if !c.unwilling {
				t.Error("the chain is not known to make no blocks on demand")
			}
			accounts, err := c.Accounts(ctx, payer, oracles[0].Transmitter)
			check(t, err)
			next, err := c.client.NonceAt(ctx, payer, nil)
			check(t, err)
			// The payer had sent others before: three to deploy, one to fund, two to configure are of this feed.
			if diff := cmp.Diff(map[common.Address]Account{payer: {Next: next, Mined: 6}, oracles[0].Transmitter: {}},
				accounts); diff != "" {
				t.Errorf("accounts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDialFails proves that each reason is named, and that no secret is: neither the URL's path, nor a key or a
// password.
func TestDialFails(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	const secret = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
	key, err := crypto.HexToECDSA(secret)
	check(t, err)
	hexFile := write(t, secret, 0o600)
	// answers is an RPC node that refuses all but these methods.
	answers := func(results map[string]any) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var request struct {
				ID     json.RawMessage
				Method string
			}
			if json.NewDecoder(r.Body).Decode(&request) != nil {
				http.Error(w, "no request", http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			result, ok := results[request.Method]
			if !ok {
				fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`, request.ID)
				return
			}
			text, _ := json.Marshal(result)
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, request.ID, text)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
	}))
	t.Cleanup(html.Close)
	account := "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
	chain := func(more map[string]any) map[string]any {
		results := map[string]any{"eth_chainId": "0x7a69", "eth_blockNumber": "0x5", "eth_getBalance": "0x1bc16d674ec80000"}
		for method, result := range more {
			results[method] = result
		}
		return results
	}
	tests := map[string]struct {
		remote Remote
		want   string
	}{
		"no URL": {Remote{URL: secret}, "--rpc is not a URL; write one as in http://127.0.0.1:8545"},
		"a scheme of others": {Remote{URL: "ftp://host/" + secret},
			`--rpc has the scheme "ftp"; those of RPC nodes are http, https, ws and wss`},
		"nobody there":         {Remote{URL: "http://127.0.0.1:1"}, "ask http://127.0.0.1:1 for the id of its chain: "},
		"nobody there, pushed": {Remote{URL: "ws://127.0.0.1:1"}, "ask ws://127.0.0.1:1 for the id of its chain: "},
		"a page": {Remote{URL: html.URL},
			"check that --rpc names an RPC node of an EVM chain, and that it runs"},
		"another kind's chain": {Remote{URL: answers(nil)},
			"Method not found; check that --rpc names an RPC node of an EVM chain"},
		"a node that shows no accounts": {
			Remote{URL: answers(chain(nil))},
			"ask the RPC node for its accounts: it refuses (Method not found); name the file of a key that pays with " +
				"--key-file"},
		"a node without accounts": {
			Remote{URL: answers(chain(map[string]any{"eth_accounts": []string{}}))},
			"the RPC node has no account that it would sign for (eth_accounts); name the file of a key that pays with " +
				"--key-file"},
		"an account with too little": {
			Remote{URL: answers(chain(map[string]any{"eth_accounts": []string{account}})), Share: big.NewInt(5e17), Accounts: 4},
			"the account 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 has 2 coins on chain 31337, and 4 nodes get 0.5 each, " +
				"beside the fees; send it more, or give less with --fund"},
		"a key with too little": {
			Remote{URL: answers(chain(nil)), KeyFile: hexFile, Share: ether(1), Accounts: 4},
			"the account 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 has 2 coins"},
		"no key file": {Remote{KeyFile: filepath.Join(t.TempDir(), "none")},
			"no such file or directory; check --key-file"},
		"others read it": {Remote{KeyFile: write(t, secret, 0o640)},
			"has the mode 640, so that others may read it; run chmod 600 on it"},
		"no key": {Remote{KeyFile: write(t, secret[1:], 0o600)},
			"holds neither a Web3 wallet nor a key of 64 hexadecimal digits"},
		"a key that is not a number": {
			Remote{KeyFile: write(t, "x"+secret[1:], 0o600)}, "holds neither a Web3 wallet nor a key of 64 hexadecimal digits"},
		"a password of a key": {
			Remote{KeyFile: hexFile, PasswordFile: hexFile},
			"is not a wallet that would have a password; leave --password-file out"},
		"a wallet without its password": {
			Remote{KeyFile: write(t, wallet(t, key, "a"), 0o600)},
			"has a password; name the file that holds it with --password-file"},
		"a wallet and no file of its password": {
			Remote{KeyFile: write(t, wallet(t, key, "a"), 0o600), PasswordFile: filepath.Join(t.TempDir(), "none")},
			"check --password-file"},
		"a wallet and another's password": {
			Remote{KeyFile: write(t, wallet(t, key, "a"), 0o600), PasswordFile: write(t, secret, 0o600)}, "is not its own"},
		"a wallet that is none": {
			Remote{KeyFile: write(t, `{"key":"`+secret+`"}`, 0o600), PasswordFile: hexFile},
			"it is not a Web3 wallet of version 3 that can be read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.remote.Share == nil {
				test.remote.Share = ether(1)
			}
			_, err := Dial(t.Context(), test.remote)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret[1:]) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}
