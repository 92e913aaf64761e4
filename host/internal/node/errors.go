package node

import (
	"errors"
	"regexp"
)

// pluginError is a plugin that did not start.
type pluginError struct{ err error }

func (e *pluginError) Error() string { return e.err.Error() }
func (e *pluginError) Unwrap() error { return e.err }

// configError is the error of a configuration that this node cannot run.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// IsConfig reports whether an error of Start or Check is about the configuration.
func IsConfig(err error) bool {
	var e *configError
	return errors.As(err, &e)
}

// IsPlugin reports whether an error of Start or Check is about a plugin that did not start.
func IsPlugin(err error) bool {
	var e *pluginError
	return errors.As(err, &e)
}

// callError is how an error of a call reads inside another error.
var callError = regexp.MustCompile(`rpc error: code = \w+ desc = `)

// Worded returns the text of an error for people, without the kind of call that failed.
func Worded(text string) string { return callError.ReplaceAllString(text, "") }
