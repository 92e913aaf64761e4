package evm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
)

// payer is an account that pays.
type payer struct {
	account common.Address
	// key is the account's; nil: the RPC node has it and signs.
	key *ecdsa.PrivateKey
}

// send signs and sends a transaction, or has the RPC node do both and choose the fees, and returns its hash.
func (p payer) send(ctx context.Context, client *ethclient.Client, id *big.Int,
	tx *types.Transaction) (common.Hash, error) {
	if p.key != nil {
		signed, err := types.SignTx(tx, types.LatestSignerForChainID(id), p.key)
		if err != nil {
			return common.Hash{}, err
		}
		return signed.Hash(), client.SendTransaction(ctx, signed)
	}
	arguments := map[string]any{
		"from": p.account, "nonce": hexutil.Uint64(tx.Nonce()), "gas": hexutil.Uint64(tx.Gas()),
		"value": (*hexutil.Big)(tx.Value()),
		// Some nodes know the one name only, some the other; all take both when they are equal.
		"input": hexutil.Bytes(tx.Data()), "data": hexutil.Bytes(tx.Data()),
	}
	if tx.To() != nil {
		arguments["to"] = tx.To()
	}
	var hash common.Hash
	err := client.Client().CallContext(ctx, &hash, "eth_sendTransaction", arguments)
	return hash, err
}

// unlocked is the first account whose key the RPC node has.
func unlocked(ctx context.Context, client *ethclient.Client) (payer, error) {
	var accounts []common.Address
	err := client.Client().CallContext(ctx, &accounts, "eth_accounts")
	switch {
	case err != nil && !isRefused(err):
		return payer{}, fmt.Errorf("ask the RPC node for its accounts: %w", err)
	case err != nil:
		return payer{}, fmt.Errorf("ask the RPC node for its accounts: it refuses (%w); name the file of a key that pays "+
			"with --key-file", err)
	case len(accounts) == 0:
		return payer{}, errors.New("the RPC node has no account that it would sign for (eth_accounts); name the file of a " +
			"key that pays with --key-file")
	}
	return payer{account: accounts[0]}, nil
}

// keyOf reads the key of a payer from a file: a Web3 wallet of version 3, whose password stands in another file, or the
// key in hexadecimal, in a file that nobody else may read. No error repeats what stands in either.
func keyOf(file, passwordFile string) (payer, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return payer{}, fmt.Errorf("read the key of the account that pays: %w; check --key-file", err)
	}
	var key *ecdsa.PrivateKey
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		key, err = keyOfWallet(content, file, passwordFile)
	} else {
		key, err = keyInHex(content, file, passwordFile)
	}
	if err != nil {
		return payer{}, err
	}
	return payer{account: crypto.PubkeyToAddress(key.PublicKey), key: key}, nil
}

func keyOfWallet(content []byte, file, passwordFile string) (*ecdsa.PrivateKey, error) {
	if passwordFile == "" {
		return nil, fmt.Errorf("the wallet %s has a password; name the file that holds it with --password-file", file)
	}
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read the password of the wallet %s: %w; check --password-file", file, err)
	}
	opened, err := keystore.DecryptKey(content, strings.TrimRight(string(password), "\r\n"))
	switch {
	case errors.Is(err, keystore.ErrDecrypt):
		return nil, fmt.Errorf("open the wallet %s: the password in %s is not its own", file, passwordFile)
	case err != nil:
		return nil, fmt.Errorf("open the wallet %s: it is not a Web3 wallet of version 3 that can be read; check --key-file",
			file)
	}
	return opened.PrivateKey, nil
}

func keyInHex(content []byte, file, passwordFile string) (*ecdsa.PrivateKey, error) {
	if passwordFile != "" {
		return nil, fmt.Errorf("%s is not a wallet that would have a password; leave --password-file out, or check "+
			"--key-file",
			file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("see who may read the key file %s: %w", file, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("the key file %s has the mode %o, so that others may read it; run chmod 600 on it", file, mode)
	}
	key, err := crypto.HexToECDSA(strings.TrimPrefix(strings.TrimSpace(string(content)), "0x"))
	if err != nil { // the error may repeat a part of the key
		return nil, fmt.Errorf("the key file %s holds neither a Web3 wallet nor a key of 64 hexadecimal digits", file)
	}
	return key, nil
}
