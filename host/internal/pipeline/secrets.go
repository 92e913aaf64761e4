package pipeline

import "strings"

// Secrets returns texts from the run's requests that nobody may see: parts of URLs, and headers. A reply may repeat
// one, and other tasks pass it on: values may hold them, and the run's errors do not show them.
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

// Scrub removes secrets from a text.
func Scrub(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}
