package config

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/loop-plugins/loop/host/internal/config/keys"
)

// maxFileSize bounds what Load reads: a path that names a device or a database by mistake must not fill the memory.
const maxFileSize = 1 << 20

// maxWrongTypes is how many values of a wrong type are reported at once: each costs a decoding of the whole file.
const maxWrongTypes = 50

// Load reads the file at path or, if that is empty, the one that CL_CONFIG names; with neither, the defaults hold. It
// takes the environment from lookup, which is os.LookupEnv outside tests. The error joins all problems of the file and
// of the environment, each with its file and line where it has one.
func Load(path string, lookup func(string) (string, bool)) (*Config, error) {
	config, p, err := read(path, lookup)
	if err != nil {
		return nil, err
	}
	config.resolve(p, lookup)
	if err := p.err(); err != nil {
		return nil, err
	}
	return config, nil
}

// Read is Load for commands that start no node. What a node alone needs is left as the file has it: it looks for no folder
// and no database, and reads no password.
func Read(path string, lookup func(string) (string, bool)) (*Config, error) {
	config, p, err := read(path, lookup)
	if err == nil {
		err = p.err()
	}
	if err != nil {
		return nil, err
	}
	return config, nil
}

// Socket is the path of the unix socket on which the node of a configuration serves its operators. It reads the file
// that CL_CONFIG names, if any.
func Socket(lookup func(string) (string, bool)) (string, error) {
	config, p, err := read("", lookup)
	if err != nil {
		return "", err
	}
	config.resolveRootDir(p, lookup)
	config.resolveSocket(p)
	return config.WebServer.Socket, p.err()
}

// read does what Load does as far as it depends on the file and the variables alone. Its error is that of a file that
// cannot be read to its end; other problems are among those that it returns.
func read(path string, lookup func(string) (string, bool)) (*Config, *problems, error) {
	config := Default()
	p := &problems{reported: map[string]bool{}}
	config.Environment = readEnvironment(p, lookup)

	p.file = cmp.Or(path, config.Environment.ConfigPath)
	if p.file != "" {
		document, err := readFile(p.file)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the configuration file: %w; check --config and CL_CONFIG", err)
		}
		if !config.decode(p, document) {
			return nil, nil, p.err()
		}
	}
	config.check(p)
	return config, p, nil
}

// decode binds the document to the configuration and reports whether it could be read to its end.
func (c *Config) decode(p *problems, document []byte) bool {
	document = bytes.TrimPrefix(document, []byte("\xef\xbb\xbf")) // some editors mark UTF-8 so
	index, err := keys.Read(document)
	if err != nil {
		var syntax *keys.SyntaxError
		if errors.As(err, &syntax) {
			p.list = append(p.list, problem{line: syntax.Line, text: "this is not TOML: " + syntax.Text})
		}
		return false
	}
	p.index = index

	// The decoder stops at the first value of a wrong type. To report them all, that assignment is blanked out and the rest
	// decoded again; each turn removes one.
	document = slices.Clone(document)
	for turn := 1; ; turn++ {
		defaults := Default()
		defaults.Environment = c.Environment
		*c = *defaults
		decoder := toml.NewDecoder(bytes.NewReader(document)).DisallowUnknownFields()
		err := decoder.Decode(c)
		var unknown *toml.StrictMissingError
		var wrong *toml.DecodeError
		switch {
		case err == nil:
		case errors.As(err, &unknown):
			for at := range unknown.Errors {
				c.notBound(p, &unknown.Errors[at])
			}
			slices.SortStableFunc(c.Warnings, func(a, b Warning) int { return cmp.Compare(a.Line, b.Line) })
		case errors.As(err, &wrong):
			line, column := wrong.Position()
			text := strings.TrimPrefix(wrong.Error(), "toml: ")
			entry, ok := index.Assignment(line, column)
			if !ok {
				p.list = append(p.list, problem{line: line, text: text})
				return false
			}
			p.wrongType(entry, line, text)
			if turn == maxWrongTypes {
				p.list = append(p.list, problem{line: line, text: "more problems follow; mend these first"})
				return false
			}
			for at := entry.Start; at < entry.End; at++ {
				if document[at] != '\n' {
					document[at] = ' '
				}
			}
			continue
		default:
			p.list = append(p.list, problem{text: err.Error()})
			return false
		}
		break
	}

	for at := range c.EVM {
		path := fmt.Sprintf("EVM[%d]", at)
		fillIn(index, path, &c.EVM[at], defaultEVMChain())
		c.EVM[at].given = given(index, path, EVMChain{})
	}
	for at := range c.Solana {
		fillIn(index, fmt.Sprintf("Solana[%d]", at), &c.Solana[at], defaultSolanaChain())
	}
	for at := range c.Starknet {
		fillIn(index, fmt.Sprintf("Starknet[%d]", at), &c.Starknet[at], defaultStarknetChain())
	}
	return true
}

// fillIn gives the keys that an element of an array of tables lacks their defaults: the decoder starts each from zero.
func fillIn[T any](index *keys.Index, path string, element *T, defaults T) {
	fillInTable(index, path, reflect.ValueOf(element).Elem(), reflect.ValueOf(defaults))
}

func fillInTable(index *keys.Index, path string, to, from reflect.Value) {
	for at := range to.NumField() {
		key := path + "." + to.Type().Field(at).Name
		switch _, given := index.Find(key); {
		case !to.Type().Field(at).IsExported(): // no key
		case !given:
			to.Field(at).Set(from.Field(at))
		case to.Field(at).Kind() == reflect.Struct && !isText(to.Field(at).Type()):
			fillInTable(index, key, to.Field(at), from.Field(at))
		}
	}
}

// given are the keys that a table of the file has.
func given[T any](index *keys.Index, path string, table T) map[string]bool {
	names := map[string]bool{}
	for _, field := range reflect.VisibleFields(reflect.TypeOf(table)) {
		_, names[field.Name] = index.Find(path + "." + field.Name)
	}
	return names
}

// resolve fills in what depends on the environment and on other files.
func (c *Config) resolve(p *problems, lookup func(string) (string, bool)) {
	c.resolveRootDir(p, lookup)
	c.resolveSocket(p)
	for _, kind := range c.kinds() {
		pinned := kind.plugin.Rules.SHA256 // the environment's
		kind.plugin.Rules = *kind.rules
		if len(pinned.Sums) > 0 {
			kind.plugin.Rules.SHA256 = pinned
		}
	}

	switch address := c.Database.URL.Reveal(); {
	case address == "":
		c.Database.Path = filepath.Join(c.RootDir, "loop.db")
	case strings.HasPrefix(address, "sqlite:"):
		c.Database.Path = strings.TrimPrefix(strings.TrimPrefix(address, "sqlite:"), "//")
		if c.Database.Path == "" {
			p.add("Database.URL", "sqlite: names no file; write sqlite:/path/to/loop.db")
		}
	case scheme.MatchString(address):
		// Only the scheme is shown: the rest holds a user and a password.
		kind, _, _ := strings.Cut(address, ":")
		p.add("Database.URL", "%q is not a database that this node can use; give sqlite:PATH or the path of a file", kind)
	default:
		c.Database.Path = address
	}

	switch {
	case !c.Environment.KeystorePassword.IsEmpty():
		c.Keystore.Password = c.Environment.KeystorePassword
	case c.Keystore.PasswordFile == "":
		p.add("Keystore.PasswordFile", "the keystore has no password; name a file with it here, or set the environment variable CL_PASSWORD_KEYSTORE")
	default:
		text, err := readFile(c.Keystore.PasswordFile)
		if err != nil {
			p.add("Keystore.PasswordFile", "reading the keystore's password: %v", err)
			return
		}
		c.Keystore.Password = NewSecret(strings.TrimRight(string(text), "\r\n"))
		if c.Keystore.Password.IsEmpty() {
			p.add("Keystore.PasswordFile", "%s holds no password", c.Keystore.PasswordFile)
		}
	}
}

func (c *Config) resolveRootDir(p *problems, lookup func(string) (string, bool)) {
	home, _ := lookup("HOME")
	data, _ := lookup("XDG_DATA_HOME")
	switch rest, tilde := strings.CutPrefix(c.RootDir, "~/"); {
	case tilde && home != "":
		c.RootDir = filepath.Join(home, rest)
	case c.RootDir == "" && filepath.IsAbs(data): // a relative one must be ignored, says the XDG specification
		c.RootDir = filepath.Join(data, "loop")
	case c.RootDir == "" && home != "":
		c.RootDir = filepath.Join(home, ".local", "share", "loop")
	case c.RootDir == "" || tilde:
		p.add("RootDir", "the home folder is unknown since HOME is not set; give RootDir as an absolute path")
	default:
		if absolute, err := filepath.Abs(c.RootDir); err != nil {
			p.add("RootDir", "making %q absolute: %v", c.RootDir, err)
		} else {
			c.RootDir = absolute
		}
	}
}

// longestSocket is the longest path of a socket that every system takes, in bytes.
const longestSocket = 103

func (c *Config) resolveSocket(p *problems) {
	if c.WebServer.Socket == "" {
		c.WebServer.Socket = filepath.Join(c.RootDir, "loop.sock")
		if len(c.WebServer.Socket) > longestSocket {
			p.add("WebServer.Socket",
				"the default %s is too long for a socket: it has %d bytes of at most %d; name a shorter path",
				c.WebServer.Socket, len(c.WebServer.Socket), longestSocket)
		}
		return
	}
	absolute, err := filepath.Abs(c.WebServer.Socket)
	if err != nil {
		p.add("WebServer.Socket", "making %q absolute: %v", c.WebServer.Socket, err)
		return
	}
	c.WebServer.Socket = absolute
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() || info.Size() > maxFileSize {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", path, maxFileSize)
	}
	return os.ReadFile(path)
}

// problems gathers what is wrong, so that one start of the node shows it all.
type problems struct {
	file     string
	index    *keys.Index
	list     []problem
	reported map[string]bool // paths that have a problem: what follows from it is not reported again
}

type problem struct {
	place string // another file, or the name of a variable; empty for the configuration file
	line  int
	key   string
	text  string
}

// add reports a problem with the key at a path of the configuration file.
func (p *problems) add(path, format string, arguments ...any) {
	folded := strings.ToLower(path)
	for prefix := folded; ; {
		if p.reported[prefix] {
			return
		}
		cut := strings.LastIndexAny(prefix, ".[")
		if cut < 0 {
			break
		}
		prefix = prefix[:cut]
	}
	p.reported[folded] = true
	found := problem{key: path, text: fmt.Sprintf(format, arguments...)}
	if p.index != nil {
		found.line = p.index.Line(path)
	}
	p.list = append(p.list, found)
}

// addAt reports a problem outside the configuration file.
func (p *problems) addAt(place string, line int, format string, arguments ...any) {
	p.list = append(p.list, problem{place: place, line: line, text: fmt.Sprintf(format, arguments...)})
}

// unknownKey is the problem with a key, given without indexes, that is neither bound nor idle.
func unknownKey(path []string, line int) problem {
	text := "unknown key"
	table, name := path[:len(path)-1], path[len(path)-1]
	known := idleNames(strings.Join(table, "."))
	if at, ok := typeAt(table); ok {
		known = append(known, fieldNames(at)...)
	}
	slices.Sort(known) // of two that are equally close, the same one every time
	if closest := keys.Closest(name, known); closest != "" {
		text += fmt.Sprintf("; did you mean %s?", closest)
	}
	return problem{line: line, key: strings.Join(path, "."), text: text}
}

// wrongType reports a value that does not fit its key. The value is not shown: it may be a secret on the wrong line.
func (p *problems) wrongType(entry keys.Entry, line int, text string) {
	p.reported[strings.ToLower(entry.Path)] = true
	if first, ok := p.index.Find(entry.Path); ok && first.Start < entry.Start {
		text = fmt.Sprintf("this key is given on line %d already", first.Line)
	} else if target, ok := typeAt(pathParts(entry.Path)); ok {
		text = "want " + describe(target) + ", have " + describeKind(entry.Kind)
	}
	p.list = append(p.list, problem{line: line, key: entry.Path, text: text})
}

// err joins the problems: those of the file by line, then those of the environment.
func (p *problems) err() error {
	slices.SortStableFunc(p.list, func(a, b problem) int {
		return cmp.Or(strings.Compare(a.place, b.place), cmp.Compare(a.line, b.line))
	})
	errs := make([]error, len(p.list))
	for at, found := range p.list {
		text := found.text
		if found.key != "" {
			text = found.key + ": " + text
		}
		place := cmp.Or(found.place, p.file)
		if found.line > 0 {
			place = fmt.Sprintf("%s:%d", place, found.line)
		}
		if place != "" {
			text = place + ": " + text
		}
		errs[at] = errors.New(text)
	}
	return errors.Join(errs...)
}

// typeAt returns the type of the key at a path without indexes.
func typeAt(path []string) (reflect.Type, bool) {
	at := reflect.TypeFor[Config]()
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

// single is the type of one of a list's elements, or of what is no list.
func single(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

// isKey tells whether a field is a key of the file.
func isKey(field reflect.StructField) bool { return field.IsExported() && field.Tag.Get("toml") != "-" }

// pathParts takes the indexes out of a path.
func pathParts(path string) []string {
	parts := strings.Split(path, ".")
	for at, part := range parts {
		parts[at], _, _ = strings.Cut(part, "[")
	}
	return parts
}

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
