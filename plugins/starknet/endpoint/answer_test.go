package endpoint

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// TestSequencersWords checks what a refusal means whose words say more than its code, wherever in a long text they are.
func TestSequencersWords(t *testing.T) {
	t.Parallel()
	const (
		validation = "Account validation failed"
		unexpected = "An unexpected error occurred"
		resources  = "The transaction's resources don't cover validation or the minimal transaction fee"
		poor       = "Account balance is smaller than the transaction's maximal fee"
		bounds     = "{ l1_gas: { max_amount: 0, max_price_per_unit: 62341234567890 }, " +
			"l2_gas: { max_amount: 1200000000, max_price_per_unit: 12345678901 }, " +
			"l1_data_gas: { max_amount: 1152, max_price_per_unit: 98765432101234 } }"
	)
	for name, c := range map[string]struct {
		code          Code
		message, data string
		want          Code
		reason        string
	}{
		"unfunded": {55, validation, "Resources bounds (" + bounds + ") exceed balance (58990874389328446).", 54, poor},
		"unfunded, of one resource": {55, validation,
			"Resource L1Gas bounds (max amount: 7206, max price): 18106067943992) exceed balance (1).", 54, poor},
		"unfunded, of old":   {55, validation, "Max fee (5000) exceeds balance (7).", 54, poor},
		"unfunded, by names": {55, validation, "TransactionFeeError(ResourcesBoundsExceedBalance { bounds: 1 })", 54, poor},
		"a contract's words": {55, validation, "0x1 ('exceeds balance (x)')", 55, validation + ": exceeds balance (x)"},
		"a contract's rule": {55, validation, "Error message: ERC20: transfer amount exceeds balance", 55,
			validation + ": Error message: ERC20: transfer amount exceeds balance"},
		"a signature": {55, validation, "0x1 ('is invalid')", 55, validation + ": is invalid"},
		"below the last block's price": {63, unexpected, "StarknetErrorCode.GAS_PRICE_TOO_LOW: Transaction L2 gas price 9 is",
			65, unexpected + ": StarknetErrorCode.GAS_PRICE_TOO_LOW: Transaction L2 gas price 9 is"},
		"below it, without the name": {63, unexpected, "Transaction L2 gas price 9 is below the required threshold 10.",
			65, unexpected + ": Transaction L2 gas price 9 is below the required threshold 10."},
		"below the least price": {63, unexpected, "Max gas price is too low: GasPrice(7), minimum required gas price: 8.",
			65, unexpected + ": Max gas price is too low: GasPrice(7), minimum required gas price: 8."},
		"below it, with the resources' code": {53, resources, "Max gas price is too low: GasPrice(7).",
			65, resources + ": Max gas price is too low: GasPrice(7)."},
		"below the price of L1 gas": {55, validation, "Resource bounds were not satisfied: Max L1Gas price (9174664530264) " +
			"is lower than the actual gas price: 71824602546140.\nMax L2Gas price (2) is lower than the actual gas price: 3.",
			65, validation + ": Max L2Gas price (2) is lower than the actual gas price: 3."},
		"too little gas": {55, validation, "Max L2Gas amount (300000) is lower than the minimal gas amount: 560000.",
			65, validation + ": Max L2Gas amount (300000) is lower than the minimal gas amount: 560000."},
		"resources":    {53, resources, "", 53, resources},
		"as specified": {54, poor, "", 54, poor},
	} {
		body, err := json.Marshal(map[string]any{"error": map[string]any{
			"code": c.code, "message": c.message, "data": c.data,
		}})
		if err != nil {
			t.Fatal(err)
		}
		text := string(body)
		_, err = client(t, 200, &text).AddInvoke(context.Background(), json.RawMessage("{}"))
		if !relayer.IsAnswered(err) || !IsCode(err, c.want) || relayer.Reason(err) != c.reason {
			t.Errorf("%s: %v, want code %d and %q", name, err, c.want, c.reason)
		}
	}
}
