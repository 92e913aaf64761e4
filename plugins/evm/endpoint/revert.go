package endpoint

import (
	"errors"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// codeReverted is the code by which go-ethereum and most others answer that a contract reverted.
const codeReverted = 3

// RevertedError is a contract's refusal of a call. Its text is the contract's reason, which is untrusted, so it is
// quoted and short.
type RevertedError struct{ reason string }

// Error implements error.
func (e *RevertedError) Error() string { return e.reason }

// revertOf tells a revert from other errors. It must be called before classify, which finds words in what nodes say: a
// contract's reason may have the same words, and says nothing of the node.
func revertOf(err error) *RevertedError {
	var answer rpc.Error
	if !errors.As(err, &answer) {
		return nil
	}
	data := ""
	var detailed rpc.DataError
	if errors.As(err, &detailed) {
		data, _ = detailed.ErrorData().(string)
	}
	// Where the code is another one, the text or the data has the word: OpenEthereum and its kin write "Reverted 0x…".
	if answer.ErrorCode() != codeReverted && !strings.Contains(strings.ToLower(answer.Error()), "revert") &&
		!strings.HasPrefix(data, "Reverted ") {
		return nil
	}
	if reason := revertReason(strings.TrimPrefix(data, "Reverted ")); reason != "" {
		return &RevertedError{reason}
	}
	return &RevertedError{"the node says " + quote(answer.Error())}
}

// revertReason reads what a contract reverted with, or returns nothing if there is nothing to read.
func revertReason(data string) string {
	raw, err := hexutil.Decode(data)
	if err != nil || len(raw) < 4 {
		return ""
	}
	if reason, err := abi.UnpackRevert(raw); err == nil {
		return quote(reason)
	}
	return "an error of its own, " + hexutil.Encode(raw[:4])
}

func quote(text string) string { return strconv.Quote(relayer.Said(text).Error()) }
