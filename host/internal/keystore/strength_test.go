package keystore

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/database"
)

func TestPasswordsThatAreTooWeak(t *testing.T) {
	t.Parallel()
	for text, part := range map[string]string{
		"":                                 "the password is empty",
		"hunter2":                          "it has 7 characters, and 16 are the least",
		"correct horse b":                  "it has 15 characters",
		"ααααααααααααααα":                  "it has 15 characters",
		"aaaaaaaaaaaaaaaaaaaaaaaa":         "a short text that repeats",
		"tr0ub4tr0ub4tr0ub4tr":             "a short text that repeats",
		"aabbaaabbbaabababbbaabb":          "fewer than 5",
		"abcdefghijklmnopqrstuvwxyz":       "words, rows of keys and numbers",
		"zyxwvutsrqponmlkji":               "words, rows of keys and numbers",
		"1234567890123456":                 "words, rows of keys and numbers",
		"98765432109876543":                "words, rows of keys and numbers",
		"qwertyuiopasdfghjkl":              "words, rows of keys and numbers",
		"1qaz2wsx3edc4rfv":                 "words, rows of keys and numbers",
		"PasswordPassword1!":               "words, rows of keys and numbers",
		"chainlink-oracle-admin-password1": "words, rows of keys and numbers",
		"changeme-changeme":                "words, rows of keys and numbers",
	} {
		err := NewPassword(text).weakness()
		wantError(t, err, ErrInvalid, part)
		if text != "" && err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("the error has the password: %v", err)
		}
	}
	for _, text := range []string{
		"correct horse battery staple", "T.tLHkcmwePT/p,]sYuntjwHKAsrhm#4", "0123456789abcdef-tide-lorry", "4815162342108-93",
		"ключ от всех дверей",
	} {
		if err := NewPassword(text).weakness(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What generators make is not refused.
func TestRandomPasswordsAreStrong(t *testing.T) {
	t.Parallel()
	for range 1000 {
		for _, text := range []string{rand.Text(), hex.EncodeToString(randomBytes(16)),
			base64.StdEncoding.EncodeToString(randomBytes(12))} {
			if err := NewPassword(text).weakness(); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
	}
}

// A store that was made under a weak password goes on opening, and a new one is not made under it. Nobody exports a key
// under one.
func TestWeakPasswords(t *testing.T) {
	t.Parallel()
	store := &memory{}
	settings := testSettings(store)
	settings.Password = NewPassword("hunter2")
	_, err := Open(t.Context(), settings)
	wantError(t, err, ErrInvalid,
		"open keystore: the password is too weak to protect keys: it has 7 characters, and 16 are the least; ",
		"openssl rand -base64 24")
	if len(store.rows) != 0 {
		t.Error("it is made all the same")
	}
	sealed, _, err := sealMaster([]byte("hunter2"), cheap())
	if err != nil {
		t.Fatal(err)
	}
	store.rows = []database.Key{{Kind: kindMaster, ID: masterIdentity().id, Sealed: sealed}}
	settings.Password = NewPassword("hunter2")
	k, err := Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := k.CreateP2P(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Export(KindP2P, peer.ID(), NewPassword("hunter2"), testRelays())
	wantError(t, err, ErrInvalid, "it has 7 characters")
}

// Open leaves nothing of the password where its caller had it.
func TestOpenClearsThePassword(t *testing.T) {
	t.Parallel()
	store := &memory{}
	for range 2 { // as it makes the store, and as it opens it
		text := []byte(testPassword)
		settings := testSettings(store)
		settings.Password = NewPassword(text)
		if _, err := Open(t.Context(), settings); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, make([]byte, len(text))) {
			t.Errorf("%q is left", text)
		}
	}
}

func TestTextsOfRows(t *testing.T) {
	t.Parallel()
	k, other := testOpen(t, &memory{}), testOpen(t, &memory{})
	sealed := k.Seal("bridges", "prices", []byte("s3cr3t"))
	if text, err := k.Unseal("bridges", "prices", sealed); err != nil || string(text) != "s3cr3t" {
		t.Errorf("%q, %v", text, err)
	}
	if bytes.Contains(sealed, []byte("s3cr3t")) || bytes.Equal(sealed, k.Seal("bridges", "prices", []byte("s3cr3t"))) {
		t.Errorf("%q is not sealed", sealed)
	}
	for name, unseal := range map[string]func() ([]byte, error){
		"another row":      func() ([]byte, error) { return k.Unseal("bridges", "gas", sealed) },
		"another table":    func() ([]byte, error) { return k.Unseal("jobs", "prices", sealed) },
		"another keystore": func() ([]byte, error) { return other.Unseal("bridges", "prices", sealed) },
		"altered": func() ([]byte, error) {
			return k.Unseal("bridges", "prices", append(sealed[:len(sealed):len(sealed)], 0))
		},
		"cut": func() ([]byte, error) { return k.Unseal("bridges", "prices", sealed[:4]) },
	} {
		if text, err := unseal(); !errors.Is(err, errSealed) || text != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
