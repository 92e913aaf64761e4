package endpoint

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

// phrase is a text in the answers of servers, in lower case, and whose answers have it.
type phrase struct{ text, whose string }

// faults are said by servers that cannot answer now: they lag, prune, or fail themselves. What providers say of their
// limits is in relayer.ThrottleOf.
var faults = []phrase{
	{"header not found", "go-ethereum"},
	{"missing trie node", "go-ethereum"},
	{"historical state", "go-ethereum: historical state is not available"},
	{"beyond current head block", "go-ethereum, of a range of blocks"},
	{"unknown block", "Erigon"},
	{"block not found", "reth, Nethermind"},
	{"blockoutofrange", "anvil: BlockOutOfRangeError: block height is 5 but requested was 6"},
	{"pruned history unavailable", "EIP-4444"},
	{"request timed out", "go-ethereum"},
	{"context deadline exceeded", "go-ethereum behind a proxy"},
	{"still syncing", "several"},
	{"service unavailable", "several"},
}

// answers are about a transaction or a call, although a code or another phrase says otherwise.
var answers = []phrase{
	{"gas limit", "Hedera of old has -32005 for a transaction's"},
	{"evm error", "anvil has -32603 for a call that ends otherwise than by a revert: EVM error OutOfGas"},
}

// noneFinal are said by nodes of a chain that has called no block final yet.
var noneFinal = []phrase{
	{"finalized block not found", "go-ethereum"},
	{"finalized block is not available", "several"},
}

// noBatches are said by servers that refuse a batch, or a method in one.
var noBatches = []phrase{
	{"batch", "go-ethereum: batch too large"},
	{"array", "servers that know one object alone: expected object, got array"},
}

// never are said beside noBatches by those that take none at all.
var never = []phrase{
	{"disabled", "Hedera: batch requests are disabled"},
	{"not supported", "Amazon: batch requests are not supported"},
	{"unsupported", "Kaleido"},
	{"not allowed", "several"},
	{"not permitted", "several"},
	{"not enabled", "several"},
}

// ranges are said by servers that want fewer blocks in one eth_getLogs, or that found too many events in them.
var ranges = []phrase{
	{"range", "BNB: exceed maximum block range: 5000; Alchemy: up to a 10 block range; QuickNode; Hedera; Monad"},
	{"blocks distance", "Cosmos chains: maximum [from, to] blocks distance: 10000"},
	{"too many blocks", "Avalanche: requested too many blocks from 1 to 5000, maximum is set to 2048"},
	{"returned more than", "Infura: query returned more than 10000 results"},
	{"max results", "reth: query exceeds max results 20000, retry with the range 1-2"},
	{"too many results", "several"},
	{"too many logs", "Nethermind, Ankr"},
	{"logs matched by query exceeds limit", "Polygon zkEVM"},
	{"response size", "Alchemy: log response size exceeded"},
	{"response is too", "Blast, zkEVM: response is too big"},
	{"response too large", "go-ethereum"},
	{"result set", "Besu, Kaia: query set is too large"},
	{"query set", "Kaia"},
	{"narrow", "Nodereal: please narrow down your filter condition"},
	{"entity too large", "QuickNode: with HTTP status 413"},
	{"query timeout", "Infura: query timeout exceeded"},
	{"block count", "Optimism's proxyd"},
	{"limited to", "several: eth_getLogs is limited to 1024 blocks"},
}

// addresses are said by servers that want fewer contracts in one eth_getLogs.
var addresses = []phrase{
	{"addresses", "go-ethereum: exceed max addresses or search positions; several: too many addresses"},
	{"address list", "several: address list is too long"},
}

// says reports whether a server's text has one of the phrases.
func says(text string, phrases []phrase) bool {
	text = strings.ToLower(text)
	for _, p := range phrases {
		if strings.Contains(text, p.text) {
			return true
		}
	}
	return false
}

// height is the number of a block in a server's text.
const height = `(0x[0-9a-f]{1,16}|[0-9]{1,18})`

var (
	number = regexp.MustCompile(`(?i)(0x[0-9a-f]+|[0-9][0-9,_]*)(k\b)?`)
	span   = regexp.MustCompile(`(?i)` + height + `\]?\s*(?:,|-|to|\.\.)\s*\[?` + height)
)

// named is the largest number in a server's text that is below the one that was refused; 0 if there is none.
func named(text string, below uint64) uint64 {
	var best uint64
	for _, match := range number.FindAllStringSubmatch(text, -1) {
		n, ok := quantity(strings.NewReplacer(",", "", "_", "").Replace(match[1]))
		if match[2] != "" {
			n *= 1000
		}
		if ok && n < below {
			best = max(best, n)
		}
	}
	return best
}

// proposedBy is how many blocks the data of a refusal propose, as Infura's {from, to, limit} do; 0 if they propose
// none, or no fewer than were refused.
func proposedBy(data any, refused uint64) uint64 {
	fields, _ := data.(map[string]any)
	from, _ := fields["from"].(string)
	to, _ := fields["to"].(string)
	if n := blocks(from, to); n < refused {
		return n
	}
	return 0
}

// proposedIn is the same for the text of a refusal.
func proposedIn(text string, refused uint64) uint64 {
	for _, match := range span.FindAllStringSubmatch(text, -1) {
		if n := blocks(match[1], match[2]); n > 0 && n < refused {
			return n
		}
	}
	return 0
}

// blocks is how many there are from one to another; 0 if these are no numbers of blocks in their order.
func blocks(from, to string) uint64 {
	first, ok := quantity(from)
	last, too := quantity(to)
	if !ok || !too || last < first || last-first == 1<<64-1 {
		return 0
	}
	return last - first + 1
}

// quantity reads a number that is decimal, or hexadecimal behind 0x.
func quantity(text string) (uint64, bool) {
	if n, err := hexutil.DecodeUint64(strings.ToLower(text)); err == nil {
		return n, true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// refusal is the JSON-RPC error by which a server answers a whole batch.
type refusal struct {
	Code    json.Number `json:"code"`
	Message string      `json:"message"`
	Data    any         `json:"data"`
}

// Error implements error.
func (r *refusal) Error() string { return r.Message }

// ErrorCode implements rpc.Error.
func (r *refusal) ErrorCode() int {
	code, err := strconv.Atoi(r.Code.String())
	if err != nil {
		return 0
	}
	return code
}

// ErrorData implements rpc.DataError.
func (r *refusal) ErrorData() any { return r.Data }
