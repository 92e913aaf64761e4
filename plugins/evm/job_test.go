package evm_test

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// The key is that of the secret of the bytes 1 to 32; address and hash were computed by a program that shares nothing
// with this one.
func TestAccountsAreNamed(t *testing.T) {
	t.Parallel()
	r := newFixture(t).Relayer
	relayertest.Names(t, r, "04"+
		"84bf7562262bbd6940085748f3be6afa52ae317155181ece31b66351ccffa4b0"+
		"8cc43d63b2859d469fee15f31c9edb5324266e6fd0407e87382d60fc4511acd8", "0x6370eF2f4Db3611D657b90667De398a2Cc2a370C")

	const form = "is not an address, which is 0x and 40 hexadecimal digits"
	want := []string{
		"0x6370eF2f4Db3611D657b90667De398a2Cc2a370C", "0x6370eF2f4Db3611D657b90667De398a2Cc2a370C",
		"0x6370eF2f4Db3611D657b90667De398a2Cc2a370C",
		"0x6370eF2f4Db3611D657b90667De398a2Cc2a370C", form, form, form,
	}
	got := relayertest.Normal(t, r,
		"0x6370eF2f4Db3611D657b90667De398a2Cc2a370C", "0x6370ef2f4db3611d657b90667de398a2cc2a370c",
		"0X6370EF2F4DB3611D657B90667DE398A2CC2A370C",
		"6370ef2f4db3611d657b90667de398a2cc2a370c", "0x6370ef", "", "0x6370ef2f4db3611d657b90667de398a2cc2a370g")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReportDigest(t *testing.T) {
	t.Parallel()
	x := newFixture(t)
	chain, _ := x.chain(settings("", [2]string{"", "http://127.0.0.1:1"}))
	p, _ := x.provider(chain, "p", common.Address{1}, common.Address{2})
	at := &reportingv1.ReportContext{
		Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: append([]byte{0, 1}, bytes.Repeat([]byte{0xaa}, 30)...),
			Epoch: 0x01020304, Round: 5},
		ExtraHash: relayertest.Counted(32, 32),
	}
	got := relayertest.Digests(t, p, at, relayertest.Counted(0, 256))
	if want := "efdbe9c748901550924b0f5bea889a5c7077f44291a461631814f05533b385af"; got[0] != want {
		t.Errorf("the digest is %s, want %s", got[0], want)
	}
}

func TestValidateJob(t *testing.T) {
	t.Parallel()
	const (
		contract, sender, other = "0x5FbDB2315678afecb367f032d93F642f64180aa3", "0x6370eF2f4Db3611D657b90667De398a2Cc2a370C",
			"0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
		low    = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
		digits = "6370ef2f4db3611d657b90667de398a2cc2a370c"
	)
	job := func(config string) *relayerv1.ValidateJobRequest {
		return &relayerv1.ValidateJobRequest{ChainId: "1337", ContractId: low, TransmitterId: digits,
			RelayConfigJson: []byte(config)}
	}
	names := [3]string{contract, sender, sender}
	const filled = `{"chainID":"1337","effectiveTransmitterID":"` + sender + `","sendingKeys":["` + sender + `"]}`
	relayertest.Jobs(t, newFixture(t).Relayer, map[string]relayertest.JobCase{
		"nothing":        {Job: job(``), RelayConfig: filled, Names: names},
		"what is filled": {Job: job(filled), RelayConfig: filled, Names: names},
		"other spellings": {Job: job(`{"chainID":1337,"sendingkeys":["` + digits + `"],"EffectiveTransmitterID":"` + digits +
			`"}`), RelayConfig: `{"chainID":"1337","effectiveTransmitterID":"` + sender + `","sendingKeys":["0x` + digits + `"]}`, Names: names},
		"bootstrap": {Job: &relayerv1.ValidateJobRequest{ChainId: "1337", ContractId: contract, ProviderType: "config",
			RelayConfigJson: []byte(
				`{"chainID":"1337","fromBlock":7}`)}, RelayConfig: `{"chainID":"1337","fromBlock":7}`, Names: [3]string{contract}},
		"its own contract": {Job: job(`{"configContractAddress":"` + low + `"}`),
			RelayConfig: `{"chainID":"1337","configContractAddress":"` + contract + `","effectiveTransmitterID":"` + sender +
				`","sendingKeys":["` + sender + `"]}`, Names: names},
		"what it does not do": {Job: job(`{"configContractAddress":"` + other + `","effectiveTransmitterID":"` + other +
			`","enableDualTransmission":true}`), Want: []string{
			"relayConfig.enableDualTransmission: this relayer sends each report once; remove the key",
			"relayConfig.configContractAddress: this relayer reads the configuration from the aggregator itself; remove the key",
			"relayConfig.effectiveTransmitterID: this relayer does not send through forwarders; remove the key",
		}},
		"everything wrong": {Job: &relayerv1.ValidateJobRequest{
			ChainId: "mainnet", ContractId: "0x12", TransmitterId: "me",
			RelayConfigJson: []byte(
				`{"chainID":"mainnet","fromBlock":-1,"simulateTransactions":1,"chainReader":"x","feedID":"x","configContractAddress":"0xzz","sendingKeys":"x","formBlock":1}`),
		}, Want: []string{
			`contractID: "0x12" is not an address, which is 0x and 40 hexadecimal digits`,
			`transmitterID: "me" is not an address, which is 0x and 40 hexadecimal digits`,
			`relayConfig.chainID: "mainnet" is not a whole number, as the chains of evm have`,
			`relayConfig.fromBlock: -1 does not fit: want a whole number from 0 to 9223372036854775807`,
			`relayConfig.simulateTransactions: want true or false, have a whole number`,
			`relayConfig.chainReader: want a table, have a string`,
			`relayConfig.feedID: "x" is not 0x and 64 hexadecimal digits`,
			`relayConfig.configContractAddress: "0xzz" is not an address, which is 0x and 40 hexadecimal digits`,
			`relayConfig.sendingKeys: want a list of strings, have a string`,
			`warning: relayConfig.formBlock: unknown key; did you mean fromBlock?`,
		}},
	})
}
