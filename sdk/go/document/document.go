// Package document reads and writes the TOML configuration of nodes and their relayers. The fields of a struct are the
// keys, its initial values are the defaults, and its tags have the comments and the bounds of the keys.
//
// All problems are reported at once, each with its key and its line. No problem repeats what may be a secret. The
// package must not know what any key means; the reader of a table checks it further, with Add.
//
// Tags of fields:
//
//	comment  what Write puts above the key
//	bounds   the least and the greatest value of a number or a Duration, separated by a blank: "1s 5m"
package document

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// Settings say what a document may hold besides the keys of the struct.
type Settings struct {
	Idle []Idle
	// Open accepts keys that the struct does not have, without a warning.
	Open bool
	// Elsewhere are tables that others read, as paths without positions.
	Elsewhere []string
}

// most is how many values of a wrong type are reported at once: each costs a decoding of the whole document.
const most = 50

// Read decodes a document into a struct that holds the defaults, and reports everything that the decoder and the
// struct's tags find wrong. The struct is usable if there is no problem. If the document could be read to its end, the
// caller may check the struct further and add to the problems.
func Read[T any](document []byte, into *T, settings Settings) (_ *Problems, whole bool) {
	index, err := keys.Read(document)
	if err != nil {
		p := &Problems{}
		var syntax *keys.SyntaxError
		if errors.As(err, &syntax) {
			p.addAt("", syntax.Line, "this is not TOML: "+syntax.Text)
		}
		return p, false
	}
	r := &reader{Problems: &Problems{index: index}, settings: settings, into: reflect.TypeFor[T](),
		elsewhere: map[string]bool{}}
	for _, path := range settings.Elsewhere {
		r.elsewhere[strings.ToLower(path)] = true
	}

	// The decoder stops at the first value of a wrong type. To report them all, each turn blanks out the assignment of one
	// and decodes the rest again.
	document = slices.Clone(document)
	defaults := *into
	for turn := 1; ; turn++ {
		*into = defaults
		decoder := toml.NewDecoder(bytes.NewReader(document))
		if !settings.Open {
			decoder.DisallowUnknownFields()
		}
		err := decoder.Decode(into)
		var unknown *toml.StrictMissingError
		var wrong *toml.DecodeError
		switch {
		case err == nil:
		case errors.As(err, &unknown):
			for at := range unknown.Errors {
				r.unbound(&unknown.Errors[at])
			}
		case errors.As(err, &wrong):
			if !r.wrongType(document, wrong) {
				return r.Problems, false
			}
			if turn == most {
				line, _ := wrong.Position()
				r.addAt("", line, "more problems follow; fix these first")
				return r.Problems, false
			}
			continue
		default:
			r.addAt("", 0, "this cannot be read; check its syntax")
			return r.Problems, false
		}
		break
	}
	checkTags(r.Problems, "", reflect.ValueOf(into).Elem())
	return r.Problems, true
}

// reader is one reading of a document.
type reader struct {
	*Problems
	settings  Settings
	into      reflect.Type
	elsewhere map[string]bool // by path in small letters
}

// wrongType reports a value that does not fit its key, and blanks out its assignment. The value is not shown: it may be
// a secret on the wrong line.
func (r *reader) wrongType(document []byte, wrong *toml.DecodeError) bool {
	line, column := wrong.Position()
	entry, ok := r.index.Assignment(line, column)
	if !ok {
		path := strings.Join(wrong.Key(), ".")
		text := "this table cannot stand here; check the headers above it"
		if target, ok := typeAt(r.into, wrong.Key()); ok {
			text = "want " + describe(target) + ", have a table"
		}
		r.addAt(path, line, text)
		return false
	}
	text := "this value cannot be read; check its type and its quotes"
	if first, ok := r.index.Find(entry.Path); ok && first.Start < entry.Start {
		text = fmt.Sprintf("this key is given on line %d already", first.Line)
	} else if target, ok := typeAt(r.into, plain(entry.Path)); ok {
		text = "want " + describe(target) + ", have " + describeKind(entry.Kind)
	}
	r.addAt(entry.Path, line, text)
	for at := entry.Start; at < entry.End; at++ {
		if document[at] != '\n' {
			document[at] = ' '
		}
	}
	return true
}

// unbound judges a key or a table that the decoder has no field for: a key of Idle becomes a warning, any other a
// problem.
func (r *reader) unbound(missing *toml.DecodeError) {
	line, column := missing.Position()
	where, ok := r.index.Key(line, column)
	if !ok { // it lies deeper than the index goes
		where = strings.Join(missing.Key(), ".")
	}
	path := strings.Join(plain(where), ".")
	for table := range r.elsewhere {
		if belongs(path, table) {
			return
		}
	}
	if !r.expected(path) {
		r.unknown(where, line)
		return
	}
	// The decoder does not name the keys in a table that it has no field for.
	for _, entry := range r.index.Entries() {
		switch entry.Kind {
		case unstable.Table, unstable.ArrayTable, unstable.InlineTable:
			continue // what is in it has entries of its own
		}
		bare := strings.Join(plain(entry.Path), ".")
		if !belongs(bare, path) || strings.HasSuffix(entry.Path, "]") || r.reported[strings.ToLower(entry.Path)] {
			continue
		}
		switch idle, ok := r.idle(bare); {
		case !ok:
			r.unknown(entry.Path, entry.Line)
		case idle.Off && entry.True:
			r.addAt(entry.Path, entry.Line, "this cannot be true here: "+idle.Why)
		default:
			r.mark(entry.Path)
			r.Warn(entry.Path, "it has no effect: %s", idle.Why)
		}
	}
}

// unknown reports a key that is neither bound nor idle.
func (r *reader) unknown(path string, line int) {
	if r.reported[strings.ToLower(path)] {
		return
	}
	parts := plain(path)
	table, name := parts[:len(parts)-1], parts[len(parts)-1]
	known := r.idleNames(strings.Join(table, "."))
	if at, ok := typeAt(r.into, table); ok {
		known = append(known, fieldNames(at)...)
	}
	r.addAt(path, line, "unknown key"+DidYouMean(name, known))
}

// DidYouMean is the end of a problem with an unknown name, if a known name is near it.
func DidYouMean(name string, known []string) string {
	known = slices.Sorted(slices.Values(known)) // of two that are equally close, the same one every time
	if closest := keys.Closest(name, known); closest != "" {
		return fmt.Sprintf("; did you mean %s?", closest)
	}
	return ""
}

// typeAt returns the type of the key at a path without positions.
func typeAt(at reflect.Type, path []string) (reflect.Type, bool) {
	for _, part := range path {
		if at = single(at); at.Kind() != reflect.Struct || isText(at) {
			return nil, false
		}
		field, ok := at.FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, part) })
		if !ok || !isKey(field) {
			return nil, false
		}
		at = optional(field.Type)
	}
	return at, true
}

// optional takes the pointer off the type of a key that may be left out.
func optional(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// single is the type of a list's elements, or the type itself if it is not a list.
func single(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

// isKey reports whether a field is a key of the document.
func isKey(field reflect.StructField) bool { return field.IsExported() && field.Tag.Get("toml") != "-" }

// plain takes the positions out of a path.
func plain(path string) []string {
	parts := strings.Split(path, ".")
	for at, part := range parts {
		parts[at], _, _ = strings.Cut(part, "[")
	}
	return parts
}

// Keys are the keys of a struct, without those of the tables in it.
func Keys(table any) []string { return fieldNames(reflect.TypeOf(table)) }

func fieldNames(table reflect.Type) []string {
	if table = single(table); table.Kind() != reflect.Struct || isText(table) {
		return nil
	}
	var names []string
	for at := range table.NumField() {
		if field := table.Field(at); isKey(field) {
			names = append(names, field.Name)
		}
	}
	return names
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func describe(t reflect.Type) string {
	switch {
	case isText(t) || t.Kind() == reflect.String:
		return "a string in quotes"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice && !isText(t.Elem()) && t.Elem().Kind() == reflect.Struct:
		return "a list of tables"
	case t.Kind() == reflect.Slice:
		return "a list of strings"
	case t.Kind() == reflect.Struct:
		return "a table"
	case reflect.Uint <= t.Kind() && t.Kind() <= reflect.Uint64:
		return fmt.Sprintf("a whole number from 0 to %d", ^uint64(0)>>(64-t.Bits()))
	case t.Kind() == reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func describeKind(kind unstable.Kind) string {
	switch kind {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "true or false"
	case unstable.Array:
		return "a list of something else"
	case unstable.Integer:
		return "another number"
	case unstable.InlineTable, unstable.Table:
		return "a table"
	case unstable.Float:
		return "a number with a fraction"
	default:
		return "a date or a time"
	}
}
