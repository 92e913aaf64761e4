package frames

import (
	"net"
	"slices"
	"sync"
	"time"
)

// The limits of connections that have not shaken hands. Each is a descriptor of the server's, and whoever reaches a
// socket may connect: of the processes of one user no socket keeps any away.
const (
	// MaxStrangers is how many may be shaking hands.
	MaxStrangers = 16
	// MaxHandshake is how long a handshake may take. Servers give it to gRPC, which would wait for two minutes.
	MaxHandshake = 10 * time.Second
)

// Strangers are the connections of a server that have not shaken hands. The oldest makes room for another, so that
// those who only connect keep nobody away: who has a certificate shakes hands in milliseconds. The zero value has none.
type Strangers struct {
	mu  sync.Mutex
	all []net.Conn // oldest first
}

// Enter adds a connection, and closes the oldest if there are too many.
func (s *Strangers) Enter(c net.Conn) {
	s.mu.Lock()
	s.all = append(s.all, c)
	var oldest net.Conn
	if len(s.all) > MaxStrangers {
		oldest = s.all[0]
		s.all = s.all[1:]
	}
	s.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close() // nobody speaks over it yet
	}
}

// Leave removes a connection, and reports whether it was still among the strangers; one that was not is closed.
func (s *Strangers) Leave(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.all)
	s.all = slices.DeleteFunc(s.all, func(other net.Conn) bool { return other == c })
	return len(s.all) < before
}
