package process

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// whyNot says what the system means when it does not execute a file that is there: its error has no name for an
// interpreter or a loader that is missing ("no such file or directory", as if of the file), and none for architectures
// ("exec format error").
func whyNot(path string, err error) error {
	err = cause(err)
	if reason := unfit(path, err, 0); reason != "" {
		return fmt.Errorf("%s (%w)", reason, err)
	}
	return err
}

// deepest is how many interpreters the kernel lets stand behind one another.
const deepest = 5

// unfit is what is wrong with a file that was not executed; empty if the error says it.
func unfit(path string, err error, depth int) string {
	info, serr := os.Stat(path)
	if serr != nil || !info.Mode().IsRegular() || depth > deepest {
		return ""
	}
	if errors.Is(err, fs.ErrPermission) {
		if info.Mode().Perm()&0o111 == 0 {
			return "it is not executable: chmod +x it"
		}
		if reason := script(path, err, depth); reason != "" {
			return reason
		}
		return "its mode lets it be executed, so that its file system is mounted noexec, or this user or a security module " +
			"may not"
	}
	switch {
	case errors.Is(err, syscall.ETXTBSY):
		return "it is open for writing: wait until it is written, and put programs into their places by mv"
	case errors.Is(err, syscall.ELOOP):
		return "its interpreter is a script, whose interpreter is one too, further than the kernel follows"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENOEXEC):
		if reason := script(path, err, depth); reason != "" {
			return reason
		}
		return image(path, err)
	default:
		return ""
	}
}

// head is how a file begins.
func head(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // it was only read
	b := make([]byte, 512)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return b[:n]
}

// script is what is wrong with a file that begins with #!; empty for others.
func script(path string, err error, depth int) string {
	line, found := bytes.CutPrefix(head(path), []byte("#!"))
	if !found {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	named := strings.Trim(string(line), " \t")
	if at := strings.IndexAny(named, " \t"); at >= 0 {
		named = named[:at]
	}
	if strings.HasSuffix(named, "\r") {
		return fmt.Sprintf("its first line ends in a carriage return, which counts to the name of its interpreter, %q: "+
			"write the file with the line ends of Unix", named)
	}
	if named == "" {
		return "its first line names no interpreter after #!"
	}
	switch info, serr := os.Stat(named); {
	case errors.Is(serr, fs.ErrNotExist):
		return fmt.Sprintf("its interpreter %s is not there: install it, or correct the script's first line", named)
	case serr != nil:
		return fmt.Sprintf("its interpreter %s cannot be reached: %v", named, cause(serr))
	case info.IsDir():
		return fmt.Sprintf("its interpreter %s is a folder", named)
	}
	if reason := unfit(named, err, depth+1); reason != "" {
		return fmt.Sprintf("its interpreter %s does not run: %s", named, reason)
	}
	return ""
}

// machines are the architectures by Go's names, for those that plugins are built for.
var machines = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_386: "386", elf.EM_AARCH64: "arm64", elf.EM_ARM: "arm", elf.EM_RISCV: "riscv64",
	elf.EM_PPC64: "ppc64", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64", elf.EM_MIPS: "mips",
}

// image is what is wrong with a file that is not a script.
func image(path string, err error) string {
	begin := head(path)
	switch {
	case len(begin) == 0:
		return "it is empty, or cannot be read"
	case bytes.HasPrefix(begin, []byte("MZ")):
		return "it is a program for Windows, and this machine runs " + runtime.GOOS + "/" + runtime.GOARCH
	case bytes.HasPrefix(begin, []byte("\xcf\xfa\xed\xfe")), bytes.HasPrefix(begin, []byte("\xca\xfe\xba\xbe")):
		return "it is a program for macOS, and this machine runs " + runtime.GOOS + "/" + runtime.GOARCH
	case !bytes.HasPrefix(begin, []byte(elf.ELFMAG)):
		return "it is neither a program nor a script that begins with #!"
	}
	f, ferr := elf.Open(path)
	if ferr != nil {
		return "it begins as a program and is cut off or damaged: install it anew"
	}
	defer func() { _ = f.Close() }() // it was only read
	if errors.Is(err, syscall.ENOEXEC) {
		built := machines[f.Machine]
		if built == "" {
			built = f.Machine.String()
		}
		if built != runtime.GOARCH {
			return fmt.Sprintf("it is built for the architecture %s, and this machine runs %s: install a build for %s", built,
				runtime.GOARCH, runtime.GOARCH)
		}
		return "it is not a program that this kernel runs: a library, or damaged"
	}
	loader := loaderOf(f)
	if loader == "" {
		return ""
	}
	if _, serr := os.Stat(loader); !errors.Is(serr, fs.ErrNotExist) {
		return ""
	}
	library := "a C library that is not installed here"
	switch {
	case strings.Contains(loader, "musl"):
		library = "musl, the C library of Alpine Linux"
	case strings.Contains(loader, "ld-linux"), strings.Contains(loader, "ld64.so"):
		library = "glibc, the C library of most distributions and not of Alpine Linux"
	}
	return fmt.Sprintf(
		"its loader %s is not there: it was linked for %s; install a build for this system, or a static one", loader, library)
}

// loaderOf is the program that loads a dynamically linked one.
func loaderOf(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4<<10 {
			continue
		}
		name := make([]byte, p.Filesz)
		if _, err := p.ReadAt(name, 0); err != nil {
			return ""
		}
		return string(bytes.TrimRight(name, "\x00"))
	}
	return ""
}
