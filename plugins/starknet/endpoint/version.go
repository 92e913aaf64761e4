package endpoint

import (
	"context"
	"fmt"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Tag names a block, in the terms of version 0.10 of the JSON-RPC whichever version the node serves.
type Tag string

const (
	// Latest is the newest block that is complete.
	Latest Tag = "latest"
	// PreConfirmed is the block that is being made. What is in it may still vanish.
	PreConfirmed Tag = "pre_confirmed"
)

// preConfirmed is what the versions that are spoken call the block that is being made, by major and minor. What this
// package reads is the same in all patches of a version.
var preConfirmed = map[string]string{"0.8": "pending", "0.9": "pre_confirmed", "0.10": "pre_confirmed"}

// checkVersion learns which version the node serves.
func (c *Client) checkVersion(ctx context.Context) (err error) {
	c.preConfirmed, err = c.servedTag(ctx)
	return err
}

// servedTag is what the version that the node serves now calls the block that is being made.
func (c *Client) servedTag(ctx context.Context) (string, error) {
	var serves string
	if err := c.call(ctx, &serves, "starknet_specVersion"); err != nil {
		return "", err
	}
	major, rest, _ := strings.Cut(serves, ".")
	minor, _, _ := strings.Cut(rest, ".")
	tag, spoken := preConfirmed[major+"."+minor]
	if !spoken {
		return "", relayer.Said(fmt.Sprintf("serves version %.20q of the JSON-RPC, and 0.8, 0.9 and 0.10 are spoken; "+
			"give its address for one of these, which often ends in /rpc/v0_10", serves))
	}
	return tag, nil
}

// tag is a tag in the words of the node's version.
func (c *Client) tag(tag Tag) string {
	if tag == PreConfirmed {
		return c.preConfirmed
	}
	return string(tag)
}

// unknown turns the answer of a node that does not know a tag into a fault: the node serves another version than when
// it was connected. Watch ends the connection then, and the next one learns the version. A node whose version knows the
// tag has refused the call for something else, which is an answer.
func (c *Client) unknown(ctx context.Context, tag Tag, err error) error {
	if tag != PreConfirmed || !IsCode(err, CodeInvalidParams) {
		return err
	}
	if now, failure := c.servedTag(ctx); failure == nil && now == c.preConfirmed {
		return err
	}
	c.changed.Store(true)
	return relayer.Said(fmt.Sprintf("takes no call at the block %q: "+
		"it has come to serve another version of the JSON-RPC", c.tag(tag)))
}
