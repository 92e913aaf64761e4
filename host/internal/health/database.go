package health

import (
	"fmt"
	"time"
)

// Database is the known facts about the node's database.
type Database struct {
	// Path is its file.
	Path string
	// Writes are the outcomes of writes.
	Writes Attempts
	// Reads are the outcomes of reads.
	Reads Attempts
	// Free and Disk are the free bytes and the size of its disk. If Disk is 0, neither is known.
	Free, Disk uint64
}

const (
	// full is the space that must be left: one transaction's pages and their log.
	full = 1 << 20
	// low is the free space below which a person should know, unless it is more than a twentieth of the disk.
	low = 1 << 30
	// part is that twentieth.
	part = 20
)

// State returns the state that follows from the facts at a time.
func (d Database) State(now time.Time) State {
	return of(&d, now, []rule[Database]{
		{"disk full", noRoom}, {"not written", unwritten}, {"not read", illegible}, {"disk nearly full", littleRoom},
	})
}

// room is what to do about a disk.
func (d *Database) room() string { return "make room on the disk of " + d.Path }

func noRoom(d *Database, _ time.Time) (State, bool) {
	return State{
		Level: Failed, Reason: fmt.Sprintf("its disk is full: %d KiB are left", d.Free>>10), Remedy: d.room(),
	}, d.Disk > 0 && d.Free < full
}

func unwritten(d *Database, now time.Time) (State, bool) {
	if !d.Writes.lasting(now) {
		return State{}, false
	}
	return State{
		Level: Failed, Reason: "nothing could be written " + d.Writes.told(now),
		Remedy: fmt.Sprintf("see that %s and its folder can be written and that their disk has room", d.Path),
	}, true
}

func illegible(d *Database, now time.Time) (State, bool) {
	if !d.Reads.lasting(now) {
		return State{}, false
	}
	return State{
		Level: Failed, Reason: "nothing could be read " + d.Reads.told(now),
		Remedy: fmt.Sprintf("see that the disk of %s is well, and put a backup in its place if the file is "+
			"damaged", d.Path),
	}, true
}

func littleRoom(d *Database, _ time.Time) (State, bool) {
	return State{
		Level: Degraded, Reason: fmt.Sprintf("its disk is nearly full: %d MiB of %d are "+
			"left", d.Free>>20, d.Disk>>20), Remedy: d.room(),
	}, d.Disk > 0 && d.Free < low && d.Free < d.Disk/part
}
