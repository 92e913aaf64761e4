// Package peer tells which process is at the other end of a unix socket. It must not know what either wants of the
// other.
package peer

// Credentials are whose a process is and its number. For who has connected they are those of that moment, and for who
// listens those of when it began to.
type Credentials struct{ UID, PID int }
