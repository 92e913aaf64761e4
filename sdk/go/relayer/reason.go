package relayer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
)

// Reason says for people why a call to an RPC node failed, without its address: the errors of Go's network packages quote
// URLs, which hold keys, and so must never leave a relayer. What it does not recognise it names by no more than "the
// connection failed".
func Reason(err error) string { return withRest(reason(err), err) }

func reason(err error) string {
	var (
		said    *saidError
		code    StatusCode
		dns     *net.DNSError
		timeout interface{ Timeout() bool }
		syntax  *json.SyntaxError
		shape   *json.UnmarshalTypeError
		record  tls.RecordHeaderError
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &said):
		return said.reason
	case errors.As(err, &code):
		text := "answers with HTTP status " + strconv.Itoa(int(code))
		if code == http.StatusTooManyRequests {
			text += ": it limits the rate of requests"
		}
		return text
	case errors.Is(err, context.DeadlineExceeded):
		return "does not answer in time"
	case errors.Is(err, context.Canceled):
		return "was not waited for"
	case errors.As(err, &dns):
		return "has a host name that does not resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses connections"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "closed the connection"
	case errors.As(err, &verify), errors.As(err, &unknown), errors.As(err, &record):
		return "has a TLS certificate or port that cannot be used"
	case errors.As(err, &syntax), errors.As(err, &shape):
		return "answers with something other than the JSON expected"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "ended the connection in the middle of an answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "does not answer in time"
	default:
		return "cannot be reached: the connection failed"
	}
}

// Said makes an error whose reason is a text of the caller's own or of the node's: Reason returns it as it stands but for
// addresses, which it cuts out.
func Said(reason string) error {
	words := strings.Fields(reason)
	for i, word := range words {
		if strings.Contains(word, "://") {
			words[i] = "[address]"
		}
	}
	const longest = 200 // a sentence; a node may send pages
	text := []rune(strings.Join(words, " "))
	if len(text) > longest {
		text = append(text[:longest], '…')
	}
	return &saidError{reason: string(text)}
}

type saidError struct{ reason string }

func (e *saidError) Error() string { return e.reason }

// StatusCode is the HTTP status of an answer that is not 2xx.
type StatusCode int

// Error implements error.
func (c StatusCode) Error() string { return "HTTP status " + strconv.Itoa(int(c)) }
