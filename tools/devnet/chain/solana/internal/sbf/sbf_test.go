package sbf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compile makes an object file of a program in C, or skips the test where no compiler for the target is.
func compile(t testing.TB, source string) []byte {
	t.Helper()
	var clang string
	for _, name := range []string{"clang-19", "clang"} {
		if path, err := exec.LookPath(name); err == nil {
			clang = path
			break
		}
	}
	if clang == "" {
		t.Skip("needs clang with its BPF target: install clang-19")
	}
	dir := t.TempDir()
	file, object := filepath.Join(dir, "program.c"), filepath.Join(dir, "program.o")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(clang, "-target", "bpfel", "-mcpu=v2", "-O1", "-fno-builtin", "-ffreestanding", "-c", file,
		"-o", object)
	if out, err := command.CombinedOutput(); err != nil {
		t.Skipf("the compiler has no BPF target: %s", out)
	}
	text, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// whole uses all that the linker knows: constants, calls of its own and of the machine's, the latter more than once.
const whole = `
extern void sol_log_(const char *, unsigned long long);
extern void sol_log_64_(unsigned long long);
static const char text[] = "hello";
static const unsigned long long table[] = {3, 5, 7};
__attribute__((noinline)) unsigned long long twice(unsigned long long n) { sol_log_64_(n); return 2 * n; }
unsigned long long entrypoint(unsigned char *in) {
  sol_log_(text, 5);
  sol_log_(text + 1, 4);
  return twice(table[in[0] % 3]);
}`

func TestLink(t *testing.T) {
	t.Parallel()
	program, err := Link(compile(t, whole))
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if file.Type != elf.ET_DYN || file.Machine != elf.EM_BPF || len(file.Progs) != 3 {
		t.Errorf("the program is %+v", file.FileHeader)
	}
	code, err := file.Section(".text").Data()
	if err != nil {
		t.Fatal(err)
	}
	constants := file.Section(".rodata")
	if file.Entry < file.Section(".text").Addr || file.Entry >= constants.Addr {
		t.Errorf("the entry %#x is outside the code", file.Entry)
	}
	held, err := constants.Data()
	if err != nil {
		t.Fatal(err)
	}
	// Every 64-bit immediate is an address of a constant, as the machine maps it.
	seen := map[string]bool{}
	for i := 0; i+16 <= len(code); i += 8 {
		if code[i] != 0x18 {
			continue
		}
		address := uint64(binary.LittleEndian.Uint32(code[i+4:])) | uint64(binary.LittleEndian.Uint32(code[i+12:]))<<32
		offset := address - programBase - constants.Addr
		if offset >= uint64(len(held)) {
			t.Errorf("the address %#x is none of the constants", address)
			continue
		}
		seen[string(held[offset:min(offset+5, uint64(len(held)))])] = true
		i += 8
	}
	if !seen["hello"] || !seen["\x03\x00\x00\x00\x00"] {
		t.Errorf("the code takes the addresses of %v", seen)
	}
	// Each call of the machine is marked, and named by a relocation.
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	relocations, err := file.Section(".rel.dyn").Data()
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for ; len(relocations) >= 16; relocations = relocations[16:] {
		at := binary.LittleEndian.Uint64(relocations) - file.Section(".text").Addr
		info := binary.LittleEndian.Uint64(relocations[8:])
		if code[at] != 0x85 || binary.LittleEndian.Uint32(code[at+4:]) != unresolved || info&0xffffffff != callRelocation {
			t.Errorf("the relocation at %#x is of no call", at)
		}
		calls[symbols[info>>32-1].Name]++
	}
	if calls["sol_log_"] != 2 || calls["sol_log_64_"] != 1 || len(calls) != 2 {
		t.Errorf("the relocations name %v", calls)
	}
}

func TestLinkRefuses(t *testing.T) {
	t.Parallel()
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	const entry = "unsigned long long entrypoint(unsigned char *in) "
	tests := map[string]struct {
		object func(*testing.T) []byte
		want   string
	}{
		"nothing":         {func(*testing.T) []byte { return nil }, "read the object file"},
		"no ELF":          {func(*testing.T) []byte { return []byte("#!/bin/sh") }, "read the object file"},
		"another machine": {func(*testing.T) []byte { return self }, "compile with clang -target bpfel"},
		"no entrypoint": {func(t *testing.T) []byte { return compile(t, "int other(void) { return 1; }") },
			"does not define the function entrypoint"},
		"a writable global": {func(t *testing.T) []byte { return compile(t, "int n = 1; "+entry+"{ return n += in[0]; }") },
			"have no writable globals"},
		"a pointer in a constant": {func(t *testing.T) []byte {
			return compile(t, `static const char *const all[] = {"a", "b"}; `+entry+`{ return all[in[0]][0]; }`)
		}, "constants hold no pointers"},
		"an unknown address": {func(t *testing.T) []byte {
			return compile(t, "extern char there[]; "+entry+"{ return there[in[0]]; }")
		}, "which the object file does not define"},
		"code elsewhere": {func(t *testing.T) []byte {
			return compile(t, `__attribute__((section("other"), noinline)) int f(int n) { return n + 1; } `+entry+
				`{ return f(in[0]); }`)
		}, "takes code in .text only"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Link(test.object(t)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func FuzzLink(f *testing.F) {
	f.Add([]byte("\x7fELF"))
	f.Add(compile(f, whole))
	f.Fuzz(func(t *testing.T, object []byte) {
		program, err := Link(object)
		if err != nil {
			return
		}
		if _, err := elf.NewFile(bytes.NewReader(program)); err != nil {
			t.Errorf("what was linked is not an ELF file: %v", err)
		}
	})
}
