package document_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/sdk/go/document"
)

func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	secret := document.NewSecret("hunter2")
	hidden := struct{ inner document.Secret }{secret}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T", "%U"} {
		for _, value := range []any{secret, &secret, []document.Secret{secret}, hidden, &hidden, node{URL: secret}} {
			fmt.Fprintf(&shown, verb+"\n", value)
		}
	}
	encoded, err := json.Marshal(node{URL: secret})
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(encoded)
	encoded, err = toml.Marshal(node{URL: secret})
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(encoded)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(handler).Info("x", "secret", secret, "pointer", &secret, "node", node{URL: secret}, "hidden", hidden)
	}
	text := shown.String()
	if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("the secret is shown:\n%s", text)
	}
	if !strings.Contains(text, "[redacted]") {
		t.Error("nothing says that something was hidden")
	}
	if secret.Reveal() != "hunter2" {
		t.Error("the secret is lost")
	}
	written, err := document.Write(node{Name: "a", URL: document.Example("http://127.0.0.1:1"), Key: secret})
	if err != nil || written != "Name = 'a'\n# Where the node is.\nURL = 'http://127.0.0.1:1'\nKey = '[redacted]'\n" {
		t.Errorf("an example and a secret are written as %q, %v", written, err)
	}
}
