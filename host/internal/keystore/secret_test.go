package keystore

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// secretsOf is every secret of a keystore in the forms in which they could show.
func secretsOf(k *Keystore) []string {
	var secrets [][]byte
	for _, key := range k.P2PKeys() {
		secrets = append(secrets, key.private().Seed())
	}
	for _, relay := range []string{relaySecp256k1, relayEd25519, relayStark} {
		for _, bundle := range k.Bundles(relay) {
			secrets = append(secrets, bundle.offchain.signing().Seed(), bundle.offchain.encryption().Bytes(),
				bundle.report.private.secret())
		}
		for _, name := range k.Accounts(relay) {
			account, err := k.Signer(relay, name)
			if err != nil {
				panic(err)
			}
			secrets = append(secrets, account.private.secret())
		}
	}
	var forms []string
	for _, secret := range secrets {
		half := secret[8:24]
		forms = append(forms,
			string(half),
			hex.EncodeToString(half), strings.ToUpper(hex.EncodeToString(half)),
			base64.StdEncoding.EncodeToString(secret),
			strings.Trim(fmt.Sprint(half), "[]"),
			fmt.Sprintf("%#v", half)[len("[]byte{"):20],
		)
	}
	return forms
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	k := testOpen(t, &memory{})
	if err := k.EnsureDefaults(t.Context(), wantedSecp256k1(), wantedEd25519(), wantedStark()); err != nil {
		t.Fatal(err)
	}
	peer, bundle := k.P2PKeys()[0], k.Bundles(relaySecp256k1)[0]
	account, err := k.Signer(relaySecp256k1, k.Accounts(relaySecp256k1)[0])
	if err != nil {
		t.Fatal(err)
	}
	report, secp := bundle.Report(), account.private.(*secp256k1)
	ed := testAccount(t, wantedEd25519(), rfc8032Seed).private.(*ed25519Key)
	st := testAccount(t, wantedStark(), starkSecret).private.(*starkKey)
	password := NewPassword(testPassword)
	secrets := append(secretsOf(k), testPassword, hex.EncodeToString([]byte(testPassword)))
	values := map[string]any{
		"keystore": k,
		"peer":     peer, "peer value": *peer,
		"bundle": bundle, "bundle value": *bundle,
		"offchain": bundle.Offchain(), "offchain value": *bundle.Offchain(),
		"report": report, "report value": *report,
		"account": account, "account value": *account,
		"secp256k1": secp, "secp256k1 value": *secp, "Ed25519": ed, "Ed25519 value": *ed, "STARK": st, "STARK value": *st,
		"password": password,
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for verb := '!'; verb <= '~'; verb++ {
				if verb == '%' || verb == '*' || verb == '.' || verb == '[' || verb == ' ' || verb == '+' || verb == '-' ||
					verb == '#' || (verb >= '0' && verb <= '9') {
					continue // no verbs
				}
				for _, flags := range []string{"", "+", "#", "-", " ", "080", "+#", ".80"} {
					text := fmt.Sprintf("%"+flags+string(verb), value)
					switch {
					case verb == 'T', verb == 'p', verb == 'w': // fmt asks nobody: the type, the address, no verb here
						notSecret(t, text, secrets)
					case text != redactedText:
						t.Errorf("%%%s%c prints %q", flags, verb, text)
					}
				}
			}
			encoded, err := json.Marshal(value)
			if err != nil || string(encoded) != `"[redacted]"` {
				t.Errorf("JSON %s, %v", encoded, err)
			}
			if text := fmt.Sprint(value); text != redactedText {
				t.Errorf("Sprint gives %q", text)
			}
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value, "group",
				slog.GroupValue(slog.Any("inner", value)))
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
			notSecret(t, log.String(), secrets)

			// Inside others, also where fmt may not call methods.
			type holder struct {
				Shown  any
				hidden any
			}
			for _, nested := range []any{holder{value, value}, &holder{value, value}, []any{value}, map[string]any{"a": value}} {
				for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
					notSecret(t, fmt.Sprintf(format, nested), secrets)
				}
			}
		})
	}
	type holder struct {
		peer     P2PKey
		bundle   OCR2Bundle
		offchain OffchainKeyring
		account  Account
		password Password
		settings Settings
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		nested := holder{*peer, *bundle, *bundle.Offchain(), *account, password, testSettings(nil)}
		notSecret(t, fmt.Sprintf(format, nested), secrets)
	}
}

func notSecret(t *testing.T, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("prints the secret %.4s… in %q", secret, text)
		}
	}
}
