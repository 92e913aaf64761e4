//go:build unix && !linux

package process

import "time"

// delay is not known outside Linux.
func delay(int) time.Duration { return 0 }
