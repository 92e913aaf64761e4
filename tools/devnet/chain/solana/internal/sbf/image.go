package sbf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// section is a section of the program.
type section struct {
	header elf.Section64
	name   string
	data   []byte
}

// The sections' places in the table.
const (
	nothing = iota
	text
	rodata
	dynamic
	dynsym
	dynstr
	reldyn
	shstrtab
	sectionCount
)

const (
	headerSize        = 64
	programHeaderSize = 56
	sectionHeaderSize = 64
	symbolSize        = 24
	relocationSize    = 16
	// callRelocation is the loader's number for a call by name.
	callRelocation = 10
)

// image lays the program out: headers, code, constants, and what the loader needs to resolve calls.
func (l *linker) image(entry uint64) ([]byte, error) {
	sections := l.sections(entry)
	names := []byte{0}
	for i := 1; i < sectionCount; i++ {
		sections[i].header.Name = uint32(len(names))
		names = append(append(names, sections[i].name...), 0)
	}
	sections[shstrtab].data = names

	at := textOffset
	for i := 1; i < sectionCount; i++ {
		s := &sections[i]
		at = align(at, int(s.header.Addralign))
		s.header.Off, s.header.Size = uint64(at), uint64(len(s.data))
		if s.header.Flags&uint64(elf.SHF_ALLOC) != 0 {
			s.header.Addr = uint64(at)
		}
		at += len(s.data)
	}
	if got := int(sections[rodata].header.Off); got != l.rodataOffset() {
		return nil, fmt.Errorf("the constants lie at %d and the code was linked for %d", got, l.rodataOffset())
	}
	l.fillDynamic(sections)

	tableAt := align(at, 8)
	var out bytes.Buffer
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(elf.EM_BPF), Version: uint32(elf.EV_CURRENT), Entry: entry,
		Phoff: headerSize, Shoff: uint64(tableAt), Ehsize: headerSize, Phentsize: programHeaderSize, Phnum: 3,
		Shentsize: sectionHeaderSize, Shnum: sectionCount, Shstrndx: shstrtab,
	}
	segments := []elf.Prog64{
		segment(elf.PT_LOAD, elf.PF_R|elf.PF_X, sections[text], sections[text]),
		segment(elf.PT_LOAD, elf.PF_R, sections[rodata], sections[reldyn]),
		segment(elf.PT_DYNAMIC, elf.PF_R, sections[dynamic], sections[dynamic]),
	}
	write(&out, header)
	write(&out, segments)
	for i := 1; i < sectionCount; i++ {
		pad(&out, int(sections[i].header.Off))
		out.Write(sections[i].data)
	}
	pad(&out, tableAt)
	for i := range sections {
		write(&out, sections[i].header)
	}
	return out.Bytes(), nil
}

func (l *linker) sections(entry uint64) []section {
	const alloc, exec = uint64(elf.SHF_ALLOC), uint64(elf.SHF_EXECINSTR)
	made := func(name string, kind elf.SectionType, flags uint64, align uint64, data []byte) section {
		return section{elf.Section64{Type: uint32(kind), Flags: flags, Addralign: align}, name, data}
	}
	var symbols, relocations bytes.Buffer
	strings := []byte{0}
	symbol := func(name string, kind elf.SymType, at elf.SectionIndex, value, size uint64) {
		write(&symbols, elf.Sym64{
			Name: uint32(len(strings)), Info: elf.ST_INFO(elf.STB_GLOBAL, kind), Shndx: uint16(at), Value: value, Size: size,
		})
		strings = append(append(strings, name...), 0)
	}
	write(&symbols, elf.Sym64{})
	for _, name := range l.names {
		symbol(name, elf.STT_NOTYPE, elf.SHN_UNDEF, 0, 0)
	}
	symbol("entrypoint", elf.STT_FUNC, text, entry, slot)
	for _, call := range l.calls {
		write(&relocations, elf.Rel64{Off: uint64(textOffset + call.offset), Info: uint64(call.name+1)<<32 | callRelocation})
	}

	all := make([]section, sectionCount)
	all[text] = made(".text", elf.SHT_PROGBITS, alloc|exec, 8, l.text)
	all[rodata] = made(".rodata", elf.SHT_PROGBITS, alloc, maxAlignment, l.rodata)
	all[dynamic] = made(".dynamic", elf.SHT_DYNAMIC, alloc, 8, make([]byte, 7*16))
	all[dynamic].header.Link, all[dynamic].header.Entsize = dynstr, 16
	all[dynsym] = made(".dynsym", elf.SHT_DYNSYM, alloc, 8, symbols.Bytes())
	all[dynsym].header.Link, all[dynsym].header.Info, all[dynsym].header.Entsize = dynstr, 1, symbolSize
	all[dynstr] = made(".dynstr", elf.SHT_STRTAB, alloc, 1, strings)
	all[reldyn] = made(".rel.dyn", elf.SHT_REL, alloc, 8, relocations.Bytes())
	all[reldyn].header.Link, all[reldyn].header.Entsize = dynsym, relocationSize
	all[shstrtab] = made(".shstrtab", elf.SHT_STRTAB, 0, 1, nil)
	return all
}

// fillDynamic says where the tables are, once that is known.
func (l *linker) fillDynamic(sections []section) {
	var out bytes.Buffer
	write(&out, []elf.Dyn64{
		{Tag: int64(elf.DT_REL), Val: sections[reldyn].header.Off},
		{Tag: int64(elf.DT_RELSZ), Val: uint64(len(sections[reldyn].data))},
		{Tag: int64(elf.DT_RELENT), Val: relocationSize},
		{Tag: int64(elf.DT_SYMTAB), Val: sections[dynsym].header.Off},
		{Tag: int64(elf.DT_STRTAB), Val: sections[dynstr].header.Off},
		{Tag: int64(elf.DT_STRSZ), Val: uint64(len(sections[dynstr].data))},
		{Tag: int64(elf.DT_NULL)},
	})
	copy(sections[dynamic].data, out.Bytes())
}

// segment covers the sections from first to last.
func segment(kind elf.ProgType, flags elf.ProgFlag, first, last section) elf.Prog64 {
	start := first.header.Off
	size := last.header.Off + last.header.Size - start
	return elf.Prog64{
		Type: uint32(kind), Flags: uint32(flags), Off: start, Vaddr: start, Paddr: start, Filesz: size, Memsz: size, Align: 8,
	}
}

func pad(out *bytes.Buffer, to int) { out.Write(make([]byte, to-out.Len())) }

// write writes a structure of the format to memory, which does not fail.
func write(out *bytes.Buffer, value any) { _ = binary.Write(out, binary.LittleEndian, value) }
