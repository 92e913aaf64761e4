package document

import (
	"bytes"
	"fmt"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Write returns a struct as a document, with a comment above each key. Secrets become placeholders, unless they are
// examples.
func Write(value any) (string, error) {
	var document bytes.Buffer
	encoder := toml.NewEncoder(&document)
	encoder.SetIndentTables(false)
	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("write a configuration as TOML: %w", err)
	}
	return document.String(), nil
}

// Nest returns a document as a table of the list of a name in another document. Comments stay in their places.
func Nest(name, document string) (string, error) {
	text := []byte(document)
	under := []byte("[[" + name + "]]\n")
	var parser unstable.Parser
	parser.KeepComments = true
	parser.Reset(text)
	end := uint32(0)
	for parser.NextExpression() {
		node := parser.Expression()
		if node.Kind != unstable.Table && node.Kind != unstable.ArrayTable {
			continue
		}
		parts := node.Key()
		parts.Next()
		at := parts.Node().Raw.Offset
		under = append(append(append(under, text[end:at]...), name...), '.')
		end = at
	}
	if err := parser.Error(); err != nil {
		return "", fmt.Errorf("put a document under %s: %w", name, err)
	}
	return string(append(under, text[end:]...)), nil
}
