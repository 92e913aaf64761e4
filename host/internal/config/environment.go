package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Environment is what the node takes from environment variables.
type Environment struct {
	// ConfigPath is CL_CONFIG: the configuration file to read when the command line names none.
	ConfigPath string
	// KeystorePassword is CL_PASSWORD_KEYSTORE.
	KeystorePassword Secret
	// MinOCR2MaxDurationQuery is CL_MIN_OCR2_MAX_DURATION_QUERY, 100ms if unset, and holds for every relay. A contract
	// configured with no time for queries would otherwise stop its feed without an error.
	MinOCR2MaxDurationQuery time.Duration
	// DiscoveryHostname is CL_PROMETHEUS_DISCOVERY_HOSTNAME; empty means the host's own name.
	DiscoveryHostname string
	// Median, EVM, Solana and Starknet are CL_<NAME>_CMD and CL_<NAME>_ENV.
	Median, EVM, Solana, Starknet Plugin
}

// Plugin is how one kind of plugin is run.
type Plugin struct {
	// Command is the program and its arguments; empty means in-process, unless Attach is set.
	Command []string
	// Attach is the file of a process to attach to in place of starting one; it goes before Command.
	Attach string
	// Variables are the whole environment of the plugin: its file's and, for a relayer, those of the node's that say whom to trust and
	// how to get out.
	Variables []Variable
	// Rules are the file's, [Plugins.Median] and its like, with the checksums of CL_<NAME>_SHA256 in place of theirs.
	Rules PluginRules
}

// InProcess reports whether the plugin has no process of its own.
func (p Plugin) InProcess() bool { return len(p.Command) == 0 && p.Attach == "" }

// Environ returns the variables in the form of os.Environ, values in full: never log it.
func (p Plugin) Environ() []string {
	list := make([]string, len(p.Variables))
	for at, variable := range p.Variables {
		list[at] = variable.Name + "=" + variable.Value.Reveal()
	}
	return list
}

// networkVariables are what Go's packages, and with them most programs, read to reach servers by TLS and through proxies. Relayers
// would have them inside the node and keep them as processes. Products reach nothing but the node and get none: proxies' addresses
// hold passwords.
var networkVariables = []string{
	"SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy",
}

// inherit adds the node's variables for networks to those of a relayer's file, which win in either case of letters: programs differ
// in which they read first.
func (p *Plugin) inherit(lookup func(string) (string, bool)) {
	own := p.Variables
	for _, name := range networkVariables {
		value, _ := lookup(name)
		if value == "" || slices.ContainsFunc(own, func(v Variable) bool { return strings.EqualFold(v.Name, name) }) {
			continue
		}
		p.Variables = append(p.Variables, Variable{Name: name, Value: NewSecret(value)})
	}
}

// Variable is one line of a plugin's environment file.
type Variable struct {
	Name  string
	Value Secret
}

// defaultMinQuery is the established nodes' value of CL_MIN_OCR2_MAX_DURATION_QUERY.
const defaultMinQuery = 100 * time.Millisecond

const environmentReference = `
# Environment variables:
#   CL_CONFIG                         this file, when the command line names none
#   CL_PASSWORD_KEYSTORE              password of the node's keys, in place of Keystore.PasswordFile
#   CL_MEDIAN_CMD, CL_EVM_CMD,        command of a plugin, split into words as a shell does (quotes, no expansion);
#   CL_SOLANA_CMD, CL_STARKNET_CMD    unset or empty runs the plugin inside the node
#   CL_MEDIAN_SHA256 and so on        checksums of the command's files, in place of Plugins.<Kind>.SHA256
#   CL_MEDIAN_ENV, CL_EVM_ENV,        file with the plugin's environment, a line KEY=VALUE for each variable;
#   CL_SOLANA_ENV, CL_STARKNET_ENV    plugins inherit nothing from the node, except that relayers inherit:
#   SSL_CERT_FILE, SSL_CERT_DIR       file and folders of the authorities that TLS trusts, in place of the machine's
#   HTTPS_PROXY, HTTP_PROXY, NO_PROXY proxies, and the hosts that need none; in small letters too
#   LOOP_REATTACH                     NAME=FILE,… attaches to plugins that were started with --debug, in place of their commands
#   CL_MIN_OCR2_MAX_DURATION_QUERY    least time that libocr gives queries, for every relay; default 100ms
#   CL_PROMETHEUS_DISCOVERY_HOSTNAME  host name in /discovery; default: the machine's
#   LOOP_NODE_SOCKET, LOOP_NODE_URL,  how the command line reaches a node, in place of the socket of this file
#   LOOP_NODE_TOKEN, LOOP_NODE_TOKEN_FILE
`

func readEnvironment(p *problems, lookup func(string) (string, bool)) Environment {
	value := func(name string) string { text, _ := lookup(name); return text }
	environment := Environment{
		ConfigPath:              value("CL_CONFIG"),
		KeystorePassword:        NewSecret(value("CL_PASSWORD_KEYSTORE")),
		MinOCR2MaxDurationQuery: defaultMinQuery,
		DiscoveryHostname:       value("CL_PROMETHEUS_DISCOVERY_HOSTNAME"),
	}
	const query = "CL_MIN_OCR2_MAX_DURATION_QUERY"
	if text := value(query); text != "" {
		switch parsed, err := time.ParseDuration(text); {
		case err != nil:
			p.addAt(query, 0, "%q is not a duration; write a number with a unit, such as 100ms", text)
		case parsed < 0:
			p.addAt(query, 0, "%s is negative; write a duration such as 100ms", text)
		default:
			environment.MinOCR2MaxDurationQuery = parsed
		}
	}
	for name, plugin := range map[string]*Plugin{
		"MEDIAN": &environment.Median, "EVM": &environment.EVM, "SOLANA": &environment.Solana, "STARKNET": &environment.Starknet,
	} {
		words, err := splitWords(value("CL_" + name + "_CMD"))
		if err != nil {
			p.addAt("CL_"+name+"_CMD", 0, "%v", err)
		}
		plugin.Command = words
		pin := &plugin.Rules.SHA256
		_ = pin.UnmarshalText([]byte(value("CL_" + name + "_SHA256"))) // a bad text is kept and told
		switch {
		case pin.bad != "":
			p.addAt("CL_"+name+"_SHA256", 0, badPin, pin.bad)
		case len(pin.Sums) > 0 && len(words) == 0 && value("LOOP_REATTACH") == "":
			p.addAt("CL_"+name+"_SHA256", 0, pinInside, "CL_"+name+"_CMD")
		}
		if file := value("CL_" + name + "_ENV"); file != "" {
			plugin.Variables = readVariables(p, "CL_"+name+"_ENV", file)
		}
		if name != "MEDIAN" {
			plugin.inherit(lookup)
		}
	}
	readReattach(p, value("LOOP_REATTACH"), &environment)
	return environment
}

// readReattach reads NAME=FILE pairs with commas between.
func readReattach(p *problems, text string, environment *Environment) {
	plugins := map[string]*Plugin{"median": &environment.Median, "evm": &environment.EVM, "solana": &environment.Solana, "starknet": &environment.Starknet}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, file, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if plugin := plugins[name]; plugin != nil && file != "" {
			plugin.Attach = file
			continue
		}
		p.addAt("LOOP_REATTACH", 0, "%q is not NAME=FILE with a name of median, evm, solana and starknet, and the file that the plugin named when it was started with --debug", pair)
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
			variables = append(variables, Variable{Name: name, Value: NewSecret(value)})
		}
	}
	return variables
}

// splitWords splits a command into words as a POSIX shell does: blanks separate, single quotes keep everything, double
// quotes keep everything but \" \\ \$ and \`, and elsewhere a backslash keeps the next character. Nothing is expanded: a
// dollar sign is a dollar sign.
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
