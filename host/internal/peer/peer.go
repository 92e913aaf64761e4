// Package peer finds the process at the other end of a unix socket. It must not know the purpose of the connection.
package peer

// Credentials are the user of a process and its number: at the time of connecting for a process that connects, and at
// the time of listening for one that listens.
type Credentials struct{ UID, PID int }
