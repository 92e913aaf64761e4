package config_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/host/internal/config"
)

// pageIntroduction is the part of docs/configuration.md above its tables, with ” for backquotes.
var pageIntroduction = strings.ReplaceAll(`# Configuration

This page is generated from the code: every key of the node's configuration file, with its type, default and meaning.
[configure.md](configure.md) says how a node is configured, and ”loop node config” prints the same as a file, for the
plugins of your node. [environment.md](environment.md) has the environment variables.

The file is [TOML](https://toml.io). A duration is a number with a unit, such as ”"1m30s"”; the units are ”ms”, ”s”, ”m”
and ”h”. An amount of memory is written as ”"512MiB"”, a price on an EVM chain as ”"1.5 gwei"”. Where the default is empty,
the meaning says what then holds.
`, "”", "`")

const (
	pluginsIntroduction = `
A table for each plugin, such as ”[Plugins.EVM]”. It holds for each process of the plugin: an isolated job has its own.
`
	chainsIntroduction = `
One table for each chain. Keys without a sensible default, such as addresses, have an example here.
`
)

// TestConfigurationPage holds that docs/configuration.md is what Reference says; -update writes it.
func TestConfigurationPage(t *testing.T) {
	t.Parallel()
	var described []config.Described
	for _, r := range relayers(t) {
		described = append(described,
			config.Described{Section: r.Section(), TOML: r.(relayer).description.GetReferenceToml()})
	}
	reference, err := config.Reference([]string{"<Name>"}, described)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../../docs/configuration.md", pageIntroduction+tables(t, reference))
}

// What docs/environment.md says above its tables, with ” for backquotes.
const (
	environmentIntroduction = `# Environment

This page is generated from the code: the variables that ”loop” reads. What a plugin's process gets is stated in the
[contract](contract.md#environment).

## The node

`
	environmentOfNode = `
The plugins median, evm, solana and starknet are built in.

More is said of checksums in [pinning](processes.md#pinning-plugins), of authorities and proxies in
[trust and proxies](configure.md#trust-and-proxies), and of ”LOOP_REATTACH” in [plugins in a debugger](plugins.md#go).

Some contracts' configurations give queries no time. Their feeds would stop without an error, because the leader's
deadline has passed before it asks. That is why the least query time is never zero unless you set it to zero.

## The command line

Every command that speaks to a running node reads these.

`
)

// TestEnvironmentPage holds that docs/environment.md is what the code says of each variable; -update writes it.
func TestEnvironmentPage(t *testing.T) {
	t.Parallel()
	golden(t, "../../../docs/environment.md", strings.ReplaceAll(environmentIntroduction, "”", "`")+
		variables(config.NodeVariables)+strings.ReplaceAll(environmentOfNode, "”", "`")+variables(config.CommandVariables))
}

func variables(all []config.DescribedVariable) string {
	var table strings.Builder
	table.WriteString("| variable | meaning | where it is not set |\n| --- | --- | --- |\n")
	for _, v := range all {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", strings.Join(v.Names, "`, `"), v.Meaning, v.Unset)
	}
	return table.String()
}

// TestEveryVariableIsDescribed holds that the host's code reads each variable that is described, and no other of the
// same prefixes.
func TestEveryVariableIsDescribed(t *testing.T) {
	t.Parallel()
	described := map[string]bool{}
	for _, v := range slices.Concat(config.NodeVariables, config.CommandVariables) {
		for _, name := range v.Names {
			if ours.MatchString(`"` + name + `"`) {
				described[name] = true
			}
		}
	}
	read := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") ||
			filepath.Base(path) == "variables.go" { // which describes them
			return err
		}
		code, err := os.ReadFile(path)
		for _, variable := range ours.FindAllStringSubmatch(string(code), -1) {
			read[variable[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(read, described); d != "" {
		t.Errorf("the variables that are read and those that are described differ (-read +described):\n%s", d)
	}
}

// ours matches the name of a variable of LOOP's own as code has it.
var ours = regexp.MustCompile(`"((?:CL|LOOP)_[A-Z0-9_]*[A-Z0-9])=?"`)

// tables makes a table of each table of a reference. Each key has its comment above it.
func tables(t *testing.T, reference string) string {
	t.Helper()
	types := map[string]string{}
	typesOf(types, "", reflect.TypeFor[config.Config]())
	typesOf(types, "Plugins.<Name>.", reflect.TypeFor[config.PluginRules]())
	var page strings.Builder
	var comment []string
	table, head := "", false
	reference, _, _ = strings.Cut(reference, "\n# Environment variables of the node:")
	for line := range strings.Lines(reference) {
		line = strings.TrimSuffix(line, "\n")
		text, isComment := strings.CutPrefix(line, "# ")
		key, value, isKey := strings.Cut(line, " = ")
		switch {
		case isComment:
			comment = append(comment, text)
			continue
		case strings.HasPrefix(line, "["):
			table, head = strings.Trim(line, "[]"), false
			heading(&page, line, table, comment)
		case isKey:
			if !head {
				page.WriteString("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n")
				head = true
			}
			kind := types[strings.TrimPrefix(table+"."+key, ".")]
			if kind == "" {
				kind = typeOf(t, value)
			}
			fmt.Fprintf(&page, "| `%s` | %s | `%s` | %s |\n", key, kind, strings.ReplaceAll(value, "'", `"`),
				strings.NewReplacer("|", `\|`, "<", `\<`).Replace(strings.Join(comment, " ")))
		case line != "":
			t.Errorf("the reference has a line of no known form: %s", line)
		}
		comment = nil
	}
	return page.String()
}

func heading(page *strings.Builder, line, table string, comment []string) {
	fmt.Fprintf(page, "\n## `%s`\n", line)
	switch {
	case table == "Plugins.<Name>":
		page.WriteString(strings.ReplaceAll(pluginsIntroduction, "”", "`"))
	case strings.HasPrefix(line, "[[") && !strings.Contains(table, "."):
		page.WriteString(chainsIntroduction)
	case len(comment) > 0:
		page.WriteString("\n" + strings.Join(comment, " ") + "\n")
	}
}

// typesOf are the types of the node's own keys by path.
func typesOf(types map[string]string, path string, of reflect.Type) {
	for field := range of.Fields() {
		if field.Tag.Get("toml") == "-" || !field.IsExported() {
			continue
		}
		var kind string
		inner := field.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		_, isText := reflect.New(inner).Interface().(interface{ UnmarshalText([]byte) error })
		_, isDuration := reflect.New(inner).Elem().Interface().(interface{ Nanoseconds() int64 })
		switch {
		case isDuration:
			kind = "duration"
		case isText || inner.Kind() == reflect.String:
			kind = "string"
		case inner.Kind() == reflect.Bool:
			kind = "boolean"
		case inner.Kind() == reflect.Struct:
			typesOf(types, path+field.Name+".", inner)
			continue
		default:
			kind = "integer"
		}
		if field.Type.Kind() == reflect.Slice {
			kind = "list of " + kind + "s"
		}
		types[path+field.Name] = kind
	}
}

// typeOf is the type of a relayer's key, which tells of it by an example alone.
func typeOf(t *testing.T, value string) string {
	t.Helper()
	text := strings.Trim(value, "'")
	number := strings.SplitN(text, " ", 2)
	_, notDuration := time.ParseDuration(text)
	_, notInteger := strconv.ParseInt(value, 10, 64)
	_, notNumber := strconv.ParseFloat(value, 64)
	switch {
	case value == "true" || value == "false":
		return "boolean"
	case strings.HasPrefix(value, "["):
		return "list of strings"
	case notInteger == nil:
		return "integer"
	case notNumber == nil:
		return "number"
	case text == value:
		t.Errorf("a reference has the value %s, whose type is not known", value)
		return ""
	case notDuration == nil && text != "0":
		return "duration"
	case len(number) == 2 && strings.HasSuffix(text, "wei"):
		return "price"
	}
	return "string"
}
