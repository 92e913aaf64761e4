package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/loop-plugins/loop/host/internal/pipeline/egress"
)

// call is one prepared call to the outside.
type call interface {
	do(ctx context.Context, r *Runner) (any, error)
}

// lasting is a call that may have an earlier answer, which stands in for a failure.
type lasting interface {
	stored(ctx context.Context, r *Runner, failure error) (any, error)
}

// discreet is a call that holds what must not be shown.
type discreet interface {
	secretsOf(r *Runner) []string
}

// exchange is an HTTP request that has been prepared, and what of it must not be shown.
type exchange struct {
	method     string
	url        *url.URL
	body       []byte // nil for none
	header     http.Header
	restricted bool
	what       string   // names the request in errors
	secrets    []string // texts that are cut out of errors: queries, user names, header values; the longest first
}

// httpTask fetches a text over HTTP.
type httpTask struct {
	url, method, data, headers parameter
	unrestricted               bool
}

func buildHTTP(b *builder) behaviour {
	h := &httpTask{
		url:     b.need(b.text("url")),
		method:  b.text("method"),
		data:    b.json("requestData", "a map"),
		headers: b.json("headers", "a list"),
	}
	// What an operator wrote is trusted; what came out of another task is not.
	raw := b.node.attribute("url")
	h.unrestricted = b.boolean("allowUnrestrictedNetworkAccess", raw == nil || !strings.Contains(raw.value, "$("))
	if literal, ok := h.url.literal.(string); ok {
		if _, err := parseURL(literal); err != nil {
			b.problem("url", "%v", err)
		}
	}
	if literal, ok := h.method.literal.(string); ok && !tokenPattern.MatchString(literal) {
		b.problem("method", "%q is not an HTTP method", shorten(literal, 32))
	}
	if literal, ok := h.headers.literal.([]any); ok {
		if len(literal)%2 != 0 {
			b.problem("headers", "the list has %d elements, and must hold pairs of a name and a value", len(literal))
		} else if !h.headers.open {
			if _, err := headerPairs(literal); err != nil {
				b.problem("headers", "%v", err)
			}
		}
	}
	return h
}

// parseURL reads a URL. Its errors do not show it.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the URL must start with http:// or https:// and name a host")
	}
	return u, nil
}

// tokenPattern is what HTTP allows as a method or as a header's name.
var tokenPattern = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// isControl finds what would end a header's value early.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// headerPairs checks a list of header names and values. Its errors do not show a value.
func headerPairs(list []any) ([]string, error) {
	if len(list)%2 != 0 {
		return nil, fmt.Errorf("the list has %d elements, and must hold pairs of a name and a value", len(list))
	}
	pairs := make([]string, len(list))
	for i, element := range list {
		text, ok := element.(string)
		switch {
		case !ok:
			return nil, fmt.Errorf("element %d is %s, not a string", i+1, describe(element))
		case i%2 == 0 && !tokenPattern.MatchString(text):
			return nil, fmt.Errorf("element %d is not a header's name", i+1)
		case i%2 == 1 && strings.ContainsFunc(text, isControl):
			return nil, fmt.Errorf("element %d has characters that a header's value must not have", i+1)
		}
		pairs[i] = text
	}
	return pairs, nil
}

func (h *httpTask) prepare(s scope) (call, error) {
	address, err := h.url.resolve(s, false)
	if err != nil {
		return nil, err
	}
	text, ok := address.(string)
	if !ok {
		return nil, h.url.wrap(fmt.Errorf("the URL must be a text, not %s", describe(address)))
	}
	x := &exchange{method: http.MethodGet, restricted: !h.unrestricted,
		header: http.Header{"Content-Type": {"application/json"}}}
	if x.url, err = parseURL(text); err != nil {
		return nil, h.url.wrap(err)
	}
	if h.method.present {
		method, err := h.method.resolve(s, false)
		if err != nil {
			return nil, err
		}
		name, ok := method.(string)
		if !ok || !tokenPattern.MatchString(name) {
			return nil, h.method.wrap(errors.New("the value is not an HTTP method"))
		}
		x.method = strings.ToUpper(name)
	}
	if h.data.present {
		data, err := object(h.data, s)
		if err != nil {
			return nil, err
		}
		if x.body, err = encode(data); err != nil {
			return nil, h.data.wrap(err)
		}
	}
	if err := x.addHeaders(h.headers, s); err != nil {
		return nil, err
	}
	x.what = x.method + " " + display(x.url)
	x.hide(urlSecrets(x.url))
	return x, nil
}

// object resolves a parameter to a map; a text is read as JSON.
func object(p parameter, s scope) (map[string]any, error) {
	value, err := p.resolve(s, false)
	if err != nil {
		return nil, err
	}
	m, err := asMap(value)
	if err != nil {
		return nil, p.wrap(err)
	}
	return m, nil
}

// maxRequest bounds the body of a request, in bytes before encoding. Public specs send under 1 KiB.
const maxRequest = 1 << 20

func encode(body map[string]any) ([]byte, error) {
	if _, ok := weigh(body, maxRequest); !ok {
		return nil, fmt.Errorf("the request is larger than %d bytes", maxRequest)
	}
	encoded, err := marshal(body)
	if err != nil {
		return nil, errors.New("the request cannot be written as JSON")
	}
	return encoded, nil
}

func (x *exchange) addHeaders(p parameter, s scope) error {
	if !p.present {
		return nil
	}
	value, err := p.resolve(s, false)
	if err != nil {
		return err
	}
	list, err := asList(value)
	if err != nil {
		return p.wrap(err)
	}
	pairs, err := headerPairs(list)
	if err != nil {
		return p.wrap(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		x.header.Set(pairs[i], pairs[i+1])
		x.hide(headerSecrets(pairs[i+1]))
	}
	return nil
}

// hide notes what must not be shown.
func (x *exchange) hide(secrets []string) {
	x.secrets = longestFirst(append(x.secrets, hidden(secrets)...))
}

// scrub cuts out of a text from elsewhere (a reply, an error of the network) what an operator put into the request.
func (x *exchange) scrub(text string) string { return Scrub(text, x.secrets) }

func (x *exchange) secretsOf(*Runner) []string { return x.secrets }

// shortestKey is the fewest characters of a part of a path, with a digit among them, that is taken for a key: those of
// providers have twenty and more.
const shortestKey = 16

// isKey reports whether a part of a path is taken for a key.
func isKey(part string) bool {
	return len(part) >= shortestKey && strings.ContainsAny(part, "0123456789")
}

// keysOf are the keys in a URL's path.
func keysOf(u *url.URL) []string {
	return slices.DeleteFunc(strings.Split(u.Path, "/"), func(part string) bool { return !isKey(part) })
}

// display shows a URL without the parts that hold keys.
func display(u *url.URL) string {
	plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	parts := strings.Split(plain.String(), "/")
	for at := 3; at < len(parts); at++ { // after the scheme and the host
		if isKey(parts[at]) {
			parts[at] = "…"
		}
	}
	text := shorten(strings.Join(parts, "/"), 256)
	if u.RawQuery != "" {
		text += "?…"
	}
	return text
}

func (x *exchange) do(ctx context.Context, r *Runner) (any, error) {
	reply, status, err := r.exchange(ctx, x)
	if err != nil {
		return nil, err
	}
	if status >= http.StatusBadRequest {
		return nil, fmt.Errorf("%s was answered with status %d%s", x.what, status, x.quoteError(reply))
	}
	return string(reply), nil
}

// quoteError returns what the body of a failed request says, if it says it the usual way.
func (x *exchange) quoteError(reply []byte) string {
	var body struct {
		Error        any `json:"error"`
		ErrorMessage any `json:"errorMessage"`
	}
	decoder := json.NewDecoder(bytes.NewReader(reply))
	decoder.UseNumber()
	if decoder.Decode(&body) != nil {
		return ""
	}
	said := body.Error
	if said == nil {
		said = body.ErrorMessage
	}
	text, ok := said.(string)
	if !ok {
		if said == nil {
			return ""
		}
		encoded, err := marshal(said)
		if err != nil {
			return ""
		}
		text = string(encoded)
	}
	return fmt.Sprintf(": %q", shorten(x.scrub(text), 256))
}

// exchange sends a request and reads the reply, up to the limit.
func (r *Runner) exchange(ctx context.Context, x *exchange) (reply []byte, status int, err error) {
	var body io.Reader
	if x.body != nil {
		body = bytes.NewReader(x.body)
	}
	request, err := http.NewRequestWithContext(ctx, x.method, x.url.String(), body)
	if err != nil {
		return nil, 0, fmt.Errorf("%s could not be prepared", x.what)
	}
	request.Header = x.header.Clone()
	if host := x.header.Get("Host"); host != "" {
		request.Host = host // net/http ignores the header
	}
	client := r.client
	if x.restricted {
		client = r.restricted
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, 0, x.failure(ctx, err)
	}
	defer response.Body.Close()
	reply, err = io.ReadAll(io.LimitReader(response.Body, r.maxResponse+1))
	if err != nil {
		return nil, 0, x.failure(ctx, err)
	}
	if int64(len(reply)) > r.maxResponse {
		return nil, 0, fmt.Errorf("%s: HTTP response too large, must be less than %d bytes", x.what, r.maxResponse)
	}
	return reply, response.StatusCode, nil
}

// failure words an error of the network.
func (x *exchange) failure(ctx context.Context, err error) error {
	if errors.Is(err, egress.ErrRestricted) {
		return fmt.Errorf("%s: %w; set allowUnrestrictedNetworkAccess=true on the task if this is meant", x.what,
			egress.ErrRestricted)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s got no answer: %w", x.what, context.Cause(ctx))
	}
	var wrapped *url.Error // its text has the URL
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("%s failed: %s", x.what, shorten(x.scrub(err.Error()), 512))
}
