package process

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// elfHead is the head of a program for Linux, with the loader that it names.
func elfHead(t *testing.T, machine elf.Machine, loader string) []byte {
	t.Helper()
	const headSize, progSize = 64, 56
	loader += "\x00"
	head := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: headSize, Ehsize: headSize, Phentsize: progSize, Phnum: 1, Entry: 0x400000,
	}
	prog := elf.Prog64{Type: uint32(elf.PT_INTERP), Off: headSize + progSize, Filesz: uint64(len(loader)),
		Memsz: uint64(len(loader))}
	var all []byte
	for _, part := range []any{head, prog} {
		var err error
		if all, err = binary.Append(all, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return append(all, loader...)
}

// The error about a program that the system does not execute says what is missing; the system's own error would be
// about the file that is there.
func TestWhyNot(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("other systems have other programs")
	}
	own := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	if own == 0 {
		t.Skip("what this machine runs is not known here")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	const (
		missing, format, denied = "no such file or directory", "exec format error", "permission denied"

		s390x = "it is built for the architecture s390x, and this machine runs " + runtime.GOARCH + ": install a build for " +
			runtime.GOARCH
		musl = "its loader /lib/ld-musl-none.so.1 is not there: it was linked for musl, the C library of Alpine Linux; " +
			"install a build for this system, or a static one"
		here = ", and this machine runs linux/" + runtime.GOARCH
	)
	for name, file := range map[string]struct {
		content     []byte
		mode        os.FileMode
		reason, err string
	}{
		"crlf": {[]byte("#!/bin/sh\r\nexec true\r\n"), 0o700,
			"its first line ends in a carriage return, which counts to the name of " +
				`its interpreter, "/bin/sh\r": write the file with the line ends of Unix`, missing},
		"interpreter": {[]byte("#! /opt/none/python3 -E\n"), 0o700,
			"its interpreter /opt/none/python3 is not there: install it, or correct the script's first line", missing},
		"nameless": {[]byte("#!\nexec true\n"), 0o700, "its first line names no interpreter after #!", format},
		"folder":   {[]byte("#!/bin\n"), 0o700, "its interpreter /bin is a folder", denied},
		"unreachable": {[]byte("#!/dev/null/sh\n"), 0o700, "its interpreter /dev/null/sh cannot be reached: not a directory",
			"not a directory"},
		"architecture": {elfHead(t, elf.EM_S390, "/lib/ld.so"), 0o700, s390x, format},
		"musl":         {elfHead(t, own, "/lib/ld-musl-none.so.1"), 0o700, musl, missing},
		"glibc": {elfHead(t, own, "/lib64/ld-linux-none.so.2"), 0o700,
			"its loader /lib64/ld-linux-none.so.2 is not there: it was linked for " +
				"glibc, the C library of most distributions and not of Alpine Linux; install a build for this system, or a " +
				"static one", missing},
		"script for musl": {[]byte("#!" + at("musl") + "\n"), 0o700, "its interpreter " + at("musl") + " does not run: " +
			musl, missing},
		"script for s390x": {[]byte("#!" + at("architecture") + "\n"), 0o700, "its interpreter " + at("architecture") +
			" does not run: " + s390x, format},
		"windows": {[]byte("MZ\x90\x00"), 0o700, "it is a program for Windows" + here, format},
		"macos":   {[]byte("\xcf\xfa\xed\xfe\x0c\x00\x00\x01"), 0o700, "it is a program for macOS" + here, format},
		"text":    {[]byte("exec true\n"), 0o700, "it is neither a program nor a script that begins with #!", format},
		"empty":   {nil, 0o700, "it is empty, or cannot be read", format},
		"cut": {[]byte("\x7fELF\x02\x01"), 0o700,
			"it begins as a program and is cut off or damaged: install it anew", format},
		"not executable": {[]byte("#!/bin/sh\n"), 0o600, "it is not executable: chmod +x it", denied},
		"itself": {[]byte("#!" + at("itself") + "\n"), 0o700,
			"its interpreter is a script, whose interpreter is one too, further than the kernel follows",
			"too many levels of symbolic links"},
	} {
		put(t, at(name), file.content)
		if err := os.Chmod(at(name), file.mode); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got string
			if p, err := openProgram([]string{at(name)}); err != nil {
				got = err.Error()
			} else {
				p.close()
				got = whyNot(p.path, (&exec.Cmd{Path: p.path, Args: []string{p.path}}).Start()).Error()
			}
			if want := file.reason + " (" + file.err + ")"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	put(t, at("busy"), []byte("#!/bin/sh\n"))
	f, err := os.OpenFile(at("busy"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	busy := whyNot(at("busy"), (&exec.Cmd{Path: at("busy")}).Start())
	if want := "it is open for writing: wait until it is written, and put programs into their places by mv (text file " +
		"busy)"; busy.Error() != want {
		t.Errorf("got  %v\nwant %s", busy, want)
	}
	for _, gone := range []string{at("none"), dir, "no-such-program-anywhere"} {
		if _, err := openProgram([]string{gone}); err == nil || strings.Contains(err.Error(), " (") {
			t.Errorf("%s is not a file, and that is all: %v", gone, err)
		}
	}
}
