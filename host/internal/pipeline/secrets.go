package pipeline

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Secrets returns texts from the run's requests that nobody may see: parts of URLs, and headers. A reply may repeat
// one, and other tasks pass it on: values may hold them, and the run's errors do not show them. The longest is first.
func (r *Run) Secrets() []string { return r.secrets }

// discreet cuts the secrets of the requests so far out of an error.
func (r *Run) discreet(err error) error {
	if err == nil {
		return nil
	}
	told := err.Error()
	if text := Scrub(told, r.secrets); text != told {
		return &discreetError{text: text, err: err}
	}
	return err
}

// discreetError is an error that is told in other words.
type discreetError struct {
	text string
	err  error
}

func (e *discreetError) Error() string { return e.text }

func (e *discreetError) Unwrap() error { return e.err }

// shortestSecret is the fewest characters of what is hidden. Shorter texts are no keys, and cutting "1" out of every
// text helps nobody.
const shortestSecret = 6

// hidden are those of the secrets that are long enough, in each form in which a server may repeat them, and as that
// stands in quotes.
func hidden(secrets []string) []string {
	var all []string
	for _, secret := range secrets {
		if len(secret) < shortestSecret {
			continue
		}
		for _, form := range forms(secret) {
			all = append(all, form, inner(form))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// forms are how a text stands in messages: as it is, in a URL, and in JSON, where some servers escape slashes, and some
// what means something in HTML.
func forms(text string) []string {
	plain, web := inner(text), text
	if escaped, err := json.Marshal(text); err == nil {
		web = string(escaped[1 : len(escaped)-1])
	}
	slashes := func(form string) string { return strings.ReplaceAll(form, "/", `\/`) }
	return []string{text, url.QueryEscape(text), url.PathEscape(text), plain, slashes(plain), web, slashes(web)}
}

// inner is what stands between the quotes around a text.
func inner(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

// longestFirst sorts secrets in place. One may be a part of another, whose rest would stay if that were cut first.
func longestFirst(secrets []string) []string {
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return secrets
}

// urlSecrets are the parts of a URL that must not be shown, and what a request has instead of its user and password.
func urlSecrets(u *url.URL) []string {
	secrets := append(keysOf(u), u.RawQuery)
	for _, values := range u.Query() {
		secrets = append(secrets, values...)
	}
	if u.User != nil {
		name := u.User.Username()
		password, _ := u.User.Password()
		secrets = append(secrets, name, password, base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
	}
	return secrets
}

// headerSecrets are a header's value and its parts: a server repeats the token of "Bearer <token>" alone.
func headerSecrets(value string) []string {
	return append(slices.DeleteFunc(strings.Fields(value), func(part string) bool {
		return strings.EqualFold(part, "Bearer")
	}), value)
}

// quote returns a text from elsewhere for an error. A long one is not cut: Scrub would not find a secret in it that the
// cut goes through.
func quote(text string) string {
	if len(text) > 64 {
		return fmt.Sprintf("a text of %d bytes", len(text))
	}
	return strconv.Quote(text)
}

// quoteNumber is quote for the digits of a number.
func quoteNumber(digits string) string {
	if len(digits) > 64 {
		return fmt.Sprintf("a number of %d digits", len(digits))
	}
	return digits
}

// Scrub cuts secrets out of a text, in their order.
func Scrub(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}
