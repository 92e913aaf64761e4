package node

import (
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// config is a node's configuration file. Strings are quoted as TOML wants it by the function printf "%q", which
// suffices for paths and URLs. Nodes on hosts of their own meet one another as real ones do, by the defaults.
const config = `RootDir = {{printf "%q" .RootDir}}

[Log]
Level = "{{if .Debug}}debug{{else}}info{{end}}"
Format = "text"

[Keystore]
PasswordFile = {{printf "%q" .PasswordFile}}

[WebServer]
ListenIP = "127.0.0.1"
HTTPPort = {{.HTTPPort}}

[P2P.V2]
ListenAddresses = [{{printf "%q" .P2PAddress}}]
{{if not .Host -}}
DeltaDial = "500ms"
DeltaReconcile = "1s"
{{end}}
[OCR2]
ContractPollInterval = "1s"
ContractConfirmations = 1
BlockchainTimeout = "5s"
DatabaseTimeout = "5s"

{{if eq .Chain.Kind "solana" -}}
[[{{.Chain.Section}}]]
ChainID = {{printf "%q" .Chain.ID}}

[[{{.Chain.Section}}.Nodes]]
Name = "devnet"
URL = {{printf "%q" .Chain.HTTPURL}}
WSURL = {{printf "%q" .Chain.WSURL}}
{{else if eq .Chain.Kind "starknet" -}}
[[{{.Chain.Section}}]]
ChainID = {{printf "%q" .Chain.ID}}
OCR2CachePollPeriod = "500ms"
ConfirmationPoll = "1s"

[[{{.Chain.Section}}.Nodes]]
Name = "devnet"
URL = {{printf "%q" .Chain.HTTPURL}}
{{else -}}
[[{{.Chain.Section}}]]
ChainID = {{printf "%q" .Chain.ID}}
{{- with .Chain.FinalityDepth}}
FinalityDepth = {{.}}
{{- end}}

[[{{.Chain.Section}}.Nodes]]
Name = "devnet"
{{- with .Chain.WSURL}}
WSURL = {{printf "%q" .}}
{{- end}}
{{- with .Chain.HTTPURL}}
HTTPURL = {{printf "%q" .}}
{{- end}}
{{end -}}
`

// writeFolder makes a node's folder with its configuration and its password, and returns the configuration's file.
func writeFolder(settings Settings) (string, error) {
	if err := os.MkdirAll(rootDir(settings), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(passwordFile(settings), []byte(password()+"\n"), 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(settings.Dir, "config.toml")
	return file, writeConfig(settings, file)
}

func writeConfig(settings Settings, file string) error {
	parsed, err := template.New("config").Parse(config)
	if err != nil {
		return err
	}
	var text strings.Builder
	err = parsed.Execute(&text, struct {
		Settings
		RootDir, PasswordFile, P2PAddress string
	}{settings, rootDir(settings), passwordFile(settings), settings.p2pAddress()})
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}

func rootDir(settings Settings) string { return filepath.Join(settings.Dir, "root") }

func passwordFile(settings Settings) string { return filepath.Join(settings.Dir, "password") }
