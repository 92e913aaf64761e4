// Package keystore holds a node's private keys: its identity among peers, its
// oracle bundles and its accounts. At rest they are sealed under the node's
// password; in memory they stay inside keyrings and signers, from which nothing
// but signatures and public keys comes out, save by ExportEVM.
//
// It must not know what is signed or for whom: who may use an account, and what a
// transaction or a job is, is decided above it. It keeps its rows in whatever
// Store it is given and knows no SQL.
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

// The kinds of chains that have bundles and accounts.
const (
	ChainEVM      = "evm"
	ChainSolana   = "solana"
	ChainStarknet = "starknet"
)

// ChainKinds are the kinds of chains that have bundles and accounts.
func ChainKinds() []string { return []string{ChainEVM, ChainSolana, ChainStarknet} }

var (
	// ErrNotFound says that the keystore has no such key.
	ErrNotFound = errors.New("not found")
	// ErrInvalid says that an argument is not of the form that its chain wants.
	ErrInvalid = errors.New("invalid argument")
)

func unknownChain(chainKind string) error {
	return fmt.Errorf("chain kind %q has no keys here, only %s have: %w", chainKind, strings.Join(ChainKinds(), ", "), ErrInvalid)
}

// Store keeps the sealed keys. *database.Database is one.
type Store interface {
	// Keys lists every key, oldest first.
	Keys(ctx context.Context) ([]database.Key, error)
	// AddKeys stores keys durably, all or none, and replaces none.
	AddKeys(ctx context.Context, keys ...database.Key) error
}

// Settings are what Open needs.
type Settings struct {
	Store Store
	// Password seals the keys. It is used by Open alone and not kept.
	Password Password
	// Logger receives the names of keys as they are made. Nil discards it.
	Logger *slog.Logger
	// Scrypt is the cost for a keystore that Open makes anew, an existing one having
	// its own, and for exported files, where R is always 8. The zero value means
	// DefaultScrypt.
	Scrypt Scrypt
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
	master hidden[cipher.AEAD]

	// ensuring keeps two EnsureDefaults from each finding nothing.
	ensuring sync.Mutex

	mutex sync.RWMutex
	keys  []key // oldest first
}

// Open opens every key of the store. In an empty store it first makes the master
// key under which all others will be sealed. It fails when the password is not
// the one that the store was made with, and when any row was altered.
func Open(ctx context.Context, settings Settings) (*Keystore, error) {
	k := &Keystore{store: settings.Store, logger: settings.Logger, cost: settings.Scrypt}
	if k.logger == nil {
		k.logger = slog.New(slog.DiscardHandler)
	}
	if k.cost == (Scrypt{}) {
		k.cost = DefaultScrypt()
	}
	err := k.cost.check()
	if err == nil {
		err = k.open(ctx, settings.Password.bytes())
	}
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	return k, nil
}

func (k *Keystore) open(ctx context.Context, password []byte) error {
	defer clear(password)
	if len(password) == 0 {
		return errors.New("the password is empty: set the one that protects this node's keys")
	}
	rows, err := k.store.Keys(ctx)
	if err != nil {
		return err
	}
	isMaster := func(row database.Key) bool { return row.Kind == kindMaster }
	switch at := slices.IndexFunc(rows, isMaster); {
	case at >= 0:
		master, err := unsealMaster(password, rows[at].Sealed)
		if errors.Is(err, errSealed) {
			err = errors.New("the password does not open this node's keys: give the one that this database was first started with")
		}
		if err != nil {
			return err
		}
		k.master = hide(master)
	case len(rows) > 0:
		return fmt.Errorf("the database has %d keys but not the master key that opens them: restore it from a backup", len(rows))
	default:
		sealed, master, err := sealMaster(password, k.cost)
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

// openRow takes nothing from a row on trust: what it is called and what it is for
// must be what was sealed with it, and follow from the secret.
func (k *Keystore) openRow(row database.Key) (key, error) {
	who := identity{kind: row.Kind, chainKind: row.ChainKind, id: row.ID}
	secret, err := unseal(k.master(), who, row.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	opened, err := parse(who, secret)
	if err != nil {
		return nil, err
	}
	if found, _ := opened.describe(); found != who {
		return nil, fmt.Errorf("its secret belongs to %s key %q", found.kind, found.id)
	}
	return opened, nil
}

func parse(who identity, secret []byte) (key, error) {
	switch who.kind {
	case KindP2P:
		return parseP2P(secret)
	case KindOCR2:
		return parseOCR2(who.chainKind, secret)
	case KindAccount:
		return parseAccount(who.chainKind, secret)
	default:
		return nil, fmt.Errorf("%q is no kind of key known here: a newer version of loop may have made it", who.kind)
	}
}

// EnsureDefaults makes one P2P key, and for each kind of chain one bundle and one
// account, wherever none of its kind exists.
func (k *Keystore) EnsureDefaults(ctx context.Context, chainKinds []string) error {
	k.ensuring.Lock()
	defer k.ensuring.Unlock()
	if len(k.P2PKeys()) == 0 {
		if _, err := k.CreateP2P(ctx); err != nil {
			return err
		}
	}
	for _, chainKind := range chainKinds {
		if len(k.Bundles(chainKind)) == 0 {
			if _, err := k.CreateOCR2(ctx, chainKind); err != nil {
				return err
			}
		}
		if len(k.Accounts(chainKind)) == 0 {
			if _, err := k.CreateAccount(ctx, chainKind); err != nil {
				return err
			}
		}
	}
	return nil
}

// CreateP2P makes a P2P key.
func (k *Keystore) CreateP2P(ctx context.Context) (*P2PKey, error) {
	return create(ctx, k, identity{kind: KindP2P}, generateP2P(), nil, parseP2P)
}

// CreateOCR2 makes a bundle for one kind of chain.
func (k *Keystore) CreateOCR2(ctx context.Context, chainKind string) (*OCR2Bundle, error) {
	secret, err := generateOCR2(chainKind)
	return create(ctx, k, identity{kind: KindOCR2, chainKind: chainKind}, secret, err, func(secret []byte) (*OCR2Bundle, error) {
		return parseOCR2(chainKind, secret)
	})
}

// CreateAccount makes an account on one kind of chain.
func (k *Keystore) CreateAccount(ctx context.Context, chainKind string) (*Account, error) {
	secret, err := generateAccount(chainKind)
	return create(ctx, k, identity{kind: KindAccount, chainKind: chainKind}, secret, err, func(secret []byte) (*Account, error) {
		return parseAccount(chainKind, secret)
	})
}

// create turns a secret, or the error in its place, into a key and adds it.
func create[K key](ctx context.Context, k *Keystore, what identity, secret []byte, err error, parse func([]byte) (K, error)) (K, error) {
	defer clear(secret)
	var made K
	if err == nil {
		made, err = parse(secret)
	}
	if err == nil {
		err = k.add(ctx, made, secret)
	}
	if err != nil {
		var none K
		return none, fmt.Errorf("create %s key for chain kind %q: %w", what.kind, what.chainKind, err)
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
	row := database.Key{Kind: who.kind, ID: who.id, ChainKind: who.chainKind, Public: public, Sealed: seal(k.master(), who, secret)}
	if err := k.store.AddKeys(ctx, row); err != nil {
		return err
	}
	k.mutex.Lock()
	k.keys = append(k.keys, added)
	k.mutex.Unlock()
	k.logger.Info("Key made", "kind", who.kind, "id", who.id, "chainKind", who.chainKind)
	return nil
}

// Description describes a key to people. It holds no secret.
type Description struct {
	Kind, ID string
	// ChainKind is empty for keys of no chain.
	ChainKind string
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
		list = append(list, Description{Kind: who.kind, ID: who.id, ChainKind: who.chainKind, Public: public})
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

// Bundles returns every bundle for one kind of chain, oldest first.
func (k *Keystore) Bundles(chainKind string) []*OCR2Bundle {
	return pick(k, func(bundle *OCR2Bundle) bool { return bundle.ChainKind() == chainKind })
}

// Bundle returns the bundle of an id, whatever the case of its letters, or
// ErrNotFound.
func (k *Keystore) Bundle(id string) (*OCR2Bundle, error) {
	return first(pick(k, func(bundle *OCR2Bundle) bool { return strings.EqualFold(bundle.ID(), id) }), KindOCR2, id)
}

// Accounts names every account on one kind of chain, oldest first.
func (k *Keystore) Accounts(chainKind string) []string {
	var names []string
	for _, account := range pick(k, func(account *Account) bool { return account.ChainKind() == chainKind }) {
		names = append(names, account.ID())
	}
	return names
}

// Signer returns an account on one kind of chain, or ErrNotFound. SameAccount says
// how its name may be written.
func (k *Keystore) Signer(chainKind, account string) (*Account, error) {
	return first(pick(k, func(key *Account) bool {
		return key.ChainKind() == chainKind && SameAccount(chainKind, key.ID(), account)
	}), KindAccount, account)
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
