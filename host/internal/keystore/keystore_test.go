package keystore

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/loop-plugins/loop/host/internal/database"
)

// memory is a Store without a disk.
type memory struct {
	mutex sync.Mutex
	rows  []database.Key
	fail  error
	// adding, when set, runs at the start of each AddKeys.
	adding func()
}

func (m *memory) Keys(context.Context) ([]database.Key, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.rows), m.fail
}

func (m *memory) AddKeys(_ context.Context, keys ...database.Key) error {
	if m.adding != nil {
		m.adding()
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, key := range keys {
		if slices.ContainsFunc(m.rows, func(row database.Key) bool { return row.Kind == key.Kind && row.ID == key.ID }) {
			return database.ErrExists
		}
	}
	if m.fail == nil {
		m.rows = append(m.rows, keys...)
	}
	return m.fail
}

const testPassword = "correct horse battery staple"

// cheap is no protection, and quick.
func cheap() Scrypt { return Scrypt{N: 2, R: 1, P: 1} }

func testSettings(store Store) Settings {
	return Settings{Store: store, Password: NewPassword(testPassword), Scrypt: cheap(), Before: before}
}

func testOpen(t testing.TB, store Store) *Keystore {
	t.Helper()
	k, err := Open(t.Context(), testSettings(store))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantError(t *testing.T, err, target error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error %q is not %q", err, target)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestEnsureDefaults(t *testing.T) {
	t.Parallel()
	store := &memory{}
	k := testOpen(t, store)
	// A second call comes while the first is writing its first key. If it is let
	// in it is waited for, and both make every key.
	second := make(chan error, 1)
	var once sync.Once
	store.adding = func() {
		once.Do(func() {
			done := make(chan struct{})
			go func() {
				second <- k.EnsureDefaults(t.Context(), wantedSecp256k1())
				close(done)
			}()
			select {
			case <-done:
			case <-time.After(50 * time.Millisecond):
			}
		})
	}
	if err := k.EnsureDefaults(t.Context(), wantedSecp256k1()); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, description := range k.List() {
		kinds = append(kinds, description.Kind+"/"+description.Relay)
	}
	if diff := cmp.Diff([]string{"p2p/", "ocr2/evm", "account/evm"}, kinds); diff != "" {
		t.Error(diff)
	}
	err := k.EnsureDefaults(t.Context(), wantedSecp256k1(), Wanted{Relay: "tezos", Name: nameEd25519})
	wantError(t, err, ErrInvalid, `"tezos"`, "ocr2",
		"algorithm 0 is not known here, only secp256k1, Ed25519 and STARK curve are")
	silent := func(context.Context, []byte) (string, error) { return "", errors.New("the relayer is down") }
	err = k.EnsureDefaults(t.Context(), Wanted{Relay: "tezos", Account: Ed25519, Report: Ed25519, Name: silent})
	wantError(t, err, nil, "create account key", `"tezos"`, "name the account: the relayer is down")
}

func TestReopenFindsTheSameKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "loop.db")
	openDatabase := func() *database.Database {
		d, err := database.Open(t.Context(), database.Settings{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := openDatabase()
	k := testOpen(t, d)
	if err := k.EnsureDefaults(t.Context(), wantedSecp256k1()); err != nil {
		t.Fatal(err)
	}
	extra, err := k.CreateAccount(t.Context(), relaySecp256k1, Secp256k1, nameSecp256k1)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := d.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = openDatabase()
	defer d.Close()
	again := testOpen(t, d)
	if diff := cmp.Diff(k.List(), again.List()); diff != "" {
		t.Error(diff)
	}
	// What stands in the database for people is what the keys say.
	for _, description := range k.List() {
		at := slices.IndexFunc(rows, func(row database.Key) bool { return row.ID == description.ID })
		public, err := json.Marshal(description.Public)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(public), string(rows[at].Public)); diff != "" {
			t.Error(diff)
		}
	}
	if accounts := again.Accounts(relaySecp256k1); len(accounts) != 2 || accounts[1] != extra.ID() {
		t.Errorf("accounts %v", accounts)
	}
	message := []byte("the same key signs the same")
	first, err := k.P2PKeys()[0].Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.P2PKeys()[0].Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first, second) {
		t.Error("the signatures differ")
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	k := testOpen(t, &memory{})
	if err := k.EnsureDefaults(t.Context(), wantedSecp256k1()); err != nil {
		t.Fatal(err)
	}
	peer, bundle, account := k.P2PKeys()[0].ID(), k.Bundles(relaySecp256k1)[0].ID(), k.Accounts(relaySecp256k1)[0]
	tests := map[string]struct {
		find func() (key, error)
		want string
	}{
		"peer":             {func() (key, error) { return k.P2P(peer) }, peer},
		"prefixed peer":    {func() (key, error) { return k.P2P("p2p_" + peer) }, peer},
		"no peer":          {func() (key, error) { return k.P2P("12D3KooW") }, ""},
		"bundle":           {func() (key, error) { return k.Bundle(bundle) }, bundle},
		"bundle, capitals": {func() (key, error) { return k.Bundle(strings.ToUpper(bundle)) }, bundle},
		"no bundle":        {func() (key, error) { return k.Bundle(account) }, ""},
		"account":          {func() (key, error) { return k.Signer(relaySecp256k1, account) }, account},
		"account, small":   {func() (key, error) { return k.Signer(relaySecp256k1, strings.ToLower(account)) }, ""},
		"no account":       {func() (key, error) { return k.Signer(relaySecp256k1, bundle) }, ""},
		"another chain's":  {func() (key, error) { return k.Signer("solana", account) }, ""},
		"no id":            {func() (key, error) { return k.Signer(relaySecp256k1, "") }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := test.find()
			if test.want == "" {
				wantError(t, err, ErrNotFound)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if found.ID() != test.want {
				t.Errorf("found %s", found.ID())
			}
		})
	}
	if accounts := k.Accounts("solana"); len(accounts) != 0 {
		t.Errorf("solana accounts %v", accounts)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	filled := func(t *testing.T) *memory {
		store := &memory{}
		if err := testOpen(t, store).EnsureDefaults(t.Context(), wantedSecp256k1()); err != nil {
			t.Fatal(err)
		}
		return store
	}
	tests := map[string]struct {
		change func(*Settings, *memory)
		parts  []string
	}{
		"wrong password": {
			func(s *Settings, _ *memory) { s.Password = NewPassword("correct horse battery stable") },
			[]string{"the password does not open this node's keys", "first started with"},
		},
		"empty password": {
			func(s *Settings, _ *memory) { s.Password = NewPassword("") },
			[]string{"password is empty"},
		},
		"no password": {
			func(s *Settings, _ *memory) { s.Password = Password{} },
			[]string{"password is empty"},
		},
		"bad cost": {
			func(s *Settings, _ *memory) { s.Scrypt = Scrypt{N: 3, R: 1, P: 1} },
			[]string{"scrypt N is 3"},
		},
		"lost master": {
			func(_ *Settings, m *memory) { m.rows = m.rows[1:] },
			[]string{"3 keys but not the master key", "backup"},
		},
		"failing store": {
			func(_ *Settings, m *memory) { m.fail = errors.New("disk on fire") },
			[]string{"disk on fire"},
		},
		"unknown kind": {
			func(_ *Settings, m *memory) { m.rows[1].Kind = "csa" },
			[]string{`csa key "12D3KooW`, "altered"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := filled(t)
			settings := testSettings(store)
			test.change(&settings, store)
			_, err := Open(t.Context(), settings)
			wantError(t, err, nil, append(test.parts, "open keystore")...)
			if strings.Contains(err.Error(), testPassword) {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestFailedStoreLendsNoKey(t *testing.T) {
	t.Parallel()
	store := &memory{}
	k := testOpen(t, store)
	store.fail = errors.New("disk on fire")
	_, err := k.CreateAccount(t.Context(), relaySecp256k1, Secp256k1, nameSecp256k1)
	wantError(t, err, store.fail, "create account key", `"evm"`)
	if _, err := k.CreateP2P(t.Context()); err == nil {
		t.Error("no error")
	}
	if list := k.List(); len(list) != 0 {
		t.Errorf("keys %v", list)
	}
}

// Whatever byte of whatever row is altered, the keystore does not open.
func TestTamperedRows(t *testing.T) {
	t.Parallel()
	store := &memory{}
	if err := testOpen(t, store).EnsureDefaults(t.Context(), wantedSecp256k1()); err != nil {
		t.Fatal(err)
	}
	refuses := func(what string, rows []database.Key) {
		t.Helper()
		if _, err := Open(t.Context(), testSettings(&memory{rows: rows})); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	change := func(at int, alter func(*database.Key)) []database.Key {
		rows := slices.Clone(store.rows)
		rows[at].Sealed = slices.Clone(rows[at].Sealed)
		alter(&rows[at])
		return rows
	}
	for at, row := range store.rows {
		for i := range row.Sealed {
			for _, bit := range []byte{1, 0x80} {
				refuses(row.Kind+" sealed", change(at, func(row *database.Key) { row.Sealed[i] ^= bit }))
			}
		}
		for _, length := range []int{0, 1, 10, len(row.Sealed) - 1} {
			refuses(row.Kind+" cut", change(at, func(row *database.Key) { row.Sealed = row.Sealed[:length] }))
		}
		refuses(row.Kind+" longer", change(at, func(row *database.Key) { row.Sealed = append(row.Sealed, 0) }))
		if row.Kind == kindMaster {
			continue
		}
		refuses(row.Kind+" id", change(at, func(row *database.Key) { row.ID += "0" }))
		refuses(row.Kind+" relay", change(at, func(row *database.Key) { row.Relay += "0" }))
		refuses(row.Kind+" kind", change(at, func(row *database.Key) { row.Kind = "x" }))
		// Altered text for people changes nothing: the text is made anew.
		if _, err := Open(t.Context(),
			testSettings(&memory{rows: change(at, func(row *database.Key) { row.Public = nil })})); err != nil {
			t.Error(err)
		}
	}
	// Two rows that exchange their secrets.
	other := &memory{rows: store.rows}
	if _, err := testOpen(t, other).CreateAccount(t.Context(), relaySecp256k1, Secp256k1, nameSecp256k1); err != nil {
		t.Fatal(err)
	}
	swapped := slices.Clone(other.rows)
	swapped[3].Sealed, swapped[4].Sealed = swapped[4].Sealed, swapped[3].Sealed
	refuses("swapped", swapped)
}

// A secret sealed under a name that does not follow from it is refused even
// though the seal holds.
func TestSecretOfAnotherName(t *testing.T) {
	t.Parallel()
	store := &memory{}
	k := testOpen(t, store)
	for _, kind := range []string{KindP2P, KindOCR2, "csa"} { // an account's name is its relayer's to say
		who := identity{kind: kind, relay: relaySecp256k1, id: "mine"}
		secret, err := generateOCR2(Secp256k1)
		if err != nil {
			t.Fatal(err)
		}
		if kind != KindOCR2 {
			secret = secret[65:]
		}
		row := database.Key{Kind: kind, ID: "mine", Relay: relaySecp256k1, Sealed: seal(k.master(), who, secret)}
		_, err = Open(t.Context(), testSettings(&memory{rows: append(slices.Clone(store.rows), row)}))
		wantError(t, err, nil, kind+` key "mine"`)
	}
}

func TestParseRefusesBadSecrets(t *testing.T) {
	t.Parallel()
	zero, many := make([]byte, 32), slices.Repeat([]byte{0xff}, 32)
	tests := map[string]struct {
		who    identity
		secret []byte
	}{
		"short p2p":             {identity{kind: KindP2P}, zero[1:]},
		"long p2p":              {identity{kind: KindP2P}, make([]byte, 33)},
		"short bundle":          {identity{kind: KindOCR2, relay: relaySecp256k1}, make([]byte, 63)},
		"bundle without key":    {identity{kind: KindOCR2, relay: relaySecp256k1}, make([]byte, 64)},
		"bundle of zero":        {identity{kind: KindOCR2, relay: relayStark}, make([]byte, 96)},
		"bundle of no relay":    {identity{kind: KindOCR2}, make([]byte, 96)},
		"bundle of algorithm 0": {identity{kind: KindOCR2, relay: relaySecp256k1}, make([]byte, 97)},
		"zero account":          {identity{kind: KindAccount, relay: relaySecp256k1}, zero},
		"account above order":   {identity{kind: KindAccount, relay: relaySecp256k1}, many},
		"above order, tagged":   {identity{kind: KindAccount, relay: relaySecp256k1}, Secp256k1.tagged(many)},
		"short account":         {identity{kind: KindAccount, relay: relayEd25519}, zero[1:]},
		"long account":          {identity{kind: KindAccount, relay: relaySecp256k1}, Secp256k1.tagged(make([]byte, 33))},
		"zero of STARK":         {identity{kind: KindAccount, relay: relayStark}, zero},
		"large of STARK":        {identity{kind: KindAccount, relay: relayStark}, Stark.tagged(many)},
		"account of no relay":   {identity{kind: KindAccount, relay: "tezos"}, many},
		"algorithm 0":           {identity{kind: KindAccount, relay: relaySecp256k1}, Algorithm(0).tagged(counted(1, 32))},
		"algorithm 4":           {identity{kind: KindAccount, relay: relaySecp256k1}, Algorithm(4).tagged(counted(1, 32))},
		"no kind":               {identity{}, zero},
	}
	k := testOpen(t, &memory{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if parsed, err := k.parse(test.who, test.secret); err == nil {
				t.Errorf("parsed %T", parsed)
			}
		})
	}
}

// TestEarlierRows holds that keys which were sealed without their algorithm are what they were.
func TestEarlierRows(t *testing.T) {
	t.Parallel()
	for _, w := range []Wanted{wantedSecp256k1(), wantedEd25519(), wantedStark()} {
		store := &memory{}
		k := testOpen(t, store)
		if err := k.EnsureDefaults(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		for i, row := range store.rows {
			if row.Relay == "" {
				continue
			}
			who := identity{kind: row.Kind, relay: row.Relay, id: row.ID}
			secret, err := unseal(k.master(), who, row.Sealed)
			if err != nil {
				t.Fatal(err)
			}
			bare := slices.Concat(secret[:len(secret)-secretLength-1], secret[len(secret)-secretLength:])
			store.rows[i].Sealed = seal(k.master(), who, bare)
		}
		again := testOpen(t, store)
		if diff := cmp.Diff(k.List(), again.List()); diff != "" {
			t.Errorf("%s: %s", w.Relay, diff)
		}
		settings := testSettings(store)
		settings.Before = nil
		_, err := Open(t.Context(), settings)
		wantError(t, err, nil, "made by an earlier version of loop",
			`no relayer of relay "`+w.Relay+`" is built into this one`)
	}
}

func TestScryptBounds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cost Scrypt
		part string
	}{
		"default":   {DefaultScrypt(), ""},
		"geth":      {Scrypt{N: 1 << 18, R: 8, P: 1}, ""},
		"largest":   {Scrypt{N: 1 << 20, R: 8, P: 16}, ""},
		"zero N":    {Scrypt{R: 8, P: 1}, "N is 0"},
		"one":       {Scrypt{N: 1, R: 8, P: 1}, "N is 1"},
		"negative":  {Scrypt{N: -8, R: 8, P: 1}, "N is -8"},
		"no power":  {Scrypt{N: 1000, R: 8, P: 1}, "N is 1000"},
		"no R":      {Scrypt{N: 2, P: 1}, "R is 0"},
		"large R":   {Scrypt{N: 2, R: 256, P: 1}, "R is 256"},
		"no P":      {Scrypt{N: 2, R: 1}, "P is 0"},
		"large P":   {Scrypt{N: 2, R: 1, P: 17}, "P is 17"},
		"memory":    {Scrypt{N: 1 << 21, R: 8, P: 1}, "1024 MiB"},
		"overflows": {Scrypt{N: 1 << 62, R: 255, P: 1}, "1024 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.cost.check()
			if test.part == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, nil, test.part)
		})
	}
}

// The rows and the log must not hold what protects or what is protected.
func TestNothingSecretIsWritten(t *testing.T) {
	t.Parallel()
	store := &memory{}
	var log strings.Builder
	settings := testSettings(store)
	settings.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	k, err := Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.EnsureDefaults(t.Context(), wantedSecp256k1()); err != nil {
		t.Fatal(err)
	}
	settings.Logger.Info("all of it", "keystore", k, "settings", settings, "bundle", k.Bundles(relaySecp256k1)[0])
	rows, err := json.Marshal(store.rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range append(secretsOf(k), testPassword) {
		if strings.Contains(log.String(), secret) || strings.Contains(string(rows), secret) {
			t.Errorf("the secret %.4s… is written", secret)
		}
	}
	if count := strings.Count(log.String(), "a key was made"); count != 3 {
		t.Errorf("%d keys logged", count)
	}
}
