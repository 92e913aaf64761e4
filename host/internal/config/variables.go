package config

import "strings"

// DescribedVariable says of environment variables that go together what they are for.
type DescribedVariable struct {
	Names []string
	// Meaning and Unset, which is what holds where they are not set, have code in backquotes.
	Meaning, Unset string
}

// NodeVariables are what a node reads. <NAME> stands for a plugin's name in capital letters and digits.
var NodeVariables = []DescribedVariable{
	{[]string{"CL_CONFIG"}, "the configuration file, where the command line names none", "every key has its default"},
	{[]string{"CL_PASSWORD_KEYSTORE"},
		"the password of the node's keys; it takes precedence over `[Keystore] PasswordFile`",
		"`PasswordFile` is required"},
	{[]string{"CL_<NAME>_CMD"}, "the command of a plugin. The name is in capital letters and digits: `CL_ACME_CMD` for " +
		"the plugin acme. The command is split into words as a shell does, without expansion",
		"a plugin that is built in runs inside the node, as with an empty value"},
	{[]string{"CL_<NAME>_SHA256"}, "the checksums of the plugin's program and of the other files of its command; they " +
		"take precedence over `[Plugins.<Name>] SHA256`", "any program"},
	{[]string{"CL_<NAME>_ENV"}, "a file of lines `KEY=VALUE`. They are the whole environment of that plugin besides " +
		"PATH and TMPDIR and, for relayers, the variables of authorities and proxies", "nothing more"},
	{[]string{"SSL_CERT_FILE", "SSL_CERT_DIR"},
		"the certificate authorities that TLS trusts in place of the machine's: a file, and folders", "the machine's"},
	{[]string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"},
		"proxies, and the hosts that are reached without one; lower-case names work too", "no proxy"},
	{[]string{"LOOP_REATTACH"}, "`NAME=FILE`, several separated by commas: plugins that were started with `--debug` and " +
		"that the node calls in place of its own. Never set it in production", "the node starts all its plugins"},
	{[]string{"CL_MIN_OCR2_MAX_DURATION_QUERY"},
		"the least time for OCR2's query, a Go duration, for every relay", defaultMinQuery.String()},
	{[]string{"CL_PROMETHEUS_DISCOVERY_HOSTNAME"}, "the host under which Prometheus finds the node",
		"the host by which `/discovery` is asked"},
}

// CommandVariables are what every command reads that speaks to a running node.
var CommandVariables = []DescribedVariable{
	{[]string{"LOOP_NODE_SOCKET"}, "the node's unix socket; `--socket` takes precedence",
		"the socket that the file in `CL_CONFIG` names, else `loop.sock` in the default RootDir"},
	{[]string{"LOOP_NODE_URL"}, "the node's address in place of a socket, such as http://127.0.0.1:6688; `--url` takes " +
		"precedence. Without a token, `loop` asks an address on this machine for its socket", "the socket"},
	{[]string{"LOOP_NODE_TOKEN", "LOOP_NODE_TOKEN_FILE"},
		"the token for that address, or a file that holds it; `--token-file` takes precedence over both", "no token"},
}

// referenceOf is the part of the reference configuration about variables, in comments.
func referenceOf(all []DescribedVariable) string {
	var text strings.Builder
	for _, v := range all {
		text.WriteString("#   " + strings.Join(v.Names, ", ") + "\n")
		column := 0
		for _, word := range strings.Fields(strings.ReplaceAll(v.Meaning+". Unset: "+v.Unset, "`", "")) {
			if column == 0 || column+1+len(word) > referenceWidth {
				if column > 0 {
					text.WriteString("\n")
				}
				text.WriteString("#      ")
				column = len("#      ")
			}
			text.WriteString(" " + word)
			column += 1 + len(word)
		}
		text.WriteString("\n")
	}
	return text.String()
}

// referenceWidth is how many columns a line about a variable has at most.
const referenceWidth = 100
