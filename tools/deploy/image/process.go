package image

// Process is a process as a container has it: in a root folder, a process table, a network and mounts of its own, in
// which it is the first process. It has no network but its own loopback, and no privilege that the user lacks.
type Process struct {
	Root     string
	ReadOnly bool    // Root cannot be written to; Mounts can
	Mounts   []Mount // besides /proc and /dev, in order
	Env      []string
	Dir      string
	User     string // UID:GID
	Args     []string
}

// Mount is a folder or file of this machine, seen at Target in the root folder. Without Source, it is an empty folder
// in memory.
type Mount struct {
	Source, Target string
}
