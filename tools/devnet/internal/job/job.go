// Package job makes the job specs that devnet gives to its nodes, from its own template or from one of the user's.
package job

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/template"
)

var (
	//go:embed median.toml.tmpl
	median string
	//go:embed product.toml.tmpl
	product string
	//go:embed solana.toml.tmpl
	solana string
	//go:embed starknet.toml.tmpl
	starknet string
)

// Fields are the values that a template can use.
type Fields struct {
	// Node is the node's name, such as "node-0".
	Node string
	// Relay is the relay of the chain's relayer.
	Relay string
	// ChainID is the chain's id: a number on Ethereum, a name on Solana and Starknet.
	ChainID string
	// Feed counts the feeds of a session with many, from 1; 0: there is one.
	Feed int
	// Contract is the address of the OCR2Aggregator, or on Solana of the feed's state.
	Contract string
	// TransmitterID is the node's account on the chain, which sends its reports; on Starknet the public key of its
	// account.
	TransmitterID string
	// BundleID is the id of the node's OCR2 keys.
	BundleID string
	// Bootstrappers are all nodes, each as "PEERID@HOST:PORT".
	Bootstrappers []string
	// PriceURL answers a GET with JSON that holds the price, a decimal number.
	PriceURL string
	// PricePath is where: keys separated by commas, as a jsonparse task takes them.
	PricePath string
	// BridgeName is a bridge that every node has; it answers {"data":{"result":"PRICE"}}.
	BridgeName string
	// BridgeURL is where that bridge answers a POST.
	BridgeURL string
	// JuelsURL answers a GET with {"data":{"result":"JUELS"}}, the price of one ether, one lamport or one FRI, in juels.
	JuelsURL string
	// Decimals is the number of decimals in the contract's answers.
	Decimals int
	// Scale is ten to the power of Decimals.
	Scale string
	// OCR2Program, StoreProgram and Transmissions are addresses on Solana; empty elsewhere.
	OCR2Program, StoreProgram, Transmissions string
	// AccountAddress is the contract of the node's account on Starknet, and GasPriceURL answers a GET with
	// {"data":{"result":"FRI"}}, the price of gas; empty elsewhere.
	AccountAddress, GasPriceURL string
	// Product is the name of the product's plugin, and OCRVersion the version of the protocol, 2 or 3; empty and 0 without
	// one.
	Product    string
	OCRVersion int
}

// Template makes specs.
type Template struct{ template *template.Template }

// Default is devnet's own template: a median of one price over http.
func Default() *Template {
	return &Template{template.Must(newTemplate("devnet's own").Parse(median))}
}

// DefaultProduct is devnet's own template for products on EVM chains.
func DefaultProduct() *Template {
	return &Template{template.Must(newTemplate("devnet's own for products").Parse(product))}
}

// DefaultSolana is devnet's own template for feeds on Solana.
func DefaultSolana() *Template {
	return &Template{template.Must(newTemplate("devnet's own for Solana").Parse(solana))}
}

// DefaultStarknet is devnet's own template for feeds on Starknet.
func DefaultStarknet() *Template {
	return &Template{template.Must(newTemplate("devnet's own for Starknet").Parse(starknet))}
}

// Load reads a template of the user's, in the syntax of Go's text/template. Errors name the line; a field that Fields
// does not have is one.
func Load(path string) (*Template, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the job template: %s does not exist; check --job-template", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the job template: %w", err)
	}
	parsed, err := newTemplate(path).Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("read the job template: %w", err)
	}
	t := &Template{parsed}
	// A field that does not exist shows when the template is used. Now is better than in the middle of a start.
	if _, err := t.Spec(Fields{Bootstrappers: []string{""}}); err != nil {
		return nil, err
	}
	return t, nil
}

// Spec is the job spec of one node, TOML.
func (t *Template) Spec(fields Fields) (string, error) {
	var text strings.Builder
	if err := t.template.Execute(&text, fields); err != nil {
		return "", fmt.Errorf("use the job template: %w", err)
	}
	return text.String(), nil
}

func newTemplate(name string) *template.Template {
	return template.New(name).Funcs(template.FuncMap{"quoted": quoted})
}

// quoted writes a text, or each of several with commas between, as TOML strings. The function is there for templates.
func quoted(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return fmt.Sprintf("%q", value), nil
	case []string:
		all := make([]string, 0, len(value))
		for _, text := range value {
			all = append(all, fmt.Sprintf("%q", text))
		}
		return strings.Join(all, ", "), nil
	}
	return "", fmt.Errorf("quoted takes a text or a list of texts, not %T", value)
}
