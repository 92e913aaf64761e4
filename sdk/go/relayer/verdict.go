package relayer

import (
	"errors"
)

// answered marks an error that is the node's sensible answer.
type answered struct{ error }

func (a answered) Unwrap() error { return a.error }

// Answered marks an error as the answer to a call and not a fault of the node: Do returns err itself, and tries no
// other node.
func Answered(err error) error { return answered{err} }

// IsAnswered reports whether an error is marked with Answered.
func IsAnswered(err error) bool {
	a := answered{}
	return errors.As(err, &a)
}

// unserved marks an error by which a good node says that it does not do what it was asked.
type unserved struct{ error }

func (u unserved) Unwrap() error { return u.error }

// Unserved marks an error as a node's answer that it does not serve such calls: Do asks the next node, Broadcast heeds
// the others alone, and neither counts a fault.
func Unserved(err error) error { return unserved{err} }

// IsUnserved reports whether an error is marked with Unserved.
func IsUnserved(err error) bool {
	u := unserved{}
	return errors.As(err, &u)
}

// blameless reports whether a call that ended with err says nothing against its node.
func blameless(err error) bool { return err == nil || IsAnswered(err) || IsUnserved(err) }

// errUseless ends a client that fails again and again.
var errUseless = Said("failed several calls in a row")
