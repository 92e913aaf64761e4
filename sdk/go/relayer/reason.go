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
	"unicode"
)

// Reason says for people why a call to an RPC node failed, without its address: the errors of Go's network packages
// quote URLs, which contain keys, and so must never leave a relayer. An error that it does not recognise becomes "the
// connection failed".
func Reason(err error) string { return withRest(reason(err), err) }

func reason(err error) string {
	if why := distrust(err); why != "" {
		return why
	}
	var (
		said    *saidError
		other   wrongChain
		code    StatusCode
		dns     *net.DNSError
		timeout interface{ Timeout() bool }
		syntax  *json.SyntaxError
		shape   *json.UnmarshalTypeError
		record  tls.RecordHeaderError
		dialled *net.OpError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &said):
		return said.reason
	case errors.As(err, &other):
		return Said(other.Error()).Error() // the name of its chain is the node's own word
	case errors.Is(err, ErrWrongChain):
		return ErrWrongChain.Error()
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
	case errors.As(err, &dialled) && dialled.Op == "proxyconnect":
		return "cannot be reached through its proxy (HTTPS_PROXY or HTTP_PROXY), which " + reason(dialled.Err)
	case errors.As(err, &dns):
		return "has a host name that does not resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses connections"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "closed the connection"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "does not speak TLS at this port: is it http or ws in place of https or wss"
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

// distrust says why a server's certificate was refused; empty if it was not.
func distrust(err error) string {
	var (
		refused  *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return "has a TLS certificate signed by an authority that is not trusted: if it is one of yours, name the file " +
			"with the authority's " +
			"certificate by SSL_CERT_FILE"
	case errors.As(err, &hostname):
		return "has a TLS certificate of another host name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "has a TLS certificate that has expired or is not valid yet, by this machine's clock"
	case errors.As(err, &refused):
		return "has a TLS certificate that cannot be used"
	default:
		return ""
	}
}

// shortcoming says why a node does not serve. Some nodes, such as those that want a key, answer even the first call
// with an error: then it says that.
func shortcoming(err error) string {
	if IsAnswered(err) {
		return "answers with the error: " + Reason(err)
	}
	return Reason(err)
}

// Said makes an error with a reason in the words of the caller or of the node. Reason returns that text, but removes
// addresses, and characters that do not print, which could control a terminal.
func Said(reason string) error {
	reason = strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return r
		}
		return unicode.ReplacementChar
	}, reason)
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
