package relayertest

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
	"testing"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// Reference checks that the section that a relayer describes has every key of its configuration below a comment, or
// names it in one, and that the relayer itself accepts the section.
func Reference(t *testing.T, relayer relayerv1loop.RelayerService, config any) {
	t.Helper()
	described, err := relayer.DescribeRelayer(t.Context(), &relayerv1.DescribeRelayerRequest{})
	if err != nil {
		t.Fatal(err)
	}
	text := described.GetReferenceToml()
	found, err := relayer.ValidateChain(t.Context(), &relayerv1.ValidateChainRequest{ConfigToml: []byte(text)})
	if err != nil || len(found.GetProblems())+len(found.GetWarnings()) > 0 {
		t.Errorf("the relayer finds fault with its own reference: %v, %v", found, err)
	}
	index, err := keys.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	named := func(name string) bool {
		return slices.ContainsFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, "#") &&
				slices.Contains(strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" ,.;:", r) }), name)
		})
	}
	var visit func(path string, table reflect.Type)
	visit = func(path string, table reflect.Type) {
		for _, field := range reflect.VisibleFields(table) {
			key, inner := path+field.Name, field.Type
			for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
				if inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
					key += "[0]"
				}
				inner = inner.Elem()
			}
			entry, ok := index.Find(key)
			isText := reflect.PointerTo(inner).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
			switch {
			case !field.IsExported() || field.Tag.Get("toml") == "-":
			case !ok && named(field.Name):
			case !ok:
				t.Errorf("%s is not in the reference", key)
			case inner.Kind() == reflect.Struct && !isText:
				visit(key+".", inner)
			case entry.Line < 2 || !strings.HasPrefix(lines[entry.Line-2], "# "):
				t.Errorf("%s has no comment", key)
			}
		}
	}
	visit("", reflect.TypeOf(config))
}
