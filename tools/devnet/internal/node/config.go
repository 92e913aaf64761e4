package node

import (
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// config is a node's configuration file. Strings are quoted as TOML wants it by the function printf "%q", which suffices for
// paths and URLs.
const config = `RootDir = {{printf "%q" .RootDir}}

[Log]
Level = "info"
Format = "text"

[Keystore]
PasswordFile = {{printf "%q" .PasswordFile}}

[WebServer]
ListenIP = "127.0.0.1"
HTTPPort = {{.HTTPPort}}

[P2P.V2]
ListenAddresses = ["127.0.0.1:{{.P2PPort}}"]
DeltaDial = "500ms"
DeltaReconcile = "1s"

[OCR2]
ContractPollInterval = "1s"
ContractConfirmations = 1
BlockchainTimeout = "5s"
DatabaseTimeout = "5s"

{{if eq .Chain.Kind "solana" -}}
[[Solana]]
ChainID = {{printf "%q" .Chain.ID}}

[[Solana.Nodes]]
Name = "devnet"
URL = {{printf "%q" .Chain.HTTPURL}}
WSURL = {{printf "%q" .Chain.WSURL}}
{{else if eq .Chain.Kind "starknet" -}}
[[Starknet]]
ChainID = {{printf "%q" .Chain.ID}}
OCR2CachePollPeriod = "500ms"
ConfirmationPoll = "1s"

[[Starknet.Nodes]]
Name = "devnet"
URL = {{printf "%q" .Chain.HTTPURL}}
{{else -}}
[[EVM]]
ChainID = {{printf "%q" .Chain.ID}}

[[EVM.Nodes]]
Name = "devnet"
WSURL = {{printf "%q" .Chain.WSURL}}
HTTPURL = {{printf "%q" .Chain.HTTPURL}}
{{end -}}
`

// writeFolder makes a node's folder with its configuration and its password, and returns the configuration's file.
func writeFolder(settings Settings) (string, error) {
	root := filepath.Join(settings.Dir, "root")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	passwordFile := filepath.Join(settings.Dir, "password")
	if err := os.WriteFile(passwordFile, []byte(password()+"\n"), 0o600); err != nil {
		return "", err
	}
	parsed, err := template.New("config").Parse(config)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = parsed.Execute(&text, struct {
		Settings
		RootDir, PasswordFile string
	}{settings, root, passwordFile})
	if err != nil {
		return "", err
	}
	file := filepath.Join(settings.Dir, "config.toml")
	return file, os.WriteFile(file, []byte(text.String()), 0o600)
}
