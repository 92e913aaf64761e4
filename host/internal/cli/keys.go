package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func (c *command) keys() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the public sides of the node's keys", Args: none,
		Example: "  loop keys list\n  loop keys list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListKeys, &nodev1.ListKeysRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { keyTable(w, r.GetKeys()...) })
		},
	}
	var relay string
	create := &cobra.Command{
		Use: "create p2p|ocr2|RELAY", Short: "Create a key",
		Args:              one("a kind of key: p2p, ocr2, or the relay of an account"),
		Example:           "  loop keys create p2p\n  loop keys create ocr2 --relay acme\n  loop keys create acme",
		ValidArgsFunction: c.complete(keyKinds),
		Long:              "create creates a P2P key, an OCR2 key bundle, or an account of the relay that is named.",
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &nodev1.CreateKeyRequest{Relay: relay}
			switch args[0] {
			case "p2p":
				request.Kind = nodev1.KeyKind_KEY_KIND_P2P
			case "ocr2":
				request.Kind = nodev1.KeyKind_KEY_KIND_OCR2
			default:
				request.Kind, request.Relay = nodev1.KeyKind_KEY_KIND_ACCOUNT, args[0]
			}
			if relay != "" && request.Kind != nodev1.KeyKind_KEY_KIND_OCR2 {
				return exit(ExitUsage, fmt.Errorf("--relay is for keys of the kind ocr2; without it: loop keys create %s", args[0]))
			}
			r, err := call(cmd.Context(), c, api.CreateKey, request)
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { newKey(w, r.GetKey()) })
		},
	}
	create.Flags().StringVar(&relay, "relay", "",
		"relay that an ocr2 key signs reports for (default: the only one that the node has chains of)")
	return group("keys", "List, create, import, export and audit keys, and move coins", list, create, c.auditKeys(),
		c.importKey(), c.exportKey(), c.transferCoins())
}

// newKey shows a key that the node has from now on.
func newKey(w io.Writer, key *nodev1.Key) {
	keyTable(w, key)
	if key.GetKind() == nodev1.KeyKind_KEY_KIND_P2P {
		_, _ = fmt.Fprintf(w, "The node is known by this key when [P2P] PeerID = %q is in its configuration and it starts "+
			"anew.\n", key.GetId())
	}
}

func keyTable(w io.Writer, keys ...*nodev1.Key) {
	row(w, "KIND", "ID", "PUBLIC KEYS")
	for _, k := range keys {
		public := ""
		if o := k.GetOcr2(); o != nil {
			public = fmt.Sprintf("offchain %x  config %x  onchain %x", o.GetOffchainPublicKey(),
				o.GetConfigEncryptionPublicKey(), o.GetOnchainPublicKey())
		}
		row(w, keyKind(k), k.GetId(), dash(public))
	}
}

// keyKind is what a key is for, and on which relay.
func keyKind(k *nodev1.Key) string {
	switch kind := strings.ToLower(strings.TrimPrefix(k.GetKind().String(), "KEY_KIND_")); k.GetKind() {
	case nodev1.KeyKind_KEY_KIND_OCR2:
		return kind + " (" + k.GetRelay() + ")"
	case nodev1.KeyKind_KEY_KIND_ACCOUNT:
		return k.GetRelay()
	default:
		return kind
	}
}
