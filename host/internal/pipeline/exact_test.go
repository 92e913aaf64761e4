package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// steps are what can be done with the integer of the task IN without rounding it. They end in the task OUT, with AA and
// BB between. The server at URL and the bridge answer with the request's body; LESS is one less than the integer.
var steps = map[string]string{
	"memo":       `OUT [type=memo] IN -> OUT`,
	"variable":   `AA [type=memo value=<[7, {"k": $(IN)}]>] OUT [type=memo value="$(AA.1.k)"]`,
	"lookup":     `AA [type=memo value=<{"k": $(IN)}>] OUT [type=lookup key=k] AA -> OUT`,
	"merge":      `AA [type=merge left=<{"k": 1}> right=<{"k": $(IN)}>] OUT [type=lookup key=k] AA -> OUT`,
	"any":        `OUT [type=any] IN -> OUT`,
	"mode":       `AA [type=mode values=<[1, $(IN), $(IN)]> allowedFaults=0] OUT [type=memo value="$(AA.results.0)"]`,
	"median":     `OUT [type=median values=<[$(IN), $(IN)]> allowedFaults=0]`,
	"sum":        `OUT [type=sum values=<[$(IN), 0]> allowedFaults=0]`,
	"mean":       `OUT [type=mean] IN -> OUT`,
	"multiply":   `OUT [type=multiply times=1] IN -> OUT`,
	"divide":     `OUT [type=divide input="$(IN)" divisor=1]`,
	"guard":      `AA [type=lessthan left="LESS" right="$(IN)"] BB [type=conditional] OUT [type=memo value="$(IN)"] AA -> BB -> OUT`,
	"abi":        `AA [type=ethabiencode abi="(int256[] n)" data=<{"n": [$(IN)]}>] BB [type=ethabidecode abi="(int256[] n)"] OUT [type=memo value="$(BB.n.0)"] AA -> BB`,
	"http":       `AA [type=http method=POST url="URL" requestData=<{"k": [0.1, $(IN)]}>] OUT [type=jsonparse path="k,1"] AA -> OUT`,
	"whole body": `AA [type=memo value=<{"k": $(IN)}>] BB [type=http method=POST url="URL" requestData="$(AA)"] OUT [type=jsonparse path=k data="$(BB)"]`,
	"bridge":     `AA [type=bridge name=mirror requestData=<{"k": $(IN)}>] OUT [type=jsonparse path=k] AA -> OUT`,
	"document":   `AA [type=bridge name=mirror includeInputAtKey=k] BB [type=jsonparse] OUT [type=lookup key=k] IN -> AA -> BB -> OUT`,
	"merge text": `AA [type=http method=POST url="URL" requestData=<{"k": $(IN)}>] BB [type=merge right=<{}>] OUT [type=lookup key=k] AA -> BB -> OUT`,
	"values":     `AA [type=http method=POST url="URL" requestData=<{"k": [$(IN)]}>] BB [type=jsonparse path=k] OUT [type=sum values="$(BB)"] AA -> BB`,
}

// hide puts an integer somewhere into a document, among numbers that nothing may read, and returns where it is.
func hide(t *rapid.T, integer string) (document, path string) {
	document = integer
	for range rapid.IntRange(0, 4).Draw(t, "depth") {
		if rapid.Bool().Draw(t, "list") {
			document, path = "[1e400, "+document+"]", "1,"+path
		} else {
			document, path = `{"a": 1e-400, "k": `+document+`, "z": 1e999999999}`, "k,"+path
		}
	}
	return document + rapid.SampledFrom([]string{"", "\n", " {", "]"}).Draw(t, "rest"), strings.TrimSuffix(path, ",")
}

// TestIntegersKeepTheirDigits takes integers of JSON through chains of tasks, requests and the ABI.
func TestIntegersKeepTheirDigits(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // whole: a reply that has begun may end the reading
		_, _ = w.Write(body)
	})
	r := newRunner(t, Settings{Bridges: registry{"mirror": server.URL}})
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.OneOf(rapid.IntRange(1, 76), rapid.IntRange(1, 10_000)).Draw(t, "digits")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		text := []byte{byte('1' + random.IntN(9))}
		for len(text) < digits {
			text = append(text, byte('0'+random.IntN(10)))
		}
		want := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign") + string(text)
		integer, _ := new(big.Int).SetString(want, 10)
		document, path := hide(t, want)
		quoted, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}

		names := slices.Sorted(maps.Keys(steps))
		if integer.BitLen() > 255 {
			names = slices.DeleteFunc(names, func(name string) bool { return name == "abi" })
		}
		var source strings.Builder
		fmt.Fprintf(&source, "src [type=memo value=<%s>]\nt0 [type=jsonparse path=%q]\nsrc -> t0\n", quoted, path)
		chain := rapid.SliceOfN(rapid.SampledFrom(names), 1, 8).Draw(t, "chain")
		for i, name := range chain {
			out := fmt.Sprintf("t%d", i+1)
			source.WriteString(strings.NewReplacer("IN", fmt.Sprintf("t%d", i), "OUT", out, "AA", out+"a", "BB", out+"b", "URL",
				server.URL,
				"LESS", new(big.Int).Sub(integer, big.NewInt(1)).String()).Replace(steps[name]) + "\n")
		}
		p, err := Parse(source.String())
		if err != nil {
			t.Fatal(err)
		}
		final, err := r.Run(t.Context(), p, Input{}).Final()
		if err != nil {
			t.Fatalf("%s: %v", source.String(), err)
		}
		got := strings.Trim(strings.TrimPrefix(show(final), "decimal "), `"`)
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", source.String(), got, want)
		}
		// What fits a chain's answer is that integer, and nothing else is taken.
		answer, err := Integer(final)
		fits := integer.Cmp(new(big.Int).Lsh(big.NewInt(-1), answerBits-1)) >= 0 &&
			integer.Cmp(new(big.Int).Lsh(big.NewInt(1), answerBits-1)) < 0
		if fits != (err == nil) || fits && answer.Cmp(integer) != 0 {
			t.Errorf("the answer of %s is %v, %v", want, answer, err)
		}
	})
}
