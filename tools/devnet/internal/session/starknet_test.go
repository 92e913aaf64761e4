package session

import (
	"testing"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
)

// TestStarknet opens and closes a chain, whose account of a key is where the job says that it is.
func TestStarknet(t *testing.T) {
	t.Parallel()
	made, err := newStarknet(Config{}, "")
	if err != nil {
		t.Fatal(err)
	}
	s := made.(*starknetLedger)
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	prices, err := price.Start(1, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := prices.Close(); err != nil {
			t.Error(err)
		}
	}()
	if d := s.describe(); d.Kind != "starknet" || d.ID != "LOOP_DEVNET" || d.HTTPURL == "" || s.contract() == "0x0" {
		t.Errorf("the chain is %+v with the feed %s", d, s.contract())
	}
	account, err := chain.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	fields := job.Fields{TransmitterID: account.Key.Public().String()}
	s.fields(&fields, prices)
	if fields.AccountAddress != account.Address.String() || fields.JuelsURL != prices.FRIURL() ||
		fields.GasPriceURL != prices.GasPriceURL() {
		t.Errorf("the job has %+v, want the account %s", fields, account.Address)
	}
	s.keys[account.Address] = "0x1"
	if mine, other := s.keyOf(account.Address), s.keyOf(stark.FromUint64(7)); mine != "0x1" || other != "0x7" {
		t.Errorf("the keys of accounts are %s and %s, want 0x1 and 0x7", mine, other)
	}
}

// TestStarknetVersion holds that the node serves the version that was asked for, and checks the error for versions that
// do not exist.
func TestStarknetVersion(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]string{"": "0.10.3-rc.0", "0.10": "0.10.3-rc.0", "0.9": "0.9.0", "0.8": "0.8.1"} {
		made, err := newStarknet(Config{StarknetRPC: asked}, "")
		if err != nil {
			t.Errorf("%q: %v", asked, err)
			continue
		}
		if got := made.(*starknetLedger).version.Spec(); got != want {
			t.Errorf("%q: the node serves %s, want %s", asked, got, want)
		}
	}
	const want = `--starknet-rpc: the version "0.7" of the JSON-RPC is not known; give 0.8, 0.9 or 0.10`
	if _, err := newStarknet(Config{StarknetRPC: "0.7"}, ""); err == nil || err.Error() != want {
		t.Errorf("0.7: %v, want %s", err, want)
	}
}
