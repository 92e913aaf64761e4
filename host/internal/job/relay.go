package job

import (
	"maps"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

var (
	evmAddress = regexp.MustCompile(`^0x[0-9a-fA-F]{40}$`)
	evmDigits  = regexp.MustCompile(`^(?:0X)?([0-9a-fA-F]{40})$`)
	felt       = regexp.MustCompile(`^0x0*[0-9a-fA-F]{1,64}$`)
)

// canonical puts 0x before an address of evm that lacks it: established nodes take both, and relayers the one form.
func canonical(relay, address string) string {
	if relay != "evm" {
		return address
	}
	return evmDigits.ReplaceAllString(address, "0x$1")
}

// feltPrime is the order of Starknet's field, 2^251 + 17*2^192 + 1: an address is a number below it.
func feltPrime() *big.Int {
	prime := new(big.Int).Lsh(big.NewInt(17), 192)
	prime.Add(prime, new(big.Int).Lsh(big.NewInt(1), 251))
	return prime.Add(prime, big.NewInt(1))
}

// relay checks relayConfig and the identifiers whose form depends on the relay, and returns what the relayer is given.
func (d *document) relay(spec *Spec, t table, s Settings) map[string]any {
	values := maps.Clone(t.values)
	if values == nil {
		values = map[string]any{}
	}
	if chainID := d.chainID(spec, t); spec.ChainID == "" {
		spec.ChainID = chainID
	}
	if spec.ChainID != "" {
		values["chainID"] = spec.ChainID
		if spec.Relay == "evm" && !number.MatchString(spec.ChainID) {
			d.problem(t.line("chainID"), "relayConfig.chainID", "%q is not a whole number, as the chains of evm have", spec.ChainID)
		} else if s.Chains != nil && !s.Chains.HasChain(spec.Relay, spec.ChainID) {
			d.problem(t.line("chainID"), "relayConfig.chainID", "this node has no enabled %s chain %q; add it to the node's configuration", spec.Relay, spec.ChainID)
		}
	}

	d.identifier(spec.Relay, d.top, "contractID", spec.ContractID)
	if spec.TransmitterID != "" {
		d.identifier(spec.Relay, d.top, "transmitterID", spec.TransmitterID)
	}
	switch spec.Relay {
	case "evm":
		d.evm(spec, t, values)
	case "solana":
		for _, key := range []string{"ocr2ProgramID", "transmissionsID", "storeProgramID"} {
			d.identifier("solana", t, key, t.text(key))
		}
		t.leftovers([]string{"chainID", "ocr2ProgramID", "transmissionsID", "storeProgramID"}, []string{"nodeEndpointHTTP"})
	case "starknet":
		t.text("nodeName")
		if account := t.text("accountAddress"); account != "" {
			d.identifier("starknet", t, "accountAddress", account)
			if spec.Type == TypeOCR2 {
				spec.AccountAddress = account
			}
		} else if spec.Type == TypeOCR2 {
			d.problem(t.line("accountAddress"), "relayConfig.accountAddress", "no account address in relay config: name the account that sends reports")
		}
		t.leftovers([]string{"chainID", "accountAddress", "nodeName"}, nil)
	}
	return values
}

// chainID reads relayConfig.chainID, which may be a text or a number.
func (d *document) chainID(spec *Spec, t table) string {
	value, given := t.values["chainID"]
	t.read["chainID"] = given
	switch value := value.(type) {
	case string:
		if value != "" {
			return value
		}
	case int64:
		return strconv.FormatInt(value, 10)
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			return strconv.FormatFloat(value, 'f', -1, 64)
		}
	}
	switch {
	case given && value != "":
		d.problem(t.line("chainID"), "relayConfig.chainID", "want a chain's name in quotes or its number, have %s", kindOf(value))
	case spec.ChainID == "":
		text := ""
		if spelled, ok := t.spelled("chainID"); ok && !given {
			text = "; it is spelled " + spelled + ", and must be spelled exactly"
		}
		d.problem(t.line("chainID"), "relayConfig.chainID", "chainID does not exist: name the chain%s", text)
	}
	return ""
}

// evm checks the keys of the evm relay. Tables that only the relayer can judge are passed on as they are.
func (d *document) evm(spec *Spec, t table, values map[string]any) {
	t.whole("fromBlock", math.MaxInt64)
	t.whole("defaultTransactionQueueDepth", math.MaxUint32)
	for _, key := range []string{"simulateTransactions", "enableTriggerCapability", "enableDualTransmission"} {
		t.flag(key)
	}
	for _, key := range []string{"chainReader", "codec", "dualTransmission"} {
		if _, ok := t.spelled(key); ok {
			t.sub(key)
		}
	}
	if id := t.text("feedID"); id != "" && !feedID.MatchString(id) {
		d.problem(t.line("feedID"), "relayConfig.feedID", "%q is not 0x and 64 hexadecimal digits", id)
	}
	if address := canonical("evm", t.text("configContractAddress")); address != "" {
		d.identifier("evm", t, "configContractAddress", address)
		replace(values, "configContractAddress", address)
	}
	sending := t.texts("sendingKeys")
	if len(sending) > 0 {
		for i, address := range sending {
			sending[i] = canonical("evm", address)
		}
		replace(values, "sendingKeys", sending)
	}
	effective := canonical("evm", t.text("effectiveTransmitterID"))
	if effective != "" {
		replace(values, "effectiveTransmitterID", effective)
	}
	if spec.TransmitterID != "" {
		// The established node fills both in before the relayer sees them.
		if len(sending) == 0 {
			replace(values, "sendingKeys", []string{spec.TransmitterID})
		}
		if effective == "" {
			replace(values, "effectiveTransmitterID", spec.TransmitterID)
		}
	}
	t.leftovers([]string{
		"chainID", "fromBlock", "effectiveTransmitterID", "sendingKeys", "configContractAddress", "chainReader", "codec",
		"defaultTransactionQueueDepth", "simulateTransactions", "feedID", "enableTriggerCapability", "enableDualTransmission",
		"dualTransmission",
	}, nil)
}

// replace sets a key and removes its other spellings, which a reader that ignores letter case could take for it.
func replace(values map[string]any, key string, value any) {
	for other := range values {
		if strings.EqualFold(other, key) {
			delete(values, other)
		}
	}
	values[key] = value
}

// identifier checks that a text has the form of an address of the relay.
func (d *document) identifier(relay string, t table, key, value string) {
	want := ""
	switch {
	case value == "":
		want = "the key is missing or empty"
	case relay == "evm" && !evmAddress.MatchString(value):
		want = strconv.Quote(value) + " is not an address, which is 0x and 40 hexadecimal digits"
	case relay == "solana" && !isSolanaKey(value):
		want = strconv.Quote(value) + " is not a public key, which is 32 bytes in base58"
	case relay == "starknet" && !isFelt(value):
		want = strconv.Quote(value) + " is not a field element, which is 0x and a hexadecimal number below 2^251 + 17*2^192 + 1"
	}
	if want != "" {
		d.problem(t.line(key), t.pathOf(key), "%s", want)
	}
}

func isFelt(text string) bool {
	value, ok := new(big.Int).SetString(strings.TrimPrefix(text, "0x"), 16)
	return felt.MatchString(text) && ok && value.Cmp(feltPrime()) < 0
}

// base58 is Bitcoin's alphabet, which Solana uses: digits and letters without 0, O, I and l.
const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

func isSolanaKey(text string) bool {
	if len(text) < 32 || len(text) > 44 { // 32 bytes take no fewer and no more digits
		return false
	}
	value, radix := new(big.Int), big.NewInt(58)
	for _, c := range []byte(text) {
		digit := strings.IndexByte(base58, c)
		if digit < 0 {
			return false
		}
		value.Add(value.Mul(value, radix), big.NewInt(int64(digit)))
	}
	zeros := len(text) - len(strings.TrimLeft(text, "1")) // each leading 1 is a zero byte
	return zeros+(value.BitLen()+7)/8 == 32
}
