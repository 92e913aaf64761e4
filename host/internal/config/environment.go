package config

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/loop-plugins/loop/sdk/go/document"
)

// Environment is the part of the configuration that comes from environment variables.
type Environment struct {
	// ConfigPath is the configuration file, from the command line or CL_CONFIG.
	ConfigPath string
	// MinOCR2MaxDurationQuery is CL_MIN_OCR2_MAX_DURATION_QUERY, 100ms if unset, and applies to every relay. Otherwise
	// a contract that gives queries no time would stop its feed without an error.
	MinOCR2MaxDurationQuery time.Duration
	// DiscoveryHostname is CL_PROMETHEUS_DISCOVERY_HOSTNAME; empty means the name in the request for /discovery.
	DiscoveryHostname string
	// Plugins are the plugins that a variable or the file mentions, by name in lower case: CL_<NAME>_CMD,
	// CL_<NAME>_ENV, CL_<NAME>_SHA256, LOOP_REATTACH and [Plugins.<Name>].
	Plugins map[string]Plugin
}

// networkVariables are the variables that Go's packages, and so most programs, read to reach servers by TLS and through
// proxies. A relayer inside the node has them, so a relayer's process keeps them. Products reach only the node and get
// none of them: proxies' addresses hold passwords.
var networkVariables = []string{
	"SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy",
}

// Variable is one line of a plugin's environment file.
type Variable struct {
	Name  string
	Value document.Secret
}

// defaultMinQuery is the established nodes' value of CL_MIN_OCR2_MAX_DURATION_QUERY.
const defaultMinQuery = 100 * time.Millisecond

// variables are an environment by name. If a name occurs twice, the first counts, as for os.Getenv.
func variables(environ []string) map[string]string {
	all := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if _, ok := all[name]; !ok {
			all[name] = value
		}
	}
	return all
}

func readEnvironment(p *problems, all map[string]string, builtIn []string) Environment {
	environment := Environment{
		ConfigPath:              all["CL_CONFIG"],
		MinOCR2MaxDurationQuery: defaultMinQuery,
		DiscoveryHostname:       all["CL_PROMETHEUS_DISCOVERY_HOSTNAME"],
		Plugins:                 map[string]Plugin{},
	}
	const query = "CL_MIN_OCR2_MAX_DURATION_QUERY"
	if text := all[query]; text != "" {
		switch parsed, err := time.ParseDuration(text); {
		case err != nil:
			p.addAt(query, 0, "%q is not a duration; write a number with a unit, such as 100ms", text)
		case parsed < 0:
			p.addAt(query, 0, "%s is negative; write a duration such as 100ms", text)
		default:
			environment.MinOCR2MaxDurationQuery = parsed
		}
	}
	readReattach(p, all["LOOP_REATTACH"], environment.Plugins)
	for _, variable := range slices.Sorted(maps.Keys(all)) {
		if all[variable] != "" {
			readPlugin(p, variable, all[variable], environment.Plugins)
		}
	}
	network := networkOf(all)
	for name, plugin := range environment.Plugins {
		plugin.network = network
		environment.Plugins[name] = plugin
		checkInside(p, all, name, plugin, slices.Contains(builtIn, name))
	}
	return environment
}

// networkOf are the node's variables for networks.
func networkOf(all map[string]string) []Variable {
	var network []Variable
	for _, name := range networkVariables {
		if value := all[name]; value != "" {
			network = append(network, Variable{Name: name, Value: document.NewSecret(value)})
		}
	}
	return network
}

// checkInside finds variables that have no effect because their plugin has no process.
func checkInside(p *problems, all map[string]string, name string, plugin Plugin, builtIn bool) {
	command, environment, sum := commandVariable(name), pluginPrefix(name)+"_ENV", pluginPrefix(name)+"_SHA256"
	if !plugin.InProcess() || strings.TrimSpace(all[command]) != "" {
		return // what is wrong with a command is told
	}
	for _, variable := range []string{environment, sum} {
		if all[variable] != "" && !builtIn {
			p.addAt(variable, 0, "this node has no plugin of this name; set %s to its command", command)
		}
	}
	if builtIn && len(plugin.Rules.SHA256.Sums) > 0 {
		p.addAt(sum, 0, pinInside, command)
	}
}

// pluginPrefix is the prefix of a plugin's variables.
func pluginPrefix(name string) string { return "CL_" + strings.ToUpper(name) }

// commandVariable is the variable that holds a plugin's command.
func commandVariable(name string) string { return pluginPrefix(name) + "_CMD" }

var (
	pluginVariable = regexp.MustCompile(`^CL_(.+)_(CMD|ENV|SHA256)$`)
	pluginName     = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
)

// readPlugin reads a variable that is not empty, if it is one of a plugin's.
func readPlugin(p *problems, variable, value string, plugins map[string]Plugin) {
	parts := pluginVariable.FindStringSubmatch(variable)
	if parts == nil {
		return
	}
	name := strings.ToLower(parts[1])
	if strings.ToUpper(name) != parts[1] || !pluginName.MatchString(name) {
		p.addAt(variable,
			0, "%q is not a plugin's name as variables have it, which is a capital letter, then capital letters and digits",
			parts[1])
		return
	}
	plugin := plugins[name]
	switch parts[2] {
	case "CMD":
		words, err := splitWords(value)
		if err != nil {
			p.addAt(variable, 0, "%v", err)
		}
		plugin.Command = words
	case "SHA256":
		_ = plugin.Rules.SHA256.UnmarshalText([]byte(value)) // a bad text is kept
		if fault := plugin.Rules.SHA256.Fault(); fault != "" {
			p.addAt(variable, 0, "%s", fault)
		}
	case "ENV":
		plugin.VariablesFile, plugin.Variables = value, readVariables(p, variable, value)
	}
	plugins[name] = plugin
}

// readReattach reads NAME=FILE pairs with commas between.
func readReattach(p *problems, text string, plugins map[string]Plugin) {
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, file, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if pluginName.MatchString(name) && file != "" {
			plugins[name] = Plugin{Attach: file}
			continue
		}
		p.addAt("LOOP_REATTACH",
			0,
			"%q is not NAME=FILE with a plugin's name in small letters and the file that the plugin named when it was started "+
				"with --debug", pair)
	}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// readVariables reads lines KEY=VALUE. Empty lines and lines that begin with # are skipped, an "export " before the key
// and one pair of quotes around the value are removed, and nothing is expanded. Errors never show what a line holds.
func readVariables(p *problems, source, file string) []Variable {
	content, err := readFile(file)
	if err != nil {
		p.addAt(source, 0, "reading the plugin's environment: %v", err)
		return nil
	}
	var variables []Variable
	lines := map[string]int{}
	for at, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !found:
			p.addAt(file, at+1, "this line of the file that %s names is not of the form KEY=VALUE", source)
		case !variableName.MatchString(name):
			p.addAt(file, at+1, "the key on this line of the file that %s names is not a variable's name", source)
		case strings.ContainsRune(value, 0):
			p.addAt(file, at+1, "the value of %s holds a zero byte", name)
		case lines[name] > 0:
			p.addAt(file, at+1, "%s is set on line %d already", name, lines[name])
		default:
			if len(value) > 1 && value[0] == value[len(value)-1] && (value[0] == '"' || value[0] == '\'') {
				value = value[1 : len(value)-1]
			}
			lines[name] = at + 1
			variables = append(variables, Variable{Name: name, Value: document.NewSecret(value)})
		}
	}
	return variables
}

// splitWords splits a command into words as a POSIX shell does: blanks separate, single quotes keep everything, double
// quotes keep everything but \" \\ \$ and \`, and elsewhere a backslash keeps the next character. Nothing is expanded:
// a dollar sign is a dollar sign.
func splitWords(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	escaped := false
	for _, c := range command {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", c) {
				word.WriteByte('\\')
			}
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, inWord = c, true
		case strings.ContainsRune(" \t\r\n", c):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	switch {
	case quote != 0:
		return nil, errors.New("a quote in the command is not closed")
	case escaped:
		return nil, errors.New("the command ends in a backslash")
	case inWord:
		words = append(words, word.String())
	}
	if len(words) > 0 && words[0] == "" {
		return nil, errors.New("the command's first word, the program, is empty")
	}
	return words, nil
}
