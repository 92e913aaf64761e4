package loophost

import (
	"crypto/rand"
	"encoding/base32"
)

// nameBytes is the size of a name's random part: 128 bits cannot be guessed by a plugin that would call what was not
// lent to it.
const nameBytes = 16

// NewName returns a new name for an object of a type, such as Chain/4ZQ7…, readable in a log and unguessable.
func NewName(typ string) string {
	b := make([]byte, nameBytes)
	_, _ = rand.Read(b) // never fails: the runtime ends the process where there is no randomness
	return typ + "/" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
}
