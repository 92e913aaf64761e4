package looptest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"

	"google.golang.org/grpc/codes"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// accountKeys are two public keys of each algorithm: the points 1 and 2 of the curve or, of Ed25519, the first two of
// RFC 8032.
var accountKeys = map[relayerv1.AccountAlgorithm][2]string{
	relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1: {
		"0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
		"04c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee51ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a",
	},
	relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519: {
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
		"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	},
	relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_STARK: {
		"01ef15c18599971b7beced415a40f0c7deacfd9b0d1819e03d723d8bc943cfca",
		"0759ca09377679ecd535a81e83039658bf40959283187c654c5416f439403cf5",
	},
}

// nameless names nothing on any chain: some chains name accounts and contracts by words, but none with blanks and an
// exclamation mark.
const nameless = "no such name!"

func relayerAccounts(ctx context.Context, b *bench) error {
	l, d, err := b.described(ctx)
	if err != nil {
		return err
	}
	const method = "RelayerService.DescribeAccounts"
	var given [][]byte
	for _, text := range accountKeys[d.GetAccountAlgorithm()] {
		key, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		given = append(given, key)
	}
	name := func(keys ...[]byte) ([]string, error) {
		var r relayerv1.DescribeAccountsResponse
		err := l.call(ctx, "", relayerv1.RelayerService_DescribeAccounts_FullMethodName,
			&relayerv1.DescribeAccountsRequest{PublicKeys: keys}, &r)
		return r.GetNames(), err
	}
	names, err := name(given[0], given[1], given[0])
	if err != nil {
		return wrap(method, err)
	}
	if len(names) != 3 {
		return fmt.Errorf("%s of three keys answers %d names; want one for each", method, len(names))
	}
	if names[0] != names[2] || names[0] == names[1] || names[0] == "" || names[1] == "" {
		return fmt.Errorf("%s of a key, another and the first again answers %q; want a name for each key and always the same",
			method, names)
	}
	for _, name := range names {
		normal, err := l.normalize(ctx, relayerv1.IdKind_ID_KIND_ACCOUNT, name)
		if err != nil {
			return err
		}
		if normal[0].GetText() != name {
			return fmt.Errorf("%s names an account %q, which RelayerService.NormalizeIds spells %q (%s); want one spelling",
				method, name, normal[0].GetText(), normal[0].GetProblem())
		}
	}
	for what, key := range map[string][]byte{"no bytes": {}, "a key without its last byte": given[0][:len(given[0])-1],
		"ones": bytes.Repeat([]byte{0xff}, len(given[0])+1)} {
		_, err := name(given[0], key)
		if err := want(method+" of "+what, err, codes.InvalidArgument); err != nil {
			return err
		}
	}
	return nil
}

// normalize has a relayer spell texts of one kind.
func (l *generation) normalize(ctx context.Context, kind relayerv1.IdKind,
	texts ...string) ([]*relayerv1.NormalizedId, error) {
	request := &relayerv1.NormalizeIdsRequest{}
	for _, text := range texts {
		request.Ids = append(request.Ids, &relayerv1.Id{Kind: kind, Text: text})
	}
	var r relayerv1.NormalizeIdsResponse
	if err := l.call(ctx, "", relayerv1.RelayerService_NormalizeIds_FullMethodName, request, &r); err != nil {
		return nil, wrap("RelayerService.NormalizeIds", err)
	}
	if got := len(r.GetIds()); got != len(texts) {
		return nil, fmt.Errorf("RelayerService.NormalizeIds of %d texts answers %d; want one for each", len(texts), got)
	}
	for i, id := range r.GetIds() {
		if (id.GetText() == "") == (id.GetProblem() == "") {
			return nil, fmt.Errorf("RelayerService.NormalizeIds spells %q as %q with the problem %q; want one of the two",
				texts[i], id.GetText(), id.GetProblem())
		}
	}
	return r.GetIds(), nil
}

func relayerIDs(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	const method = "RelayerService.NormalizeIds"
	for kind, text := range map[relayerv1.IdKind]string{
		relayerv1.IdKind_ID_KIND_CONTRACT: b.settings.Relayer.ContractID,
		relayerv1.IdKind_ID_KIND_ACCOUNT:  b.settings.Relayer.TransmitterID,
	} {
		ids, err := l.normalize(ctx, kind, nameless, text, "")
		if err != nil {
			return err
		}
		if ids[1].GetProblem() != "" || ids[0].GetProblem() == "" || ids[2].GetProblem() == "" {
			return fmt.Errorf("%s finds of %q, %q and an empty text the problems %q, %q and %q; want some with the first and "+
				"the last, which name nothing",
				method, nameless, text, ids[0].GetProblem(), ids[1].GetProblem(), ids[2].GetProblem())
		}
		again, err := l.normalize(ctx, kind, ids[1].GetText())
		if err != nil {
			return err
		}
		if got := again[0].GetText(); got != ids[1].GetText() {
			return fmt.Errorf("%s spells %q as %q, and that as %q; want its own spellings left as they are", method, text,
				ids[1].GetText(), got)
		}
	}
	return nil
}
