package abi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// number reads a number as the tests write it.
func number(value any) (decimal.Decimal, error) {
	switch v := value.(type) {
	case string:
		return decimal.NewFromString(v)
	case json.Number:
		return decimal.NewFromString(v.String())
	case *big.Int:
		return decimal.NewFromBigInt(v, 0), nil
	}
	return decimal.Decimal{}, fmt.Errorf("%T is not a number", value)
}

// values reads JSON.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var out map[string]any
	if err := decoder.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// words joins words of hexadecimal digits, each filled up from the left, or with a point from the right.
func words(all ...string) string {
	var out strings.Builder
	for _, w := range all {
		if digits, ok := strings.CutSuffix(w, "."); ok {
			out.WriteString(digits + strings.Repeat("0", 64-len(digits)))
		} else {
			out.WriteString(strings.Repeat("0", 64-len(w)) + w)
		}
	}
	return out.String()
}

const someone = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

// The first three are the examples of Solidity's specification of the ABI.
func TestEncode(t *testing.T) {
	t.Parallel()
	digits := strings.ToLower(someone[2:])
	for name, test := range map[string]struct{ signature, values, want string }{
		"fixed":          {"baz(uint32 x, bool y)", `{"x": 69, "y": true}`, "cdcd77c0" + words("45", "1")},
		"bytes of three": {"bar(bytes3[2] a)", `{"a": ["abc", "0x646566"]}`, "fce353f6" + words("616263.", "646566.")},
		"of any size": {"sam(bytes a, bool b, uint256[] c)", `{"a": "dave", "b": "true", "c": [1, "2", 3.0]}`,
			"a5643bf2" + words("60", "1", "a0", "4", "64617665.", "3", "1", "2", "3")},
		"blanks and aliases": {"\tsam (bytes  memory a,bool b , uint [] calldata c )\n",
			`{"a": "0x64617665", "b": true, "c": [1, 2, 3]}`,
			"a5643bf2" + words("60", "1", "a0", "4", "64617665.", "3", "1", "2", "3")},
		"transfer": {"transfer(address to, uint256 amount)", `{"to": "` + someone + `", "amount": "1e18"}`,
			"a9059cbb" + words(digits, "de0b6b3a7640000")},
		"no arguments":    {"decimals()", `{}`, "313ce567"},
		"arguments alone": {"(address payable a)", `{"a": "` + strings.ToLower(someone) + `"}`, words(digits)},
		"without parentheses": {"int8 a, string b", `{"a": -1, "b": "ä"}`,
			words(strings.Repeat("f", 64), "40", "2", "c3a4.")},
		"nothing at all": {"()", `{}`, ""},
		"other keys":     {"(uint8 a)", `{"a": 1, "b": 2}`, words("1")},
		"tuples": {"f((uint256 n, string s) t, tuple(bool)[2] u)",
			`{"t": {"n": 7, "s": "x"}, "u": [[true], [false]]}`, "c9165b65" + words("60", "1", "0", "7", "40", "1", "78.")},
		"nested arrays": {"(uint8[][2] a)", `{"a": [[1], [2, 3]]}`, words("20", "40", "80", "1", "1", "2", "2", "3")},
		"ends of the ranges": {"(int256 a, uint256 b, int24 c, uint64 d, int64 e)",
			`{"a": "-57896044618658097711785492504343953926634992332820282019728792003956564819968", "b": "115792089237316195423570985008687907853269984665640564039457584007913129639935", "c": -8388608, "d": 18446744073709551615, "e": -9223372036854775808}`, words("8"+strings.Repeat("0", 63), strings.Repeat("f", 64), strings.Repeat("f", 58)+"800000", strings.Repeat("f", 16), strings.Repeat("f", 48)+"8000000000000000")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseFunction(test.signature)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Encode(values(t, test.values), number)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, hex.EncodeToString(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ signature, values, want string }{
		"missing":         {"(uint8 a, uint8 b)", `{"a": 1}`, "argument b is missing"},
		"null":            {"(uint8 a)", `{"a": null}`, "argument a: <nil> is not a number"},
		"fraction":        {"(uint256 amount)", `{"amount": 1.5}`, "argument amount: the number has a fraction"},
		"negative":        {"(uint8 a)", `{"a": -1}`, "argument a: the number does not fit uint8"},
		"above":           {"(uint8 a)", `{"a": 256}`, "argument a: the number does not fit uint8"},
		"above, odd size": {"(uint24 a)", `{"a": 16777216}`, "argument a: the number does not fit uint24"},
		"above, signed":   {"(int8 a)", `{"a": 128}`, "argument a: the number does not fit int8"},
		"below, signed":   {"(int8 a)", `{"a": -129}`, "argument a: the number does not fit int8"},
		"above 256 bits":  {"(uint256 a)", `{"a": "1e78"}`, "argument a: the number does not fit uint256"},
		"below 256 bits":  {"(int256 a)", `{"a": "-1e77"}`, "argument a: the number does not fit int256"},
		"no number":       {"(int256 a)", `{"a": true}`, "argument a: bool is not a number"},
		"no address":      {"(address a)", `{"a": "0x12"}`, "argument a: want an address, 0x and 40 hexadecimal digits"},
		"20 letters":      {"(address a)", `{"a": "abcdefghijklmnopqrst"}`, "argument a: want an address"},
		"address of letters": {"(address a)", `{"a": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg"}`,
			"argument a: want an address"},
		"address of a number": {"(address a)", `{"a": 5}`, "argument a: want an address"},
		"no boolean":          {"(bool a)", `{"a": 1}`, "argument a: want true or false"},
		"no text":             {"(string a)", `{"a": 1}`, "argument a: want a text"},
		"odd digits":          {"(bytes a)", `{"a": "0x1"}`, "argument a: what follows 0x is not pairs"},
		"bytes of a list":     {"(bytes a)", `{"a": [1]}`, "argument a: want bytes"},
		"short bytes":         {"(bytes4 a)", `{"a": "0x010203"}`, "argument a: want 4 bytes, have 3"},
		"long bytes":          {"(bytes4 a)", `{"a": "abcde"}`, "argument a: want 4 bytes, have 5"},
		"no list":             {"(uint8[] a)", `{"a": 1}`, "argument a: want a list"},
		"wrong length":        {"(uint8[2] a)", `{"a": [1]}`, "argument a: want 2 elements, have 1"},
		"element":             {"(uint8[][] a)", `{"a": [[1], [2, 300]]}`, "argument a[1][1]: the number does not fit uint8"},
		"field": {"((uint8 n, bool[] b)[] t)", `{"t": [{"n": 1, "b": []}, {"n": 1, "b": [0]}]}`,
			"argument t[1].b[0]: want true or false"},
		"missing field":      {"((uint8 n, bool b) t)", `{"t": {"n": 1}}`, "argument t: the field b is missing"},
		"field without name": {"((uint8, bool b) t)", `{"t": {"": 1, "b": true}}`, "argument t: the field 0 is missing"},
		"too few fields":     {"((uint8, bool) t)", `{"t": [1]}`, "argument t: want 2 fields, have 1"},
		"no tuple":           {"((uint8, bool) t)", `{"t": 1}`, "argument t: want a map by the fields' names, or a list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseFunction(test.signature)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Encode(values(t, test.values), number); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ signature, want string }{
		"nothing":          {"", "the end where a type is expected"},
		"name alone":       {"decimals", "decimals is not a type"},
		"no closing":       {"f(uint8 a", "the end where a comma or a closing parenthesis is expected"},
		"after the end":    {"f(uint8 a) view", `"view" stands after the closing parenthesis`},
		"no name":          {"f(uint8)", "argument 1 has no name"},
		"twice":            {"f(uint8 a, bool a)", "two arguments are called a"},
		"two names":        {"f(uint8 a b)", "a b: write one name after the type"},
		"comma at the end": {"uint8 a,", "the end where a type is expected"},
		"semicolon":        {"uint8 a; uint8 b", `"; uint8 b" where a comma or the end is expected`},
		"unknown type":     {"(float a)", "float is not a type; the types are address"},
		"function type":    {"(function a)", "function is not a type"},
		"fixed point":      {"(fixed128x18 a)", "fixed128x18 is not a type"},
		"no bytes":         {"(bytes0 a)", "bytes0 is not a type: bytes have 1 to 32"},
		"many bytes":       {"(bytes33 a)", "bytes33 is not a type"},
		"odd bits":         {"(uint7 a)", "uint7 is not a type"},
		"many bits":        {"(int264 a)", "int264 is not a type"},
		"leading zero":     {"(uint08 a)", "uint08 is not a type"},
		"endless bits":     {"(uint99999999999999999999 a)", "is not a type"},
		"a huge array": {"(uint256[1000000000] a)",
			"an array of 1000000000 elements: fixed arrays have 1 to 1024"},
		"an endless array":        {"(uint256[" + strings.Repeat("9", 1000) + "] a)", "fixed arrays have 1 to 1024"},
		"an empty array":          {"(uint256[0] a)", "an array of 0 elements"},
		"arrays that multiply":    {"(uint256[1000][1000] a)", "the type uint256[1000][1000]… is too large"},
		"tuples that multiply":    {"((uint8[1000] a, uint8[1000] b)[1] t)", "is too large"},
		"deep arrays":             {"(uint8[][][][][][][][][] a)", "nest deeper than 8"},
		"deep tuples":             {strings.Repeat("(", 4000), "nest deeper than 8"},
		"many arguments":          {strings.Repeat("bool a,", 65) + "bool b", "more than 64 arguments"},
		"long":                    {strings.Repeat(" ", 4097), "more than 4096 bytes"},
		"an empty tuple":          {"(() a)", "a tuple has at least one field"},
		"a bracket":               {"(uint8[ a)", `"[ a)" where a comma or a closing parenthesis is expected`},
		"a negative size":         {"(uint8[-1] a)", `"[-1] a)" where a comma`},
		"indexed in a function":   {"f(uint8 indexed a)", "indexed stands in the arguments of an event alone"},
		"a variable":              {"$(x)", "x is not a type"},
		"not UTF-8":               {"f(\xff)", "where a type is expected"},
		"a word cut in the quote": {"f(" + strings.Repeat("ä", 30) + ")", "where a type is expected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s, err := ParseFunction(test.signature); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v; want %s", s, err, test.want)
			}
		})
	}
	for signature, want := range map[string]string{"(uint8 a)": "the event has no name",
		"E((bool indexed b) t)": "indexed stands in the arguments of an event alone"} {
		if _, err := ParseEvent(signature); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the event %s: %v, want %s", signature, err, want)
		}
	}
}

func TestParseJSON(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text, want string // the signature, or a part of the error
		names      []string
	}{
		"transfer": {
			`{"type": "function", "name": "transfer", "inputs": [{"internalType": "address", "name": "to", "type": "address"}, {"name": "amount", "type": "uint"}], "outputs": []}`,
			"transfer(address,uint256)", []string{"to", "amount"},
		},
		"tuples": {
			`{"name": "f", "inputs": [{"name": "t", "type": "tuple[2][]", "components": [{"name": "n", "type": "uint8"}, {"type": "tuple", "components": [{"name": "b", "type": "bytes3[]"}]}]}]}`,
			"f((uint8,(bytes3[]))[2][])", []string{"t"},
		},
		"no arguments":     {`{"name": "decimals", "inputs": []}`, "decimals()", []string{}},
		"arguments alone":  {`{"inputs": [{"name": "a", "type": "bool"}]}`, "(bool)", []string{"a"}},
		"no JSON":          {"transfer(address to)", "the function is not an object in JSON such as", nil},
		"a whole contract": {`[{"name": "f", "inputs": []}]`, "the function is not an object in JSON such as", nil},
		"a list of types":  {`{"name": "f", "inputs": ["uint8"]}`, "the function is not an object in JSON such as", nil},
		"no name":          {`{"name": "f", "inputs": [{"type": "uint8"}]}`, "argument 1 has no name", nil},
		"the same name twice": {`{"name": "f", "inputs": [{"name": "a", "type": "uint8"}, {"name": "a", "type": "bool"}]}`,
			"two arguments are called a", nil},
		"no type":      {`{"name": "f", "inputs": [{"name": "a"}]}`, `argument a: "" is not a type`, nil},
		"unknown type": {`{"name": "f", "inputs": [{"name": "a", "type": "float"}]}`, "float is not a type", nil},
		"more in a type": {`{"name": "f", "inputs": [{"name": "a", "type": "uint8 b, bool"}]}`,
			`argument a: "uint8 b, bool" is not a type`, nil},
		"more in a name": {`{"name": "f", "inputs": [{"name": "a, bool b", "type": "uint8"}]}`,
			`"a, bool b" is not the name of an argument`, nil},
		"a keyword as a name": {`{"name": "f", "inputs": [{"name": "memory", "type": "bytes"}]}`,
			`"memory" is not the name of an argument`, nil},
		"more in a function": {`{"name": "f(bool b", "inputs": []}`, `"f(bool b" is not the name of a function`, nil},
		"an empty tuple": {`{"name": "f", "inputs": [{"name": "a", "type": "tuple"}]}`, "a tuple has at least one field",
			nil},
		"deep tuples": {
			`{"name": "f", "inputs": [` + strings.Repeat(`{"name": "a", "type": "tuple", "components": [`, 100) +
				strings.Repeat("]}", 100) + "]}", "nest deeper than 8", nil,
		},
		"many arguments": {`{"name": "f", "inputs": [` + strings.Repeat(`{"name": "a", "type": "bool"},`, 65) +
			`{"name": "b", "type": "bool"}]}`, "more than 64 arguments", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseJSON(test.text)
			if err != nil {
				if test.names != nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				return
			}
			if diff := cmp.Diff(test.want, s.String()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.names, s.Names()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	// A list of 200 values that all stand behind its last offset.
	shared := words("c8") + strings.Repeat(words("1900"), 200)
	for name, test := range map[string]struct {
		signature, data string
		want            any // a map, or a part of the error
	}{
		"answer of a feed": {"uint80 roundId, int256 answer, uint256 startedAt", words("7", strings.Repeat("f", 63)+"e", "0"),
			map[string]any{"roundId": big.NewInt(7), "answer": big.NewInt(-2), "startedAt": new(big.Int)}},
		"every type": {
			"f(address a, bool b, string c, bytes d, bytes3 e, uint8[] g, (bool x, uint8) h, (bool y) i)",
			words(strings.ToLower(someone[2:]), "1", "140", "180", "616263.", "1c0", "1", "2", "1", "0", "2", "c3a4.",
				"1", "ff.", "2", "1", "2"),
			map[string]any{"a": someone, "b": true, "c": "ä", "d": []byte{255}, "e": []byte("abc"),
				"g": []any{big.NewInt(1), big.NewInt(2)}, "h": []any{true, big.NewInt(2)}, "i": map[string]any{"y": true}},
		},
		"more than the arguments": {"uint8 a", words("1", "2"), map[string]any{"a": big.NewInt(1)}},
		"no arguments":            {"()", "", map[string]any{}},
		"nothing":                 {"uint8 a", "", "there is no data to decode"},
		"half a word":             {"uint8 a", words("1")[:62], "the data ends before"},
		"too large for its type":  {"uint8 a", words("100"), "argument a: the number does not fit uint8"},
		"too large, odd size":     {"uint24 a", words("1000000"), "argument a: the number does not fit uint24"},
		"too small, odd size": {"int24[] a", words("20", "1", strings.Repeat("f", 58)+"7fffff"),
			"argument a[0]: the number does not fit int24"},
		"no boolean": {"bool a", words("2"), "argument a: the word is neither true nor false"},
		"no boolean, far down": {"tuple(uint8 n, (bool b)[] t) a", words("20", "7", "40", "2", "1", strings.Repeat("f", 64)),
			"argument a.t[1].b: the word is neither true nor false"},
		"an offset too far": {"bytes a", words("21"), "the data ends before"},
		"an endless offset": {"bytes a", words(strings.Repeat("f", 64)), "the data ends before"},
		"an endless length": {"uint8[] a", words("20", strings.Repeat("f", 16)), "the data ends before"},
		"a length too far":  {"bytes a", words("20", "21", "0"), "the data ends before"},
		"a list too long":   {"uint8[] a", words("20", "3", "1", "2"), "the data ends before"},
		"lists that multiply": {"uint8[][][] a", words("20") + shared + shared + words("c8") +
			strings.Repeat(words("1"), 200), "would make more than 65536 words"},
		"texts that multiply": {"string[] a", words("20") + shared + words("4000") + strings.Repeat("00", 0x4000),
			"would make more than 65536 words"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseFunction(test.signature)
			if err != nil {
				t.Fatal(err)
			}
			data, err := hex.DecodeString(test.data)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Decode(data)
			decoded(t, got, err, test.want)
		})
	}
}

// decoded compares what a decoder returned with the wanted arguments. If want is a string, it checks for an error with
// that text.
func decoded(t *testing.T, got map[string]any, err error, want any) {
	t.Helper()
	if text, ok := want.(string); ok {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %.200v, %v; want %s", got, err, text)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, any(got),
		cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeLog(t *testing.T) {
	t.Parallel()
	// Of the ERC-20 standard.
	const transfer = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
	from, to := words("1"), words(strings.ToLower(someone[2:]))
	for name, test := range map[string]struct {
		signature string
		topics    []string
		data      string
		want      any
	}{
		"transfer": {"Transfer(address indexed from, address indexed to, uint256 value)", []string{transfer, from, to},
			words("5"), map[string]any{"from": "0x" + strings.Repeat("0", 39) + "1", "to": someone, "value": big.NewInt(5)}},
		"hash of a text": {"E(string indexed s)", []string{"", words("77.")}, "",
			map[string]any{"s": append([]byte{0x77}, make([]byte, 31)...)}},
		"too few topics": {"Transfer(address indexed from, address indexed to, uint256 value)", []string{transfer, from},
			words("5"), "the log has 2 topics, and one of Transfer(address,address,uint256) has 3"},
		"another event": {"Transfer(address indexed from, address indexed to, uint256 value)", []string{from, from, to},
			words("5"), "the log is of another event"},
		"a short topic": {"Transfer(address indexed from, address indexed to, uint256 value)", []string{transfer, "01", to},
			words("5"), "topic 1 has 1 bytes; want 32"},
		"no data": {"Transfer(address indexed from, address indexed to, uint256 value)", []string{transfer, from, to},
			"", "there is no data to decode"},
		"a topic too big": {"E(uint8 indexed n)", []string{"", words("100")}, "", "argument n: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseEvent(test.signature)
			if err != nil {
				t.Fatal(err)
			}
			topics := make([][]byte, len(test.topics))
			for i, topic := range test.topics {
				if topics[i], err = hex.DecodeString(topic); err != nil {
					t.Fatal(err)
				}
			}
			if len(topics[0]) == 0 {
				topics[0] = eventID(t, s)
			}
			data, err := hex.DecodeString(test.data)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.DecodeLog(topics, data)
			decoded(t, got, err, test.want)
		})
	}
}

func eventID(t rapid.TB, s *Signature) []byte {
	t.Helper()
	return gethabi.NewEvent(s.name, s.name, false, reference(t, s)).ID.Bytes()
}

// drawn is a value as JSON has it, and as it must come back.
type drawn struct{ in, comes any }

// draw makes a type, and as many values of it as asked.
func draw(t *rapid.T, depth, n int) (text string, values []drawn) {
	each := func(f func() (in, comes any)) {
		for range n {
			in, comes := f()
			values = append(values, drawn{in: in, comes: comes})
		}
	}
	kinds := 5
	if depth > 0 {
		kinds = 8
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		bits := 8 * rapid.IntRange(1, 32).Draw(t, "bytes")
		signed := rapid.Bool().Draw(t, "signed")
		text = fmt.Sprintf("uint%d", bits)
		if signed {
			text = fmt.Sprintf("int%d", bits)
		}
		each(func() (any, any) {
			v := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, bits/8).Draw(t, "integer"))
			if signed && v.BitLen() == bits {
				v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
			}
			if rapid.Bool().Draw(t, "as text") {
				return v.String(), v
			}
			return v, v
		})
	case 1:
		text = "bool"
		each(func() (any, any) { b := rapid.Bool().Draw(t, "bool"); return b, b })
	case 2:
		text = "string"
		each(func() (any, any) { s := rapid.String().Draw(t, "string"); return s, s })
	case 3:
		text = "bytes"
		size := rapid.IntRange(0, 32).Draw(t, "size")
		if size > 0 {
			text = fmt.Sprintf("bytes%d", size)
		}
		each(func() (any, any) {
			least, most := size, size
			if size == 0 {
				most = 70
			}
			raw := rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, "raw")
			return "0x" + hex.EncodeToString(raw), raw
		})
	case 4:
		text = "address"
		each(func() (any, any) { return strings.ToLower(someone), someone })
	case 5:
		// Values of one list are drawn in a row, and dealt out.
		lengths, all := make([]int, n), 0
		fixed := rapid.IntRange(0, 3).Draw(t, "fixed")
		for i := range lengths {
			if lengths[i] = fixed; fixed == 0 {
				lengths[i] = rapid.IntRange(0, 3).Draw(t, "length")
			}
			all += lengths[i]
		}
		inner, elements := draw(t, depth-1, all)
		text = inner + "[]"
		if fixed > 0 {
			text = fmt.Sprintf("%s[%d]", inner, fixed)
		}
		for _, length := range lengths {
			in, comes := make([]any, length), make([]any, length)
			for i := range in {
				in[i], comes[i] = elements[i].in, elements[i].comes
			}
			elements = elements[length:]
			values = append(values, drawn{in: in, comes: comes})
		}
	default:
		count := rapid.IntRange(1, 3).Draw(t, "fields")
		named := rapid.Bool().Draw(t, "named")
		parts := make([]string, count)
		columns := make([][]drawn, count)
		for i := range parts {
			parts[i], columns[i] = draw(t, depth-1, n)
			if named {
				parts[i] += fmt.Sprintf(" Field_%d", i)
			}
		}
		text = "(" + strings.Join(parts, ", ") + ")"
		for row := range n {
			in, comes := make([]any, count), make([]any, count)
			byName := map[string]any{}
			for i := range parts {
				in[i], comes[i] = columns[i][row].in, columns[i][row].comes
				byName[fmt.Sprintf("Field_%d", i)] = comes[i]
			}
			if named {
				values = append(values, drawn{in: in, comes: byName})
			} else {
				values = append(values, drawn{in: in, comes: comes})
			}
		}
	}
	return text, values
}

// reference is a signature's arguments as go-ethereum has them. It wants names of fields that are fit for Go.
func reference(t rapid.TB, s *Signature) (all gethabi.Arguments) {
	t.Helper()
	var written func(of *shape) (string, []gethabi.ArgumentMarshaling)
	written = func(of *shape) (string, []gethabi.ArgumentMarshaling) {
		switch of.kind {
		case list, array:
			base, fields := written(of.elem)
			return base + of.text[len(of.elem.text):], fields
		case tuple:
			var fields []gethabi.ArgumentMarshaling
			for i := range of.fields {
				base, inner := written(&of.fields[i].shape)
				fields = append(fields, gethabi.ArgumentMarshaling{Name: fmt.Sprintf("f%d", i), Type: base, Components: inner})
			}
			return "tuple", fields
		default:
			return of.text, nil
		}
	}
	for _, a := range s.arguments {
		base, fields := written(&a.shape)
		of, err := gethabi.NewType(base, "", fields)
		if err != nil {
			t.Fatalf("go-ethereum does not know the type %s: %v", base, err)
		}
		all = append(all, gethabi.Argument{Name: a.name, Type: of})
	}
	return all
}

// reencoded is what go-ethereum makes of an encoding that it decodes.
func reencoded(t rapid.TB, s *Signature, data []byte) []byte {
	t.Helper()
	values, err := reference(t, s).Unpack(data)
	if err != nil {
		t.Fatalf("%s: go-ethereum does not decode %x: %v", s, data, err)
	}
	encoded, err := reference(t, s).Pack(values...)
	if err != nil {
		t.Fatalf("%s: go-ethereum does not encode %v: %v", s, values, err)
	}
	return encoded
}

// agree checks that this package reads any bytes as go-ethereum does, and reads its own encoding of what it read as the
// same.
func agree(t rapid.TB, s *Signature, data []byte) {
	t.Helper()
	got, err := s.Decode(data)
	switch {
	// go-ethereum decodes data that costs too much as long as there is memory. It reads only the last bytes of some
	// offsets, and does not check some sizes of integers.
	case errors.Is(err, errCost), errors.Is(err, errShort), err != nil && strings.Contains(err.Error(), "does not fit"):
		return
	case err != nil:
		if _, other := reference(t, s).Unpack(data); other == nil && len(s.arguments) > 0 {
			t.Fatalf("%s: go-ethereum decodes %x, and this package says: %v", s, data, err)
		}
		return
	}
	encoded, err := s.Encode(got, number)
	if err != nil {
		t.Fatalf("%s: %v came out and cannot be encoded: %v", s, got, err)
	}
	if s.name != "" {
		encoded = encoded[4:]
	}
	if len(s.arguments) > 0 && !bytes.Equal(reencoded(t, s, data), encoded) {
		t.Fatalf("%s: of %x came %x, and of go-ethereum %x", s, data, encoded, reencoded(t, s, data))
	}
	again, err := s.Decode(encoded)
	if err != nil ||
		!cmp.Equal(got, again, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }),
			cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })) {
		t.Fatalf("%s: %v came back as %v, %v", s, got, again, err)
	}
}

// Encodings in which another word takes the place of one decode as they do in go-ethereum.
func TestDecodeBent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		inner, values := draw(t, 3, 1)
		s, err := ParseFunction("bool first, " + inner + " second, uint8 third")
		if err != nil {
			t.Fatal(err)
		}
		data, err := s.Encode(map[string]any{"first": true, "second": values[0].in, "third": "7"}, number)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(data)/word-1).Draw(t, "at") * word
		small := count(
			rapid.SampledFrom([]int{0, 1, 2, 3, 31, 32, 33, 63, 64, 96, 128, 160, 192, 255, 256, len(data), 1 << 40}).Draw(t,
				"small"))
		copy(data[at:], rapid.OneOf(rapid.Just(small), rapid.SliceOfN(rapid.Byte(), word, word)).Draw(t, "word"))
		agree(t, s, data[:len(data)-rapid.IntRange(0, 2).Draw(t, "missing")])
	})
}

func TestDecodeUndoesEncode(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 4).Draw(t, "arguments")
		parts := make([]string, count)
		in, want := map[string]any{}, map[string]any{}
		for i := range parts {
			text, values := draw(t, 3, 1)
			name := fmt.Sprintf("arg%d", i)
			parts[i] = text + " " + name
			in[name], want[name] = values[0].in, values[0].comes
		}
		text := "f(" + strings.Join(parts, ",") + ")"
		s, err := ParseFunction(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		data, err := s.Encode(in, number)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := s.Decode(data[4:])
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }),
			cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
		if data := data[4:]; !bytes.Equal(reencoded(t, s, data), data) {
			t.Fatalf("%s: %x is not as go-ethereum encodes it", text, data)
		}
		// What was decoded encodes to the same.
		again, err := s.Encode(got, number)
		if err != nil || string(again) != string(data) {
			t.Fatalf("%s: %x and %v, want %x", text, again, err, data)
		}
	})
}

func FuzzSignature(f *testing.F) {
	for _, text := range []string{"transfer(address to, uint256 amount)", "uint8 a, bytes memory b",
		"E(bytes32 indexed a, (bool, int24[2][] b)[3] c)", "tuple(string s)[] t", "((((", "uint256[1000000000] a",
		`{"name": "f", "inputs": [{"name": "a", "type": "tuple[2]", "components": [{"type": "int8"}]}]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (*Signature, error){ParseFunction, ParseEvent, ParseJSON} {
			s, err := parse(text)
			if err != nil {
				continue
			}
			if len(s.arguments) > maxArguments {
				t.Errorf("%q has %d arguments", text, len(s.arguments))
			}
			for _, a := range s.arguments {
				if n := a.shape.words(); n < 1 || n > maxWords {
					t.Errorf("%q has an argument of %d words", text, n)
				}
			}
			if id := gethabi.NewEvent(s.name, s.name, false, reference(t, s)).ID; id != s.hash() {
				t.Errorf("%q has the hash %x, and go-ethereum's is %x", text, s.hash(), id)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []struct{ signature, data string }{
		{"uint80 a, int256 b", words("7", strings.Repeat("f", 64))},
		{"uint8[][][] a", words("20", "2", "40", "40", "1", "20", "1", "5")},
		{"(string s, bool[2] b)[] t, bytes3 c", words("40", "616263.", "1", "20", "60", "1", "0", "1", "78.")},
		{"string[] a", words("20", "2", "40", "40", "1", "78.")},
		{"int24[3] a, bytes b", words("1", "2", strings.Repeat("f", 64), "80", "21", "1.", "1.")},
	} {
		data, err := hex.DecodeString(seed.data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed.signature, data)
	}
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		s, err := ParseFunction(text)
		if err != nil {
			return
		}
		agree(t, s, data)
	})
}
