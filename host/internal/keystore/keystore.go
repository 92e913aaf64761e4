// Package keystore holds a node's private keys: its identity among peers, its oracle bundles and its accounts. At rest
// they are sealed under the node's password. In memory they stay inside keyrings and signers, which give out only
// signatures and public keys, except by Export.
//
// It must not know what is signed or for whom: higher layers decide who may use an account, and what a transaction or a
// job is. It keeps its rows in the given Store and knows no SQL.
package keystore

import (
	"context"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/loop-plugins/loop/host/internal/database"
)

// The kinds of keys.
const (
	KindP2P     = "p2p"
	KindOCR2    = "ocr2"
	KindAccount = "account"

	kindMaster = "master"
)

var (
	// ErrNotFound means that the keystore has no such key.
	ErrNotFound = errors.New("not found")
	// ErrInvalid means that an argument does not have the form that its key needs.
	ErrInvalid = errors.New("invalid argument")
)

// Store keeps the sealed keys. *database.Database implements it.
type Store interface {
	// Keys returns all keys, oldest first.
	Keys(ctx context.Context) ([]database.Key, error)
	// AddKeys stores all keys durably or none, and replaces none.
	AddKeys(ctx context.Context, keys ...database.Key) error
}

// Settings configure Open.
type Settings struct {
	Store Store
	// Password seals the keys. Open overwrites it once the master key is derived from it.
	Password Password
	// Logger receives the names of new keys. Nil discards them.
	Logger *slog.Logger
	// Scrypt is the cost for a keystore that Open makes anew, an existing one having
	// its own, and for exported files, where R is always 8. The zero value means
	// DefaultScrypt.
	Scrypt Scrypt
	// Before returns the algorithms that the accounts and the reports of a relay had before they were sealed with the
	// keys. Nil knows none.
	Before func(relay string) (account, report Algorithm, ok bool)
}

// key is what a row becomes once opened.
type key interface {
	ID() string
	// describe returns who the key is and what people may know of it.
	describe() (identity, any)
}

// Keystore is the opened keys of one node. Its methods may be used concurrently.
type Keystore struct {
	redacted
	store  Store
	logger *slog.Logger
	cost   Scrypt
	before func(relay string) (account, report Algorithm, ok bool)
	master hidden[cipher.AEAD]

	// ensuring keeps two EnsureDefaults from each finding nothing.
	ensuring sync.Mutex

	mutex sync.RWMutex
	keys  []key // oldest first
}

// Open opens every key of the store. In an empty store it first makes the master key, under which all others are
// sealed. It fails if the password is not the one that the store was made with, or if any row was altered.
func Open(ctx context.Context, settings Settings) (*Keystore, error) {
	k := &Keystore{store: settings.Store, logger: settings.Logger, cost: settings.Scrypt, before: settings.Before}
	if k.logger == nil {
		k.logger = slog.New(slog.DiscardHandler)
	}
	if k.cost == (Scrypt{}) {
		k.cost = DefaultScrypt()
	}
	err := k.cost.check()
	if err == nil {
		err = k.open(ctx, settings.Password)
	}
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	return k, nil
}

func (k *Keystore) open(ctx context.Context, password Password) error {
	defer password.Clear()
	if len(password.bytes()) == 0 {
		return errors.New("the password is empty: set the one that protects this node's keys")
	}
	rows, err := k.store.Keys(ctx)
	if err != nil {
		return err
	}
	isMaster := func(row database.Key) bool { return row.Kind == kindMaster }
	switch at := slices.IndexFunc(rows, isMaster); {
	case at >= 0:
		master, err := unsealMaster(password.bytes(), rows[at].Sealed)
		if errors.Is(err, errSealed) {
			err = errors.New("the password does not open this node's keys: give the one that this database was first started " +
				"with")
		}
		if err != nil {
			return err
		}
		k.master = hide(master)
	case len(rows) > 0:
		return fmt.Errorf("the database has %d keys but not the master key that opens them: restore it from a backup",
			len(rows))
	default:
		if err := password.weakness(); err != nil { // one that is in use already opens what it sealed
			return err
		}
		sealed, master, err := sealMaster(password.bytes(), k.cost)
		if err != nil {
			return err
		}
		row := database.Key{Kind: kindMaster, ID: masterIdentity().id, Public: []byte("{}"), Sealed: sealed}
		if err := k.store.AddKeys(ctx, row); err != nil {
			return err
		}
		k.master = hide(master)
	}
	for _, row := range rows {
		if isMaster(row) {
			continue
		}
		opened, err := k.openRow(row)
		if err != nil {
			return fmt.Errorf("%s key %q: %w", row.Kind, row.ID, err)
		}
		k.keys = append(k.keys, opened)
	}
	return nil
}

// Seal encrypts a text that is not a key for one row, given by its table and name. It implements database.Sealer.
func (k *Keystore) Seal(table, name string, text []byte) []byte {
	return seal(k.master(), rowOf(table, name), text)
}

// Unseal decrypts what Seal returned for the same row.
func (k *Keystore) Unseal(table, name string, sealed []byte) ([]byte, error) {
	return unseal(k.master(), rowOf(table, name), sealed)
}

// rowOf is the identity to which a text of a row is bound. No kind of key has this name.
func rowOf(table, name string) identity { return identity{kind: "row of " + table, id: name} }

// openRow trusts nothing in a row: its name and its purpose must be those that were sealed with it, and must follow
// from the secret.
func (k *Keystore) openRow(row database.Key) (key, error) {
	who := identity{kind: row.Kind, relay: row.Relay, id: row.ID}
	secret, err := unseal(k.master(), who, row.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	opened, err := k.parse(who, secret)
	if err != nil {
		return nil, err
	}
	if found, _ := opened.describe(); found != who {
		return nil, fmt.Errorf("its secret belongs to %s key %q", found.kind, found.id)
	}
	return opened, nil
}

func (k *Keystore) parse(who identity, secret []byte) (key, error) {
	switch who.kind {
	case KindP2P:
		return parseP2P(secret)
	case KindOCR2:
		return parseOCR2(who.relay, secret, func() (Algorithm, error) {
			_, report, err := k.algorithmsBefore(who.relay)
			return report, err
		})
	case KindAccount:
		return parseAccount(who.relay, who.id, secret, func() (Algorithm, error) {
			account, _, err := k.algorithmsBefore(who.relay)
			return account, err
		})
	default:
		return nil, fmt.Errorf("%q is not a kind of key known here: a newer version of loop may have made it", who.kind)
	}
}

func (k *Keystore) algorithmsBefore(relay string) (account, report Algorithm, err error) {
	if k.before != nil {
		if account, report, ok := k.before(relay); ok {
			return account, report, nil
		}
	}
	return 0, 0, fmt.Errorf("it was made by an earlier version of loop, which did not keep with it how it signs, and no "+
		"relayer of relay %q is built into this one", relay)
}

// Wanted is what a relay needs from the keystore.
type Wanted struct {
	Relay           string
	Account, Report Algorithm
	Name            Namer
	// File is how established nodes write the relay's accounts.
	File FileForm
}

// EnsureDefaults makes one P2P key, and one bundle and one account for each relay, if there is none of its kind.
func (k *Keystore) EnsureDefaults(ctx context.Context, relays ...Wanted) error {
	k.ensuring.Lock()
	defer k.ensuring.Unlock()
	if len(k.P2PKeys()) == 0 {
		if _, err := k.CreateP2P(ctx); err != nil {
			return err
		}
	}
	for _, w := range relays {
		if len(k.Bundles(w.Relay)) == 0 {
			if _, err := k.CreateOCR2(ctx, w.Relay, w.Report); err != nil {
				return err
			}
		}
		if len(k.Accounts(w.Relay)) == 0 {
			if _, err := k.CreateAccount(ctx, w.Relay, w.Account, w.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// CreateP2P makes a P2P key.
func (k *Keystore) CreateP2P(ctx context.Context) (*P2PKey, error) {
	seed := generateP2P()
	made, err := parseP2P(seed)
	return create(ctx, k, identity{kind: KindP2P}, seed, made, err)
}

// CreateOCR2 makes a bundle for one relay, whose reports are signed by an algorithm.
func (k *Keystore) CreateOCR2(ctx context.Context, relay string, algorithm Algorithm) (*OCR2Bundle, error) {
	var made *OCR2Bundle
	sealed, err := generateOCR2(algorithm)
	if err == nil {
		made, err = parseOCR2(relay, sealed, nil)
	}
	return create(ctx, k, identity{kind: KindOCR2, relay: relay}, sealed, made, err)
}

// CreateAccount makes an account of one relay, which signs by an algorithm.
func (k *Keystore) CreateAccount(ctx context.Context, relay string, algorithm Algorithm, name Namer) (*Account, error) {
	var made *Account
	secret, err := algorithm.generate()
	if err == nil {
		defer clear(secret)
		made, err = newAccount(ctx, relay, algorithm, secret, name)
	}
	return create(ctx, k, identity{kind: KindAccount, relay: relay}, algorithm.tagged(secret), made, err)
}

// create adds a key that was made from a secret to be sealed, or says why there is none.
func create[K key](ctx context.Context, k *Keystore, what identity, sealed []byte, made K, err error) (K, error) {
	defer clear(sealed)
	if err == nil {
		err = k.add(ctx, made, sealed)
	}
	if err != nil {
		var none K
		if what.relay == "" {
			return none, fmt.Errorf("create a %s key: %w", what.kind, err)
		}
		return none, fmt.Errorf("create %s key for relay %q: %w", what.kind, what.relay, err)
	}
	return made, nil
}

// add stores a key and only then lends it: a key that is used must not be lost.
func (k *Keystore) add(ctx context.Context, added key, secret []byte) error {
	who, description := added.describe()
	public, err := json.Marshal(description)
	if err != nil {
		return err
	}
	row := database.Key{Kind: who.kind, ID: who.id, Relay: who.relay, Public: public,
		Sealed: seal(k.master(), who, secret)}
	if err := k.store.AddKeys(ctx, row); err != nil {
		return err
	}
	k.mutex.Lock()
	k.keys = append(k.keys, added)
	k.mutex.Unlock()
	k.logger.Info("a key was made", "kind", who.kind, "id", who.id, "relay", who.relay)
	return nil
}

// Description describes a key to people. It holds no secret.
type Description struct {
	Kind, ID string
	// Relay is empty for keys that belong to no chain.
	Relay string
	// Public is a P2PDescription, OCR2Description or AccountDescription.
	Public any
}

// List describes every key, oldest first.
func (k *Keystore) List() []Description {
	k.mutex.RLock()
	defer k.mutex.RUnlock()
	list := make([]Description, 0, len(k.keys))
	for _, key := range k.keys {
		who, public := key.describe()
		list = append(list, Description{Kind: who.kind, ID: who.id, Relay: who.relay, Public: public})
	}
	return list
}

// P2PKeys returns every P2P key, oldest first.
func (k *Keystore) P2PKeys() []*P2PKey {
	return pick(k, func(*P2PKey) bool { return true })
}

// P2P returns the P2P key of a peer id, or ErrNotFound.
func (k *Keystore) P2P(id string) (*P2PKey, error) {
	// Other nodes print peer ids with this prefix, and job specs repeat it.
	id = strings.TrimPrefix(id, "p2p_")
	return first(pick(k, func(key *P2PKey) bool { return key.ID() == id }), KindP2P, id)
}

// Bundles returns every bundle for one relay, oldest first.
func (k *Keystore) Bundles(relay string) []*OCR2Bundle {
	return pick(k, func(bundle *OCR2Bundle) bool { return bundle.Relay() == relay })
}

// Bundle returns the bundle of an id, whatever the case of its letters, or
// ErrNotFound.
func (k *Keystore) Bundle(id string) (*OCR2Bundle, error) {
	return first(pick(k, func(bundle *OCR2Bundle) bool { return strings.EqualFold(bundle.ID(), id) }), KindOCR2, id)
}

// Accounts names every account of one relay, oldest first.
func (k *Keystore) Accounts(relay string) []string {
	var names []string
	for _, account := range pick(k, func(account *Account) bool { return account.Relay() == relay }) {
		names = append(names, account.ID())
	}
	return names
}

// Signer returns an account of one relay, or ErrNotFound. It expects the relayer's spelling: ask the relayer first to
// normalise another one.
func (k *Keystore) Signer(relay, account string) (*Account, error) {
	return first(pick(k, func(key *Account) bool { return key.Relay() == relay && key.ID() == account }), KindAccount,
		account)
}

func pick[K key](k *Keystore, wanted func(K) bool) []K {
	k.mutex.RLock()
	defer k.mutex.RUnlock()
	var picked []K
	for _, key := range k.keys {
		if key, ok := key.(K); ok && wanted(key) {
			picked = append(picked, key)
		}
	}
	return picked
}

func first[K key](keys []K, kind, id string) (K, error) {
	if len(keys) == 0 {
		var none K
		return none, fmt.Errorf("find %s key %.128q: %w", kind, id, ErrNotFound)
	}
	return keys[0], nil
}
