package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

const (
	// dialTimeout bounds how long an RPC node may take to answer what is asked of it first.
	dialTimeout = 10 * time.Second
	// remotePeriod is how often somebody else's chain is asked for what is awaited.
	remotePeriod = 100 * time.Millisecond
)

// Remote is a chain that somebody else runs, and the account that pays on it.
type Remote struct {
	// URL is an RPC node's: http, https, ws or wss. It may hold a secret. A node that is named by HTTP is asked whether it
	// serves WebSocket under the same URL.
	URL string
	// KeyFile holds the key of the account that pays: a Web3 wallet of version 3, with its password in PasswordFile, or
	// a key in hexadecimal. If it is empty, the RPC node signs for the first of its own accounts.
	KeyFile, PasswordFile string
	// Share is what Fund gives to each account, in wei, and Accounts is how many there are.
	Share    *big.Int
	Accounts int
}

// Dial connects to a chain that somebody else runs, and finds the account that pays. Its own messages name only the
// host of the URL, but errors of the connection that it wraps may repeat all of it.
func Dial(ctx context.Context, remote Remote) (*Chain, error) {
	c := &Chain{share: remote.Share, period: remotePeriod}
	var err error
	if remote.KeyFile != "" {
		if c.payer, err = keyOf(remote.KeyFile, remote.PasswordFile); err != nil {
			return nil, err
		}
	}
	parsed, err := url.Parse(remote.URL)
	if err != nil || parsed.Host == "" {
		return nil, errors.New("--rpc is not a URL; write one as in http://127.0.0.1:8545")
	}
	switch parsed.Scheme {
	case "http", "https":
		c.httpURL = remote.URL
	case "ws", "wss":
		c.wsURL = remote.URL
	default:
		return nil, fmt.Errorf("--rpc has the scheme %q; those of RPC nodes are http, https, ws and wss", parsed.Scheme)
	}
	host := parsed.Scheme + "://" + parsed.Host
	if c.client, c.id, err = connect(ctx, remote.URL); err != nil {
		return nil, fmt.Errorf("ask %s for the id of its chain: %w; check that --rpc names an RPC node of an EVM chain, "+
			"and that it runs", host, err)
	}
	if err := c.survey(ctx, remote); err != nil {
		c.client.Close()
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	return c, nil
}

// connect connects to an RPC node and asks it for the chain's id.
func connect(ctx context.Context, url string) (*ethclient.Client, *big.Int, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	client, err := ethclient.DialContext(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	id, err := client.ChainID(ctx)
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return client, id, nil
}

// survey reads all that has to be known of the chain before anything is sent.
func (c *Chain) survey(ctx context.Context, remote Remote) (err error) {
	if rest, ok := strings.CutPrefix(c.httpURL, "http"); ok {
		if pushing, id, err := connect(ctx, "ws"+rest); err == nil {
			pushing.Close()
			if id.Cmp(c.id) == 0 {
				c.wsURL = "ws" + rest
			}
		}
	}
	if c.payer.key == nil {
		if c.payer, err = unlocked(ctx, c.client); err != nil {
			return err
		}
	}
	head, err := c.client.BlockNumber(ctx)
	if err != nil {
		return fmt.Errorf("read the number of the chain's latest block: %w", err)
	}
	c.first = head + 1
	balance, err := c.client.BalanceAt(ctx, c.payer.account, nil)
	if err != nil {
		return fmt.Errorf("read what the account %s has: %w", c.payer.account, err)
	}
	if needed := new(big.Int).Mul(remote.Share, big.NewInt(int64(remote.Accounts))); balance.Cmp(needed) <= 0 {
		return fmt.Errorf("the account %s has %s coins on chain %s, and %d nodes get %s each, beside the fees; send it "+
			"more, or give less with --fund",
			c.payer.account, coins(balance), c.id, remote.Accounts, coins(remote.Share))
	}
	// A young chain calls its first block final, and some know no such block at all.
	if final, err := c.client.HeaderByNumber(ctx, big.NewInt(int64(rpc.FinalizedBlockNumber))); err == nil &&
		final.Number.Sign() > 0 {
		c.finality = max(1, head-min(head, final.Number.Uint64()))
	}
	return nil
}

// coins writes an amount of wei in whole coins.
func coins(wei *big.Int) string {
	text := new(big.Rat).SetFrac(wei, ether(1)).FloatString(18)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
