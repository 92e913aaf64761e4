package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Attachment is what a plugin that is being debugged tells the hosts that attach to it. They did not start it, so
// nothing could be agreed before.
type Attachment struct {
	// Kind and ProtocolVersion are what the plugin is.
	Kind            string `json:"kind"`
	ProtocolVersion int    `json:"protocolVersion"`
	PID             int    `json:"pid"`
	// Address is the gRPC target at which the plugin serves.
	Address string `json:"address"`
	// CertificatePEM is the plugin's certificate. HostCertificatePEM and HostKeyPEM belong to the only client that it
	// accepts.
	CertificatePEM     string `json:"certificate"`
	HostCertificatePEM string `json:"hostCertificate"`
	HostKeyPEM         string `json:"hostKey"`
}

// String keeps the key out of logs.
func (a Attachment) String() string {
	return fmt.Sprintf("[%s, process %d, at %s]", a.Kind, a.PID, a.Address)
}

// Write writes a file that only its owner can read, atomically.
func (a Attachment) Write(path string) error {
	content, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".attach-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(content, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // err says what went wrong
	}
	return err
}

// ReadAttachment reads a file that Write has written. It refuses a file that belongs to another user or that others may
// read, since the file holds a key and its writer becomes a plugin.
func ReadAttachment(path string) (Attachment, error) {
	var a Attachment
	info, err := os.Stat(path)
	if err != nil {
		return a, err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != os.Geteuid() {
		return a, fmt.Errorf("%s is another user's: run plugin and node as one", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return a, fmt.Errorf("%s may be read by others (mode %o) and holds a key: chmod 600 it", path, info.Mode().Perm())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(content, &a); err != nil || a.Address == "" || a.PID <= 0 {
		return Attachment{}, fmt.Errorf("%s is not what a plugin with --debug writes", path)
	}
	return a, nil
}
