//go:build unix && !linux

package process

import "time"

// turns are not known outside Linux.
func turns(int) (had, waited time.Duration) { return 0, 0 }

// doing is not known outside Linux.
func doing(int) string { return "" }
