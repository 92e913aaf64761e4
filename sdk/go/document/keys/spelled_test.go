package keys

import "testing"

func TestSpelled(t *testing.T) {
	t.Parallel()
	table := map[string]any{"chainID": 1, "ChainID": 2, "chainId": 3, "zebra": 4}
	for key, want := range map[string]string{"chainID": "chainID", "chainId": "chainId", "chainid": "ChainID",
		"ZEBRA": "zebra", "horse": ""} {
		if got, ok := Spelled(table, key); got != want || ok != (want != "") {
			t.Errorf("%s is spelled %q, %v; want %q", key, got, ok, want)
		}
	}
}
