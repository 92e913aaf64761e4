package pipeline

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/loop-plugins/loop/host/internal/pipeline/abi"
)

// Contracts reads contracts with functions in Solidity's ABI.
type Contracts interface {
	// ReadContract calls a contract without a transaction and returns the answer. Its error is for people and contains
	// no address of an RPC node.
	ReadContract(ctx context.Context, read ContractRead) ([]byte, error)
}

// ContractRead is a call of a contract.
type ContractRead struct {
	Relay    string // the job's, whose chains go before others of the same ChainID; empty if nobody says
	ChainID  string // in decimal
	Contract string // 0x and 40 hexadecimal digits
	Data     []byte // the selector and the encoded arguments
	From     string // as Contract; empty for nobody
	Block    string // a name such as latest, or a number; empty for the newest
	Gas      uint64 // limit of gas; 0 for the RPC node's own
}

// Chain is a chain that a task reads.
type Chain struct {
	ID   string // in decimal; empty if the task names none, which is the chain of the job
	Task Task
}

// Chains returns the chains of the tasks that read contracts, as far as the text alone shows them.
func (p *Pipeline) Chains() []Chain {
	var chains []Chain
	for _, t := range p.tasks {
		if call, ok := t.behaviour.(*ethCall); ok && call.chain.ref == nil {
			id, _ := call.chain.literal.(string)
			chains = append(chains, Chain{ID: id, Task: t.describe()})
		}
	}
	return chains
}

var (
	addressPattern = regexp.MustCompile(`^0x[0-9a-fA-F]{40}$`)
	chainIDPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,77})$`)
	blockPattern   = regexp.MustCompile(`^(?i:latest|pending|safe|finalized|earliest|[0-9]{1,20})$`)
)

// ethCall reads a contract.
type ethCall struct {
	contract, data, from, gas, unlimited, chain, block parameter
}

func buildETHCall(b *builder) behaviour {
	e := &ethCall{
		contract: b.need(b.matching("contract", addressPattern, "an address, which is 0x and 40 hexadecimal digits")),
		data:     b.need(b.callData()),
		from:     b.matching("from", addressPattern, "an address, which is 0x and 40 hexadecimal digits"),
		gas:      b.decimal("gas"),
		chain:    b.matching("evmChainID", chainIDPattern, "a chain's number"),
		block: b.matching("block", blockPattern,
			"a block, which is its number or latest, pending, safe, finalized or earliest"),
	}
	if e.gas.literal != nil {
		if _, err := gasLimit(e.gas.literal); err != nil {
			b.problem("gas", "%v", err)
		}
	}
	if e.unlimited = b.text("gasUnlimited"); e.unlimited.literal != nil {
		e.unlimited.literal = b.boolean("gasUnlimited", false)
		if e.unlimited.literal == true && e.gas.present {
			b.problem("gas", "gas and gasUnlimited=true exclude each other; remove one")
		}
	}
	b.boolean("extractRevertReason", false) // the reason of a revert is in the error in any case
	return e
}

// matching reads a variable or a literal of a form.
func (b *builder) matching(name string, form *regexp.Regexp, want string) parameter {
	p := b.text(name)
	if text, ok := p.literal.(string); ok && !form.MatchString(text) {
		b.problem(name, "%q is not %s", shorten(text, 64), want)
	}
	return p
}

// callData reads a variable or literal bytes: 0x and digits, as such or as a JSON string.
func (b *builder) callData() parameter {
	p := b.text("data")
	if text, ok := p.literal.(string); ok {
		raw, err := bytesOf(strings.Trim(text, `"`))
		if err != nil || len(raw) == 0 {
			b.problem("data",
				"%q is not the data of a call, which is 0x and pairs of hexadecimal digits, or a variable such as $(encode)",
				shorten(text, 64))
		}
		p.literal = raw
	}
	return p
}

// bytesOf reads a byte string, or a text of 0x and hexadecimal digits.
func bytesOf(value any) ([]byte, error) {
	switch v := value.(type) {
	case []byte:
		return v, nil
	case string:
		digits, ok := strings.CutPrefix(v, "0x")
		raw, err := hex.DecodeString(digits)
		if ok && err == nil {
			return raw, nil
		}
		return nil, errors.New("the text is not 0x and pairs of hexadecimal digits")
	default:
		return nil, fmt.Errorf("want bytes, or a text of 0x and hexadecimal digits, not %s", describe(value))
	}
}

// gasLimit reads a limit of gas.
func gasLimit(value any) (uint64, error) {
	d, err := number(value)
	if err != nil {
		return 0, err
	}
	if n := d.BigInt(); d.IsInteger() && n.IsUint64() {
		return n.Uint64(), nil
	}
	return 0, errors.New("a limit of gas is a whole number from 0 to 2^64-1")
}

func (e *ethCall) prepare(s scope) (call, error) {
	read := ContractRead{Relay: s.relay, ChainID: s.chainID}
	for _, text := range []struct {
		parameter parameter
		form      *regexp.Regexp
		want      string
		into      *string
	}{
		{e.contract, addressPattern, "an address", &read.Contract},
		{e.from, addressPattern, "an address", &read.From},
		{e.chain, chainIDPattern, "a chain's number", &read.ChainID},
		{e.block, blockPattern, "a block", &read.Block},
	} {
		if !text.parameter.present {
			continue
		}
		value, err := text.parameter.resolve(s, false)
		if err != nil {
			return nil, err
		}
		written, ok := value.(string)
		if d, err := number(value); !ok && err == nil && d.IsInteger() { // of a chain or a block
			written, ok = d.String(), true
		}
		if !ok || !text.form.MatchString(written) {
			return nil, text.parameter.wrap(fmt.Errorf("the value is not %s", text.want))
		}
		*text.into = written
	}
	if read.ChainID == "" {
		return nil, errors.New("the task names no chain, and contracts of the job's own are not read: set the attribute " +
			"evmChainID")
	}
	data, err := e.data.resolve(s, false)
	if err != nil {
		return nil, err
	}
	if read.Data, err = bytesOf(data); err != nil {
		return nil, e.data.wrap(err)
	}
	switch {
	case len(read.Data) == 0:
		return nil, e.data.wrap(errors.New("the data is empty: a call begins with the four bytes of its function"))
	case len(read.Data) > maxRequest:
		return nil, e.data.wrap(fmt.Errorf("the data has more than %d bytes", maxRequest))
	}
	if read.Gas, err = e.limit(s); err != nil {
		return nil, err
	}
	return &contractCall{read}, nil
}

// limit returns the limit of gas.
func (e *ethCall) limit(s scope) (uint64, error) {
	if e.unlimited.present {
		value, err := e.unlimited.resolve(s, false)
		if err != nil {
			return 0, err
		}
		unlimited, ok := value.(bool)
		switch {
		case !ok:
			return 0, e.unlimited.wrap(fmt.Errorf("the value must be true or false, not %s", describe(value)))
		case unlimited && e.gas.present:
			return 0, e.unlimited.wrap(errors.New("gas and gasUnlimited=true exclude each other"))
		}
	}
	if !e.gas.present {
		return 0, nil
	}
	value, err := e.gas.resolve(s, false)
	if err != nil {
		return 0, err
	}
	gas, err := gasLimit(value)
	if err != nil {
		return 0, e.gas.wrap(err)
	}
	return gas, nil
}

// contractCall is a call of a contract that has been prepared.
type contractCall struct{ read ContractRead }

func (c *contractCall) do(ctx context.Context, r *Runner) (any, error) {
	if r.contracts == nil {
		return nil, errors.New("nothing here reads contracts")
	}
	answer, err := r.contracts.ReadContract(ctx, c.read)
	what := fmt.Sprintf("the call of contract %s on chain %s", c.read.Contract, c.read.ChainID)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("%s got no answer: %w", what, context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("%s failed: %w", what, err)
	case int64(len(answer)) > r.maxResponse:
		return nil, fmt.Errorf("%s: the answer is too large, must be less than %d bytes", what, r.maxResponse)
	}
	return answer, nil
}

// signature reads a task's abi, which is written out: its arguments are checked before any run.
func (b *builder) signature(parse func(string) (*abi.Signature, error)) *abi.Signature {
	attr := b.written("abi")
	if attr == nil {
		b.problem("", "attribute abi is required for a task of type %s", b.task.kind)
		return nil
	}
	s, err := parse(attr.value)
	if err != nil {
		b.problem("abi", "%v", err)
		return nil
	}
	return s
}

// abiEncode encodes the call of a contract's function, or arguments alone. The result is a text of 0x and digits, which
// every task and every server takes.
type abiEncode struct {
	signature *abi.Signature
	data      parameter
}

// abiEncodeKind builds tasks whose attribute abi is read so.
func abiEncodeKind(parse func(string) (*abi.Signature, error)) func(*builder) behaviour {
	return func(b *builder) behaviour { return buildABIEncode(b, parse) }
}

func buildABIEncode(b *builder, parse func(string) (*abi.Signature, error)) behaviour {
	e := &abiEncode{signature: b.signature(parse), data: b.json("data", "a map")}
	if e.signature == nil {
		return e
	}
	names := e.signature.Names()
	if !e.data.present && len(names) > 0 {
		b.problem("", "attribute data is required: a map with a value for each of the arguments %s",
			strings.Join(names, ", "))
	}
	values, ok := e.data.literal.(map[string]any)
	if !ok {
		return e
	}
	for _, name := range names {
		if _, ok := values[name]; !ok {
			b.problem("data", "argument %s is missing", shorten(name, 64))
			return e
		}
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(names, key) {
			b.report.warning(b.node.attribute("data").line, b.node.name, "data", "%s is not an argument of %s, so it has no "+
				"effect",
				shorten(key, 64), shorten(e.signature.String(), 128))
		}
	}
	if !e.data.open {
		if _, err := e.signature.Encode(values, number); err != nil {
			b.problem("data", "%v", err)
		}
	}
	return e
}

func (e *abiEncode) evaluate(s scope) (any, error) {
	var values map[string]any
	if e.data.present {
		value, err := e.data.resolve(s, false)
		if err != nil {
			return nil, err
		}
		if values, err = asMap(value); err != nil {
			return nil, e.data.wrap(err)
		}
		if _, ok := weigh(values, maxRequest); !ok {
			return nil, e.data.wrap(fmt.Errorf("the values are larger than %d bytes", maxRequest))
		}
	}
	encoded, err := e.signature.Encode(values, number)
	if err != nil {
		return nil, e.data.wrap(err)
	}
	return hexText(encoded), nil
}

// abiDecode decodes what a contract answered.
type abiDecode struct {
	signature *abi.Signature
	data      parameter
}

func buildABIDecode(b *builder) behaviour {
	d := &abiDecode{signature: b.signature(abi.ParseFunction), data: b.reference("data")}
	b.needInput(d.data)
	return d
}

func (d *abiDecode) evaluate(s scope) (any, error) {
	value, err := d.data.operand(s)
	if err != nil {
		return nil, err
	}
	data, err := bytesOf(value)
	if err != nil {
		return nil, d.data.wrap(err)
	}
	decoded, err := d.signature.Decode(data)
	if err != nil {
		return nil, d.data.wrap(err)
	}
	return decoded, nil
}

// abiDecodeLog decodes an event's log.
type abiDecodeLog struct {
	signature    *abi.Signature
	data, topics parameter
}

func buildABIDecodeLog(b *builder) behaviour {
	return &abiDecodeLog{signature: b.signature(abi.ParseEvent), data: b.reference("data"),
		topics: b.need(b.reference("topics"))}
}

func (d *abiDecodeLog) evaluate(s scope) (any, error) {
	value, err := d.topics.resolve(s, false)
	if err != nil {
		return nil, err
	}
	list, err := asList(value)
	if err != nil {
		return nil, d.topics.wrap(err)
	}
	topics := make([][]byte, len(list))
	for i, topic := range list {
		if topics[i], err = bytesOf(topic); err != nil {
			return nil, d.topics.wrap(fmt.Errorf("element %d: %w", i, err))
		}
	}
	var data []byte
	if d.data.present {
		if value, err = d.data.resolve(s, false); err != nil {
			return nil, err
		}
		if data, err = bytesOf(value); err != nil {
			return nil, d.data.wrap(err)
		}
	}
	decoded, err := d.signature.DecodeLog(topics, data)
	if err != nil {
		return nil, err
	}
	return decoded, nil
}
