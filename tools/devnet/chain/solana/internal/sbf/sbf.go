// Package sbf links object files of clang's BPF target into programs that Solana's loader takes: shared objects of SBF
// version 0, in which calls of the machine's functions are left to the loader to resolve by name.
//
// It must not know what the programs do, nor where they run.
package sbf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	// programBase is where the machine maps a program.
	programBase = 0x1_0000_0000
	// textOffset leaves room for the headers in front of the code.
	textOffset = 0x1000
	// slot is the size of an instruction; a 64-bit immediate takes two of them.
	slot = 8
	// The relocations of the BPF target: a 64-bit immediate, and a call.
	relocation64   = 1
	relocationCall = 10
	// maxAlignment is that of the constants in the program; more would need another base.
	maxAlignment = 16
	// unresolved marks a call that the loader resolves.
	unresolved = 0xffffffff
)

// Link makes a program from one object file, with the function entrypoint as its entry.
func Link(object []byte) ([]byte, error) {
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the object file: %w", err)
	}
	defer file.Close()
	if file.Class != elf.ELFCLASS64 || file.Data != elf.ELFDATA2LSB || file.Machine != elf.EM_BPF ||
		file.Type != elf.ET_REL {
		return nil, fmt.Errorf("the object file is %s %s %s %s, not a relocatable file for little-endian BPF; compile with "+
			"clang -target bpfel -c",
			file.Class, file.Data, file.Machine, file.Type)
	}
	l := &linker{file: file}
	if err := l.read(); err != nil {
		return nil, err
	}
	if err := l.relocate(); err != nil {
		return nil, err
	}
	entry, err := l.entry()
	if err != nil {
		return nil, err
	}
	return l.image(entry)
}

type linker struct {
	file    *elf.File
	symbols []elf.Symbol // without the one that is nothing, so that relocation n means symbol n-1
	text    []byte
	textAt  elf.SectionIndex
	rodata  []byte
	placed  map[elf.SectionIndex]int // where each section of constants lies in rodata
	calls   []call                   // those for the loader
	names   []string                 // what they call, in the order of its first use
}

// call is a call at an offset of the code to names[name].
type call struct{ offset, name int }

func (l *linker) rodataOffset() int { return align(textOffset+len(l.text), maxAlignment) }

func (l *linker) read() error {
	var err error
	if l.symbols, err = l.file.Symbols(); err != nil {
		return fmt.Errorf("read the symbols: %w", err)
	}
	l.placed = map[elf.SectionIndex]int{}
	for i, section := range l.file.Sections {
		if section.Flags&elf.SHF_ALLOC == 0 || section.Size == 0 {
			continue
		}
		data, err := section.Data()
		if err != nil {
			return fmt.Errorf("read the section %s: %w", section.Name, err)
		}
		switch {
		case section.Flags&elf.SHF_WRITE != 0:
			return fmt.Errorf("the section %s is writable, and programs have no writable globals", section.Name)
		case section.Name == ".text":
			l.text, l.textAt = slices.Clone(data), elf.SectionIndex(i)
		case section.Flags&elf.SHF_EXECINSTR != 0:
			return fmt.Errorf("the section %s holds code; the linker takes code in .text only", section.Name)
		case section.Addralign > maxAlignment:
			return fmt.Errorf("the section %s wants to lie at a multiple of %d; the linker knows none above %d", section.Name,
				section.Addralign, maxAlignment)
		default:
			l.rodata = append(l.rodata, make([]byte, align(len(l.rodata), max(int(section.Addralign), 1))-len(l.rodata))...)
			l.placed[elf.SectionIndex(i)] = len(l.rodata)
			l.rodata = append(l.rodata, data...)
		}
	}
	if len(l.text)%slot != 0 || len(l.text) == 0 {
		return fmt.Errorf("the section .text has %d bytes, which are no instructions", len(l.text))
	}
	return nil
}

func (l *linker) relocate() error {
	for _, section := range l.file.Sections {
		if section.Type != elf.SHT_REL && section.Type != elf.SHT_RELA {
			continue
		}
		if elf.SectionIndex(section.Info) != l.textAt {
			if int(section.Info) < len(l.file.Sections) && l.file.Sections[section.Info].Flags&elf.SHF_ALLOC == 0 {
				continue // of debug information
			}
			return fmt.Errorf("the section %s relocates constants, and constants hold no pointers", section.Name)
		}
		data, err := section.Data()
		if err != nil {
			return fmt.Errorf("read the section %s: %w", section.Name, err)
		}
		for ; len(data) >= 16; data = data[16:] {
			info := binary.LittleEndian.Uint64(data[8:])
			if err := l.relocateOne(binary.LittleEndian.Uint64(data), uint32(info), info>>32); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *linker) relocateOne(offset uint64, kind uint32, number uint64) error {
	if number == 0 || number > uint64(len(l.symbols)) {
		return fmt.Errorf("a relocation names symbol %d of %d", number, len(l.symbols))
	}
	symbol := l.symbols[number-1]
	size := uint64(slot)
	if kind == relocation64 {
		size = 2 * slot
	}
	if offset%slot != 0 || offset > uint64(len(l.text)) || uint64(len(l.text))-offset < size {
		return fmt.Errorf("a relocation of %s lies outside the code, at %d of %d", symbol.Name, offset, len(l.text))
	}
	at := l.text[offset:]
	switch kind {
	case relocation64:
		base := textOffset
		if symbol.Section != l.textAt {
			start, ok := l.placed[symbol.Section]
			if !ok {
				return fmt.Errorf("the code takes the address of %q, which the object file does not define", symbol.Name)
			}
			base = l.rodataOffset() + start
		}
		addend := uint64(binary.LittleEndian.Uint32(at[4:])) | uint64(binary.LittleEndian.Uint32(at[12:]))<<32
		address := programBase + uint64(base) + symbol.Value + addend
		binary.LittleEndian.PutUint32(at[4:], uint32(address))
		binary.LittleEndian.PutUint32(at[12:], uint32(address>>32))
	case relocationCall:
		switch symbol.Section {
		case elf.SHN_UNDEF:
			name := slices.Index(l.names, symbol.Name)
			if name < 0 {
				name = len(l.names)
				l.names = append(l.names, symbol.Name)
			}
			l.calls = append(l.calls, call{int(offset), name})
			binary.LittleEndian.PutUint32(at[4:], unresolved)
		case l.textAt:
			// Calls count instructions from the one after them.
			addend := int64(int32(binary.LittleEndian.Uint32(at[4:])))
			target := int64(symbol.Value)/slot + addend + 1
			binary.LittleEndian.PutUint32(at[4:], uint32(target-int64(offset)/slot-1))
		default:
			return fmt.Errorf("the code calls %q, which is not a function of the object file", symbol.Name)
		}
	default:
		return fmt.Errorf("the linker does not know relocation type %d, of %q", kind, symbol.Name)
	}
	return nil
}

func (l *linker) entry() (uint64, error) {
	for _, symbol := range l.symbols {
		if symbol.Name == "entrypoint" && symbol.Section == l.textAt {
			return textOffset + symbol.Value, nil
		}
	}
	return 0, errors.New("the object file does not define the function entrypoint")
}

func align(n, to int) int { return (n + to - 1) / to * to }
