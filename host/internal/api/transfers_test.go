package api

import (
	"math/big"
	"strings"
	"testing"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// A transfer reaches the relayer of its chain, which has it signed, and what is wrong with one is told by its code.
func TestTransferCoins(t *testing.T) {
	t.Parallel()
	d := start(t, onAcme(t))
	own := d.Keys().Accounts("acme")[0]
	for name, c := range map[string]struct {
		change func(*nodev1.TransferCoinsRequest)
		code   connect.Code // 0: it is sent
		want   string
	}{
		"a transfer":  {func(*nodev1.TransferCoinsRequest) {}, 0, ""},
		"no relay":    {func(r *nodev1.TransferCoinsRequest) { r.Relay = "dog" }, connect.CodeInvalidArgument, "relay"},
		"no chain":    {func(r *nodev1.TransferCoinsRequest) { r.ChainId = "2" }, connect.CodeInvalidArgument, "chain 2"},
		"no amount":   {func(r *nodev1.TransferCoinsRequest) { r.Amount = "" }, connect.CodeInvalidArgument, "amount"},
		"nothing":     {func(r *nodev1.TransferCoinsRequest) { r.Amount = "0" }, connect.CodeInvalidArgument, "amount"},
		"less":        {func(r *nodev1.TransferCoinsRequest) { r.Amount = "-5" }, connect.CodeInvalidArgument, "amount"},
		"a fraction":  {func(r *nodev1.TransferCoinsRequest) { r.Amount = "1e18" }, connect.CodeInvalidArgument, "amount"},
		"no receiver": {func(r *nodev1.TransferCoinsRequest) { r.To = "" }, connect.CodeInvalidArgument, "from, to"},
		"too much": {func(r *nodev1.TransferCoinsRequest) { r.Amount = new(big.Int).Lsh(big.NewInt(1), 256).String() },
			connect.CodeInvalidArgument, "amount"},
		"somebody else's": {func(r *nodev1.TransferCoinsRequest) { r.From = "nobody" }, connect.CodeNotFound, "nobody"},
	} {
		r := &nodev1.TransferCoinsRequest{Relay: "acme", ChainId: "1", From: own, To: "friend", Amount: "5"}
		c.change(r)
		sent, err := d.admin.TransferCoins(t.Context(), r)
		switch {
		case c.code == 0:
			if err != nil || sent.GetTransactionHash() == "" {
				t.Errorf("%s: %v, %v", name, sent, err)
			}
		case connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v; want %s and %q", name, err, c.code, c.want)
		}
	}
}
