package pipeline

import (
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"gonum.org/v1/gonum/graph/formats/dot"
)

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/sources.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(text), "\n=== ")[1:] {
		f.Add(strings.Split(c, "\n---\n")[1])
	}
	for _, source := range []string{
		"a:n -> b:c:s [x=y]; node [type=sum]", `"a b" [type="sum" values=<[1]>] # end`, "a [type=any] -> b", "{a b} -> c",
		"a [values=\"x\\\ny\"]", "/* ** */ a--b", "a[x=<<b>>]", "1a -.5 -> 5. // x\r\n", "a [type=sum values=<[$(a)]>]",
		"A [t=<\xff>]",
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Parse(source)
		switch {
		case errors.Is(err, errOutOfStep):
			t.Fatalf("the scanner and gonum disagree about %q", source)
		case err != nil:
			return
		}
		lines := 1 + strings.Count(source, "\n")
		for _, task := range p.Tasks() {
			if task.Line < 1 || task.Line > lines {
				t.Errorf("task %s has line %d of %d", task.ID, task.Line, lines)
			}
		}
		if _, err := dot.ParseString("digraph {\n" + source + "\n}"); err != nil {
			t.Errorf("gonum refuses %q: %v", source, err)
		}
	})
}

func FuzzVariables(f *testing.F) {
	for _, raw := range []string{"$(a)", " $( jb.name ) ", "[$(a), $(b.0.x)]", `{"loop variable": 1, "x": $(a)}`, `"$(a)"`,
		"$(a..b)", `{"loop\u0020variable":0}`} {
		f.Add(raw)
	}
	a, b := &task{name: "a"}, &task{name: "b", position: 1}
	tasks := map[string]*task{"a": a, "b": b}
	s := scope{
		outcomes: []outcome{{value: "text"}, {err: errors.New("failed")}},
		run:      Input{Name: "name"}.variables(),
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if name, ok := wholeVariable(raw); ok {
			if ref, err := newReference(name, tasks); err == nil {
				if got, err := ref.resolve(s); err == nil && got.err == nil && got.value == nil {
					if _, isMeta := strings.CutPrefix(ref.text, "jobRun.meta"); !isMeta {
						t.Errorf("%q gives nothing", raw)
					}
				}
			}
		}
		read, err := compileJSON(raw, tasks)
		if err != nil {
			return
		}
		filled, err := fill(read.literal, s, true)
		if err != nil {
			return
		}
		if !read.open { // a plain JSON text comes through as any JSON decoder reads it
			var want any
			if err := json.NewDecoder(strings.NewReader(raw)).Decode(&want); err != nil &&
				!strings.Contains(err.Error(), "cannot unmarshal number") {
				t.Fatalf("%q was taken as JSON: %v", raw, err)
			}
			if _, err := marshal(filled); err != nil {
				t.Fatalf("%q came out as %v: %v", raw, filled, err)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add(`{"a":[1,{"b":null}]}`, "a,1,b", ",", true)
	f.Add(`[[[]]]`, "0,-1,0", ",", true)
	f.Add(`0x7b7d`, "x", "", false)
	f.Fuzz(func(t *testing.T, document, path, separator string, lax bool) {
		parse := &jsonParse{
			data:      parameter{name: "data", present: true, literal: document},
			path:      parameter{name: "path", present: true, literal: path},
			separator: parameter{name: "separator", present: separator != "", literal: separator},
		}
		strict, strictErr := parse.evaluate(scope{})
		parse.lax = lax
		value, err := parse.evaluate(scope{})
		switch {
		case strictErr == nil && (err != nil || (value == nil) != (strict == nil)):
			t.Errorf("lax gives %v and %v where strict gives %v", value, err, strict)
		case strictErr != nil && err == nil && (!lax || value != nil):
			t.Errorf("lax gives %v where strict fails", value)
		}
	})
}

func FuzzDecimal(f *testing.F) {
	for _, text := range []string{"1e5", "+5", ".5", "5.", "-1.9", "1e999999999", "1e-999999999", "0x10", "1_000", "NaN",
		"", " 1", "−5", ".-5", "1e", "1e1.5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDecimal(text)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(strings.TrimPrefix(text, "+"))
		if !ok {
			t.Fatalf("%q was taken as %s", text, d)
		}
		if d.Rat().Cmp(want) != 0 {
			t.Errorf("%q = %s", text, d)
		}
		for _, combine := range []func(a, b decimal.Decimal) (decimal.Decimal, error){
			multiply, func(a, b decimal.Decimal) (decimal.Decimal, error) { return divide(a, b, quotientPlaces) },
		} {
			if out, err := combine(d, d); err == nil {
				if _, err := bounded(out); err != nil {
					t.Errorf("%q leads out of bounds: %s", text, out)
				}
			}
		}
		if answer, err := Integer(d); err == nil && answer.BitLen() > answerBits {
			t.Errorf("%q gives an answer of %d bits", text, answer.BitLen())
		}
	})
}
