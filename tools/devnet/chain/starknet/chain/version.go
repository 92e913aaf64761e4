package chain

import (
	"fmt"
	"slices"
	"strings"
)

// Version is a version of Starknet's JSON-RPC that nodes serve. The zero value is the newest.
type Version int

// The versions, from the newest on.
const (
	Version10 Version = iota // 0.10
	Version9                 // 0.9
	Version8                 // 0.8
)

// specs are the versions as nodes name them. Pathfinder is that exact about 0.10.
func specs() []string { return []string{"0.10.3-rc.0", "0.9.0", "0.8.1"} }

// ParseVersion reads a version. Only major and minor count: 0.9 and 0.9.0 are the same.
func ParseVersion(text string) (Version, error) {
	parts := strings.SplitN(text, ".", 3)
	of := func(spec string) bool {
		return len(parts) > 1 && slices.Equal(strings.SplitN(spec, ".", 3)[:2], parts[:2])
	}
	if i := slices.IndexFunc(specs(), of); i >= 0 {
		return Version(i), nil
	}
	return 0, fmt.Errorf("the version %q of the JSON-RPC is not known; give 0.8, 0.9 or 0.10", text)
}

// Spec is the version as nodes name it.
func (v Version) Spec() string { return specs()[v] }

// PreConfirmed is the tag of the block that is being made.
func (v Version) PreConfirmed() string {
	if v == Version8 {
		return "pending"
	}
	return "pre_confirmed"
}

// tags are those that a node takes.
func (v Version) tags() []string {
	if v == Version8 {
		return []string{"latest", "pending"}
	}
	return []string{"latest", "pre_confirmed", "l1_accepted"}
}

// Failure translates a failure from the newest version into the node's version.
func (v Version) Failure(f *Failure) *Failure {
	if f == nil || v != Version8 {
		return f
	}
	switch f.Code {
	case CodeUnderpriced, CodeInvalidNonce: // without data
		return Fail(CodeInvalidNonce)
	case CodeFeeBelowMinimum:
		return Fail(CodeInsufficientResource)
	}
	return f
}
