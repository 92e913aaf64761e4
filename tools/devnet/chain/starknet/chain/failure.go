package chain

import "fmt"

// Failure is an answer of a node that it cannot serve a call, as Starknet's JSON-RPC numbers them.
type Failure struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Data != nil {
		return fmt.Sprintf("%s (%d): %v", f.Message, f.Code, f.Data)
	}
	return fmt.Sprintf("%s (%d)", f.Message, f.Code)
}

// Codes of Starknet's JSON-RPC, and of JSON-RPC itself. All versions use the same numbers.
const (
	CodeInvalidParams        = -32602
	CodeContractNotFound     = 20
	CodeEntryPointNotFound   = 21
	CodeBlockNotFound        = 24
	CodeHashNotFound         = 29
	CodePageTooBig           = 31
	CodeInvalidToken         = 33
	CodeTooManyKeys          = 34
	CodeContractError        = 40
	CodeExecutionError       = 41
	CodeInvalidNonce         = 52
	CodeInsufficientResource = 53
	CodeInsufficientBalance  = 54
	CodeValidationFailure    = 55
	CodeNonAccount           = 58
	CodeDuplicate            = 59
	CodeUnsupportedVersion   = 61
	CodeUnexpected           = 63
	CodeUnderpriced          = 64 // from 0.9 on
	CodeFeeBelowMinimum      = 65 // from 0.9 on
)

// messages are the specification's.
func message(code int) string {
	switch code {
	case CodeInvalidParams:
		return "Invalid params"
	case CodeContractNotFound:
		return "Contract not found"
	case CodeEntryPointNotFound:
		return "Requested entrypoint does not exist in the contract"
	case CodeBlockNotFound:
		return "Block not found"
	case CodeHashNotFound:
		return "Transaction hash not found"
	case CodePageTooBig:
		return "Requested page size is too big"
	case CodeInvalidToken:
		return "The supplied continuation token is invalid or unknown"
	case CodeTooManyKeys:
		return "Too many keys provided in a filter"
	case CodeContractError:
		return "Contract error"
	case CodeExecutionError:
		return "Transaction execution error"
	case CodeInvalidNonce:
		return "Invalid transaction nonce"
	case CodeInsufficientResource:
		return "The transaction's resources don't cover validation or the minimal transaction fee"
	case CodeInsufficientBalance:
		return "Account balance is smaller than the transaction's maximal fee (calculated as the sum of each resource's " +
			"limit x max price)"
	case CodeValidationFailure:
		return "Account validation failed"
	case CodeNonAccount:
		return "Sender address is not an account contract"
	case CodeDuplicate:
		return "A transaction with the same hash already exists in the mempool"
	case CodeUnsupportedVersion:
		return "The transaction version is not supported"
	case CodeUnderpriced:
		return "Replacement transaction is underpriced"
	case CodeFeeBelowMinimum:
		return "Transaction fee below minimum"
	}
	return "An unexpected error occurred"
}

// Fail makes a failure with the specification's message.
func Fail(code int) *Failure { return &Failure{Code: code, Message: message(code)} }

// failWith adds what the specification calls data.
func failWith(code int, data any) *Failure {
	f := Fail(code)
	f.Data = data
	return f
}

// invalid says which part of a call is wrong.
func invalid(format string, args ...any) *Failure {
	return failWith(CodeInvalidParams, fmt.Sprintf(format, args...))
}
