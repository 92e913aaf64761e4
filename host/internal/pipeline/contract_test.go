package pipeline

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ledger is a chain in memory: answers by contract. It records what it was asked.
type ledger struct {
	mu      sync.Mutex
	answers map[string]func(ctx context.Context, attempt int) ([]byte, error)
	asked   []ContractRead
}

func (l *ledger) ReadContract(ctx context.Context, read ContractRead) ([]byte, error) {
	l.mu.Lock()
	l.asked = append(l.asked, read)
	answer, attempt := l.answers[read.Contract], len(l.asked)
	l.mu.Unlock()
	if answer == nil {
		return nil, errors.New("nothing answers there")
	}
	return answer(ctx, attempt)
}

func word(n int64) []byte { return mustHex(fmt.Sprintf("%064x", n)) }

func mustHex(digits string) []byte {
	raw, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return raw
}

const (
	oneAddress   = "0x00000000000000000000000000000000000000aA"
	otherAddress = "0x00000000000000000000000000000000000000bB"
)

func TestContractCalls(t *testing.T) {
	t.Parallel()
	constant := func(raw []byte) func(context.Context, int) ([]byte, error) {
		return func(context.Context, int) ([]byte, error) { return raw, nil }
	}
	for name, test := range map[string]struct {
		source string
		in     Input
		asked  []ContractRead
		want   string // a number, or a part of the error
	}{
		"rate of the chain times a price": {
			`encode [type=ethabiencode abi="convertToAssets(uint256 shares)" data=<{"shares": "1e18"}>]
			 call   [type=ethcall contract="` + oneAddress + `" data="$(encode)"]
			 decode [type=ethabidecode abi="uint256 assets"]
			 rate   [type=divide input="$(decode.assets)" divisor=100]
			 encode -> call -> decode -> rate`,
			Input{ChainID: "1337"},
			[]ContractRead{{ChainID: "1337", Contract: oneAddress,
				Data: mustHex("07a2d13a" + fmt.Sprintf("%064x", int64(1e18)))}},
			"0.42",
		},
		"everything written out": {
			`a [type=ethcall contract="` + oneAddress + `" data="0x313ce567" from="` + otherAddress +
				`" gas=100000 block=finalized evmChainID=5 extractRevertReason=true gasUnlimited=false]
			 b [type=ethabidecode abi="uint8 n"] c [type=lookup key=n] a -> b -> c`,
			Input{ChainID: "1337"},
			[]ContractRead{{ChainID: "5", Contract: oneAddress, Data: mustHex("313ce567"), From: otherAddress, Gas: 100_000,
				Block: "finalized"}},
			"42",
		},
		"everything from variables": {
			`x [type=memo value=<{"c": "` + oneAddress + `", "d": "0x313ce567", "g": 5, "u": true, "b": 7, "id": "9"}>]
			 a [type=ethcall contract="$(x.c)" data="$(x.d)" gasUnlimited="$(x.u)" block="$(x.b)" evmChainID="$(x.id)" from="$(x.c)"]
			 b [type=ethabidecode abi="uint8 n" data="$(a)"] c [type=memo value="$(b.n)"]`,
			Input{},
			[]ContractRead{{ChainID: "9", Contract: oneAddress, Data: mustHex("313ce567"), From: oneAddress, Block: "7"}},
			"42",
		},
		"data as JSON": {
			`a [type=ethcall contract="` + oneAddress +
				`" data="\"0x313ce567\"" gasUnlimited=true] b [type=ethabidecode abi="(uint8 n)"] c [type=lookup key=n] a -> b -> c`,
			Input{ChainID: "1"}, []ContractRead{{ChainID: "1", Contract: oneAddress, Data: mustHex("313ce567")}}, "42",
		},
		"no chain": {`a [type=ethcall contract="` + oneAddress + `" data="0x01"]`, Input{}, nil,
			"task a (ethcall): the task names no chain, and contracts of the job's own are not read: set the attribute " +
				"evmChainID"},
		"fails": {`a [type=ethcall contract="` + otherAddress + `" data="0x01"]`, Input{ChainID: "1"},
			[]ContractRead{{ChainID: "1", Contract: otherAddress, Data: []byte{1}}}, "the call of contract " + otherAddress +
				" on chain 1 failed: nothing answers there"},
		"a failed input": {`x [type=fail msg=asleep] a [type=ethcall contract="` + otherAddress +
			`" data="0x01"] x -> a`, Input{ChainID: "1"}, nil, "not run, since task x (fail): asleep"},
		"contract of a list": {`x [type=memo value=<[1]>] a [type=ethcall contract="$(x)" data="0x01"]`, Input{ChainID: "1"},
			nil, "attribute contract: the value is not an address"},
		"contract of letters": {`x [type=memo value="\"LINK\""] a [type=ethcall contract="$(x)" data="0x01"]`,
			Input{ChainID: "1"}, nil, "attribute contract: the value is not an address"},
		"chain of letters": {`x [type=memo value="\"mainnet\""] a [type=ethcall contract="` + oneAddress +
			`" evmChainID="$(x)" data="0x01"]`, Input{ChainID: "1"}, nil,
			"attribute evmChainID: the value is not a chain's number"},
		"block of letters": {`x [type=memo value="\"now\""] a [type=ethcall contract="` + oneAddress +
			`" block="$(x)" data="0x01"]`, Input{ChainID: "1"}, nil, "attribute block: the value is not a block"},
		"data of letters": {`x [type=memo value="\"now\""] a [type=ethcall contract="` + oneAddress + `" data="$(x)"]`,
			Input{ChainID: "1"}, nil, "attribute data: the text is not 0x and pairs of hexadecimal digits"},
		"data of a number": {`x [type=memo value=1] a [type=ethcall contract="` + oneAddress + `" data="$(x)"]`,
			Input{ChainID: "1"}, nil, "attribute data: want bytes, or a text of 0x and hexadecimal digits, not a number"},
		"no data": {`x [type=memo value="\"0x\""] a [type=ethcall contract="` + oneAddress + `" data="$(x)"]`,
			Input{ChainID: "1"}, nil, "attribute data: the data is empty"},
		"gas with a fraction": {`x [type=memo value=1.5] a [type=ethcall contract="` + oneAddress +
			`" data="0x01" gas="$(x)"]`, Input{ChainID: "1"}, nil, "attribute gas: a limit of gas is a whole number"},
		"gas, and unlimited": {`x [type=memo value=true] a [type=ethcall contract="` + oneAddress +
			`" data="0x01" gas=5 gasUnlimited="$(x)"]`, Input{ChainID: "1"},
			nil, "attribute gasUnlimited: gas and gasUnlimited=true exclude each other"},
		"unlimited of text": {`x [type=memo value="\"yes\""] a [type=ethcall contract="` + oneAddress +
			`" data="0x01" gasUnlimited="$(x)"]`, Input{ChainID: "1"},
			nil, "attribute gasUnlimited: the value must be true or false, not a string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &ledger{answers: map[string]func(context.Context, int) ([]byte, error){oneAddress: constant(word(42))}}
			got, err := final(t, Settings{Contracts: l}, test.source, test.in)
			text := ""
			if err == nil {
				d, failed := number(got)
				if text = d.String(); failed != nil {
					err = failed
				}
			}
			if err != nil && !strings.Contains(err.Error(), test.want) || err == nil && text != test.want {
				t.Errorf("got %s, %v; want %s", text, err, test.want)
			}
			if diff := cmp.Diff(test.asked, l.asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Calls of contracts take their time, are repeated and are cancelled as requests are.
func TestContractCallTiming(t *testing.T) {
	t.Parallel()
	stalls := func(ctx context.Context, _ int) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, test := range map[string]struct {
		attributes string
		answer     func(context.Context, int) ([]byte, error)
		attempts   int
		took       time.Duration
		want       string // a part of the error
	}{
		"default": {"", stalls, 1, 15 * time.Second,
			"the call of contract " + oneAddress +
				" on chain 1 got no answer: the time for one attempt is over (timeout is 15s)"},
		"of the task, twice": {`timeout="2s" retries=2 minBackoff="1s"`, stalls, 2, 5 * time.Second, "(timeout is 2s)"},
		"repeated until it succeeds": {`retries=5 minBackoff="1s"`, func(_ context.Context, attempt int) ([]byte, error) {
			if attempt < 3 {
				return nil, errors.New("no RPC node serves")
			}
			return word(1), nil
		}, 3, 3 * time.Second, ""},
		"panics": {"", func(context.Context, int) ([]byte, error) {
			panic("as asked")
		}, 1, 0, "the task panicked: as asked"},
		"too large": {"", func(context.Context, int) ([]byte, error) { return make([]byte, 32<<10+1), nil }, 1,
			0, "the answer is too large, must be less than 32768 bytes"},
		"largest": {"", func(context.Context, int) ([]byte, error) { return make([]byte, 32<<10), nil }, 1, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{answers: map[string]func(context.Context, int) ([]byte, error){oneAddress: test.answer}}
				r := newTimedRunner(t, nil, Settings{Contracts: l})
				run := r.Run(t.Context(),
					mustParse(t, `a [type=ethcall contract="`+oneAddress+`" data="0x01" `+test.attributes+`]`), Input{ChainID: "1"})
				_, err := run.Final()
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("Final = %v, want %s", err, test.want)
				}
				if got := run.Results[0]; got.Attempts != test.attempts || got.Duration != test.took ||
					len(l.asked) != test.attempts {
					t.Errorf("%d attempts (%d seen) took %s, want %d in %s", got.Attempts, len(l.asked), got.Duration, test.attempts,
						test.took)
				}
			})
		})
	}
	t.Run("failEarly cancels it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{answers: map[string]func(context.Context, int) ([]byte, error){oneAddress: stalls}}
			r := newTimedRunner(t, nil, Settings{Contracts: l})
			run := r.Run(t.Context(), mustParse(t, `a [type=ethcall contract="`+oneAddress+`" data="0x01" retries=5]
				b [type=ethcall contract="`+otherAddress+
				`" data="0x01" failEarly=true] a -> c; b -> c; c [type=any]`), Input{ChainID: "1"})
			if _, err := run.Final(); !errors.Is(err, ErrCancelled) || run.Duration != 0 {
				t.Errorf("Final = %v after %s", err, run.Duration)
			}
		})
	})
	t.Run("nobody reads contracts", func(t *testing.T) {
		t.Parallel()
		_, err := final(t, Settings{}, `a [type=ethcall contract="`+oneAddress+`" data="0x01"]`, Input{ChainID: "1"})
		if err == nil || !strings.Contains(err.Error(), "task a (ethcall): nothing here reads contracts") {
			t.Errorf("Final = %v", err)
		}
	})
}

func TestChains(t *testing.T) {
	t.Parallel()
	call := `[type=ethcall contract="` + oneAddress + `" data="0x01" `
	p := mustParse(t, "x [type=memo value=5]\na "+call+"]\nb "+call+"evmChainID=137]\nc "+call+
		"evmChainID=\"$(x)\"]\na -> m; b -> m; c -> m; m [type=any]")
	want := []Chain{{"", Task{"a", "ethcall", 2}}, {"137", Task{"b", "ethcall", 3}}}
	if diff := cmp.Diff(want, p.Chains()); diff != "" {
		t.Error(diff)
	}
}
