package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/relay"
)

// ListKeys implements nodev1connect.NodeServiceHandler.
func (s *service) ListKeys(context.Context, *nodev1.ListKeysRequest) (*nodev1.ListKeysResponse, error) {
	r := &nodev1.ListKeysResponse{}
	for _, d := range s.node.Keys().List() {
		k, err := describeKey(d)
		if err != nil {
			return nil, connect.NewError(connect.CodeInternal, err)
		}
		r.Keys = append(r.Keys, k)
	}
	return r, nil
}

func describeKey(d keystore.Description) (*nodev1.Key, error) {
	k := &nodev1.Key{Id: d.ID, Relay: d.Relay}
	switch public := d.Public.(type) {
	case keystore.P2PDescription:
		k.Kind = nodev1.KeyKind_KEY_KIND_P2P
	case keystore.AccountDescription:
		k.Kind = nodev1.KeyKind_KEY_KIND_ACCOUNT
	case keystore.OCR2Description:
		k.Kind = nodev1.KeyKind_KEY_KIND_OCR2
		k.Ocr2 = &nodev1.Ocr2PublicKeys{}
		for hexed, to := range map[string]*[]byte{
			public.OffchainPublicKeyHex: &k.Ocr2.OffchainPublicKey,
			public.ConfigPublicKeyHex:   &k.Ocr2.ConfigEncryptionPublicKey,
			public.OnchainPublicKeyHex:  &k.Ocr2.OnchainPublicKey,
		} {
			b, err := hex.DecodeString(hexed)
			if err != nil {
				return nil, fmt.Errorf("a public key of bundle %s is not hexadecimal: %w", d.ID, err)
			}
			*to = b
		}
	}
	return k, nil
}

// relayer finds the relayer that a request names or, if it names none, the only one that it can mean.
func (s *service) relayer(name string, meant []string) (*relay.Relayer, error) {
	known := s.node.Relayers()
	all := strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	switch {
	case name != "" && known[name] != nil:
		return known[name], nil
	case name != "":
		return nil, refuse("relay: this node has no relay %.64q; it has %s", name, all)
	case len(meant) == 1:
		return known[meant[0]], nil
	}
	return nil, refuse("relay: name the one that the key is for, of %s", all)
}

// CreateKey implements nodev1connect.NodeServiceHandler.
func (s *service) CreateKey(ctx context.Context, r *nodev1.CreateKeyRequest) (*nodev1.CreateKeyResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	var id string
	switch r.GetKind() {
	case nodev1.KeyKind_KEY_KIND_P2P:
		k, err := s.node.Keys().CreateP2P(ctx)
		if err != nil {
			return nil, apiError(err)
		}
		id = k.ID()
	case nodev1.KeyKind_KEY_KIND_OCR2:
		of, err := s.relayer(r.GetRelay(), s.node.RelaysServed())
		if err != nil {
			return nil, err
		}
		k, err := s.node.Keys().CreateOCR2(ctx, of.Relay(), of.ReportAlgorithm())
		if err != nil {
			return nil, apiError(err)
		}
		id = k.ID()
	case nodev1.KeyKind_KEY_KIND_ACCOUNT:
		of, err := s.relayer(r.GetRelay(), s.node.RelaysServed())
		if err != nil {
			return nil, err
		}
		k, err := s.node.Keys().CreateAccount(ctx, of.Relay(), of.AccountAlgorithm(), of.AccountName)
		if err != nil {
			return nil, apiError(err)
		}
		id = k.ID()
	default:
		return nil, refuse("kind: one of p2p, ocr2 and account is wanted, not %s", r.GetKind())
	}
	k, err := s.key(id)
	if err != nil {
		return nil, err
	}
	return &nodev1.CreateKeyResponse{Key: k}, nil
}

// key describes a key that was made a moment ago.
func (s *service) key(id string) (*nodev1.Key, error) {
	for _, d := range slices.Backward(s.node.Keys().List()) {
		if d.ID == id {
			k, err := describeKey(d)
			if err != nil {
				return nil, connect.NewError(connect.CodeInternal, err)
			}
			return k, nil
		}
	}
	return nil, connect.NewError(connect.CodeInternal, fmt.Errorf("key %s was made and is not listed", id))
}

// wallets are the relays with accounts that the files of wallets can hold.
func (s *service) wallets() []string {
	known := s.node.Relayers()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(known)),
		func(relay string) bool { return known[relay].AccountAlgorithm() != keystore.Secp256k1 })
}

// ImportKey implements nodev1connect.NodeServiceHandler.
func (s *service) ImportKey(ctx context.Context, r *nodev1.ImportKeyRequest) (*nodev1.ImportKeyResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	wallet, unnamed := s.relayer(r.GetRelay(), s.wallets())
	if unnamed != nil && r.GetRelay() != "" {
		return nil, unnamed
	}
	asked := false // files of established nodes say whose they are, those of wallets do not
	relays := keystore.Relays{Of: func(relay string) (keystore.Wanted, bool) {
		asked = asked || relay == ""
		return s.node.WantedOf(relay)
	}}
	if unnamed == nil {
		relays.Wallet = wallet.Relay()
	}
	done, err := s.stretching.take(ctx, "another key was being imported or exported")
	if err != nil {
		return nil, apiError(err)
	}
	defer done()
	defer debug.FreeOSMemory() // else the runtime keeps what the password took for minutes
	password := keystore.NewPassword(r.GetPassword())
	defer password.Clear()
	made, err := s.node.Keys().Import(ctx, r.GetFile(), password, relays)
	switch {
	case asked:
		return nil, unnamed
	case err != nil:
		return nil, apiError(err)
	}
	k, err := describeKey(made)
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	return &nodev1.ImportKeyResponse{Key: k}, nil
}

// ExportKey implements nodev1connect.NodeServiceHandler.
func (s *service) ExportKey(ctx context.Context, r *nodev1.ExportKeyRequest) (*nodev1.ExportKeyResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	if !s.node.ExportsKeys() {
		return nil, connect.NewError(connect.CodeFailedPrecondition,
			errors.New("this node exports no keys: [Keystore] AllowExport is false"))
	}
	found, err := s.find(ctx, r.GetId(), r.GetRelay())
	if err != nil {
		return nil, err
	}
	done, err := s.stretching.take(ctx, "another key was being imported or exported")
	if err != nil {
		return nil, apiError(err)
	}
	defer done()
	defer debug.FreeOSMemory() // as after an import
	password := keystore.NewPassword(r.GetPassword())
	defer password.Clear()
	file, err := s.node.Keys().Export(found.Kind, found.ID, password, keystore.Relays{Of: s.node.WantedOf})
	if err != nil {
		return nil, apiError(err)
	}
	s.node.Logger().Warn("a key was exported", "kind", found.Kind, "key", found.ID, "relay", found.Relay)
	return &nodev1.ExportKeyResponse{File: file}, nil
}

// find finds the key of a text: a key's id as it is listed, or an account in another spelling.
func (s *service) find(ctx context.Context, text, relay string) (keystore.Description, error) {
	all := slices.DeleteFunc(s.node.Keys().List(),
		func(d keystore.Description) bool { return relay != "" && d.Relay != relay })
	is := func(d keystore.Description) bool {
		return d.ID == text || d.Kind != keystore.KindAccount && strings.EqualFold(d.ID, text)
	}
	found := slices.DeleteFunc(slices.Clone(all), func(d keystore.Description) bool { return !is(d) })
	known := s.node.Relayers()
	for _, d := range all {
		r := known[d.Relay]
		if len(found) > 0 && found[0].ID == text || d.Kind != keystore.KindAccount || r == nil {
			continue
		}
		if spelled, err := r.Accounts(ctx, []string{text}); err == nil && spelled[0].Text == d.ID {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return keystore.Description{}, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("this node has no key %.128q; see: loop keys list", text))
	case len(found) > 1:
		return keystore.Description{}, refuse("relay: %.128q is a key of %s and of %s; name the relay that is meant",
			text, found[0].Relay, found[1].Relay)
	}
	return found[0], nil
}
