package keystore

import (
	"encoding/json"
	"strings"
	"testing"

	web3 "github.com/ethereum/go-ethereum/accounts/keystore"
	gethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/loop-plugins/loop/host/internal/database"
)

// The two test vectors of the Web3 Secret Storage definition, with its password.
const (
	web3Password = "testpassword"
	// filePassword is one that exports are sealed under.
	filePassword = "of the file, and long"
	web3Address  = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b"
	web3PBKDF2   = `{"crypto": {"cipher": "aes-128-ctr",
		"cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
		"ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
		"kdf": "pbkdf2",
		"kdfparams": {"c": 262144, "dklen": 32, "prf": "hmac-sha256",
			"salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
		"mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
		"id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}`
	web3Scrypt = `{"crypto": {"cipher": "aes-128-ctr",
		"cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
		"ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
		"kdf": "scrypt",
		"kdfparams": {"dklen": 32, "n": 262144, "p": 8, "r": 1,
			"salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
		"mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},
		"id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}`
)

func TestImportVectors(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"pbkdf2": web3PBKDF2, "scrypt": web3Scrypt} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := testOpen(t, &memory{})
			account, err := k.Import(t.Context(), []byte(file), NewPassword(web3Password), testRelays())
			if err != nil {
				t.Fatal(err)
			}
			if account.ID != web3Address {
				t.Errorf("account %s", account.ID)
			}
		})
	}
}

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	from, to := testOpen(t, &memory{}), testOpen(t, &memory{})
	account, err := from.CreateAccount(t.Context(), relaySecp256k1, Secp256k1, nameSecp256k1)
	if err != nil {
		t.Fatal(err)
	}
	password := NewPassword(filePassword)
	file, err := from.Export(KindAccount, account.ID(), password, testRelays())
	if err != nil {
		t.Fatal(err)
	}
	// Another implementation of the format reads it.
	if decrypted, err := web3.DecryptKey(file, filePassword); err != nil || decrypted.Address.Hex() != account.ID() {
		t.Errorf("go-ethereum reads %v", err)
	}
	imported, err := to.Import(t.Context(), file, password, testRelays())
	if err != nil {
		t.Fatal(err)
	}
	if imported.ID != account.ID() || to.Accounts(relaySecp256k1)[0] != account.ID() {
		t.Errorf("imported %s", imported.ID)
	}
	_, err = from.Import(t.Context(), file, password, testRelays())
	wantError(t, err, database.ErrExists, account.ID())
	_, err = to.Import(t.Context(), file, NewPassword("of another file"), testRelays())
	wantError(t, err, ErrInvalid, "the password does not open the file")
	_, err = to.Export(KindAccount, web3Address, password, testRelays())
	wantError(t, err, ErrNotFound, web3Address)
	_, err = to.Export(KindAccount, account.ID(), Password{}, testRelays())
	wantError(t, err, ErrInvalid, "password is empty")
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	k := testOpen(t, &memory{})
	account, err := k.CreateAccount(t.Context(), relaySecp256k1, Secp256k1, nameSecp256k1)
	if err != nil {
		t.Fatal(err)
	}
	password := NewPassword(filePassword)
	good, err := k.Export(KindAccount, account.ID(), password, testRelays())
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	crypto := func(file object) object { return file["crypto"].(object) }
	params := func(file object) object { return crypto(file)["kdfparams"].(object) }
	tests := map[string]struct {
		change func(object)
		part   string
	}{
		"version 1":        {func(f object) { f["version"] = 1 }, "version is 1"},
		"version as text":  {func(f object) { f["version"] = "1" }, "version is 1, and only 3 is known"},
		"version of words": {func(f object) { f["version"] = "three" }, "version is not a number"},
		"version in parts": {func(f object) { f["version"] = 3.5 }, "version is 3.5, and only 3 is known"},
		"no version": {func(f object) {
			delete(f, "version")
		}, "the file has no version and no keyType: this node imports wallets' key files"},
		"0x twice":      {func(f object) { crypto(f)["mac"] = "0x0x" + strings.Repeat("0", 60) }, "crypto.mac is not hex"},
		"other address": {func(f object) { f["address"] = web3Address }, "address says"},
		"no crypto":     {func(f object) { delete(f, "crypto") }, "crypto.cipher"},
		"other cipher":  {func(f object) { crypto(f)["cipher"] = "aes-128-cbc" }, "crypto.cipher"},
		"short iv": {func(f object) {
			crypto(f)["cipherparams"] = object{"iv": "00"}
		}, "crypto.cipherparams.iv has 1 bytes"},
		"no iv":            {func(f object) { delete(crypto(f), "cipherparams") }, "crypto.cipherparams.iv"},
		"odd mac":          {func(f object) { crypto(f)["mac"] = "0" }, "crypto.mac is not hex"},
		"other mac":        {func(f object) { crypto(f)["mac"] = strings.Repeat("0", 64) }, "the file was altered"},
		"short ciphertext": {func(f object) { crypto(f)["ciphertext"] = "00" }, "crypto.ciphertext has 1 bytes"},
		"no kdf":           {func(f object) { delete(crypto(f), "kdf") }, "crypto.kdf is"},
		"no params":        {func(f object) { delete(crypto(f), "kdfparams") }, "crypto.kdfparams.dklen"},
		"short dklen":      {func(f object) { params(f)["dklen"] = 16 }, "crypto.kdfparams.dklen is 16"},
		"no n":             {func(f object) { delete(params(f), "n") }, "crypto.kdfparams: scrypt N is 0"},
		"huge n":           {func(f object) { params(f)["n"] = 1 << 40 }, "1024 MiB"},
		"n as text":        {func(f object) { params(f)["n"] = "2" }, "crypto.kdfparams.n holds a JSON string"},
		"n as fraction":    {func(f object) { params(f)["n"] = 1.5 }, "crypto.kdfparams.n holds a JSON number 1.5"},
		"salt not hex":     {func(f object) { params(f)["salt"] = "zz" }, "crypto.kdfparams.salt"},
		"pbkdf2 without c": {func(f object) { crypto(f)["kdf"] = "pbkdf2" }, "crypto.kdfparams.c is 0"},
		"pbkdf2, huge c": {func(f object) {
			crypto(f)["kdf"] = "pbkdf2"
			params(f)["c"] = 1 << 40
		}, "crypto.kdfparams.c is"},
		"pbkdf2, no prf": {func(f object) { crypto(f)["kdf"] = "pbkdf2"; params(f)["c"] = 1 }, "crypto.kdfparams.prf"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var file object
			if err := json.Unmarshal(good, &file); err != nil {
				t.Fatal(err)
			}
			test.change(file)
			text, err := json.Marshal(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = k.Import(t.Context(), text, password, testRelays())
			wantError(t, err, ErrInvalid, test.part, "import a key")
		})
	}
	for name, file := range map[string]struct{ text, part string }{
		"empty": {"", "in JSON"}, "no object": {"[]", "it holds a JSON array"}, "cut": {string(good[:100]), "in JSON"},
		"huge": {strings.Repeat(" ", maxKeyFile+1), "65537 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := k.Import(t.Context(), []byte(file.text), password, testRelays())
			wantError(t, err, ErrInvalid, file.part)
		})
	}
	if accounts := k.Accounts(relaySecp256k1); len(accounts) != 1 {
		t.Errorf("accounts %v", accounts)
	}
}

// Files that are right and look unlike go-ethereum's.
func TestImportTakesWhatWalletsWrite(t *testing.T) {
	t.Parallel()
	from := testOpen(t, &memory{})
	account, err := from.CreateAccount(t.Context(), relaySecp256k1, Secp256k1, nameSecp256k1)
	if err != nil {
		t.Fatal(err)
	}
	file, err := from.Export(KindAccount, account.ID(), NewPassword(filePassword), testRelays())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := from.Signer(relaySecp256k1, account.ID())
	if err != nil {
		t.Fatal(err)
	}
	private := signer.private.(*secp256k1).key()
	empty, err := web3.EncryptKey(&web3.Key{Address: gethcrypto.PubkeyToAddress(private.PublicKey), PrivateKey: private},
		"", 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	hexed := func(of object, names ...string) {
		for _, name := range names {
			of[name] = "0x" + strings.ToUpper(of[name].(string))
		}
	}
	rename := func(of object, from, to string) {
		of[to] = of[from]
		delete(of, from)
	}
	for name, test := range map[string]struct {
		change   func(object)
		mark     string
		file     []byte
		password string
	}{
		"as exported":     {func(object) {}, "", file, filePassword},
		"version as text": {func(f object) { f["version"] = "3" }, "", file, filePassword},
		"hex with 0x": {func(f object) {
			crypto := f["crypto"].(object)
			hexed(crypto, "ciphertext", "mac")
			hexed(crypto["cipherparams"].(object), "iv")
			hexed(crypto["kdfparams"].(object), "salt")
		}, "", file, filePassword},
		"capital":             {func(f object) { rename(f, "crypto", "Crypto") }, "", file, filePassword},
		"BOM":                 {func(object) {}, "\xef\xbb\xbf", file, filePassword},
		"no address":          {func(f object) { delete(f, "address") }, "", file, filePassword},
		"address null":        {func(f object) { f["address"] = nil }, "", file, filePassword},
		"address with EIP-55": {func(f object) { f["address"] = account.ID() }, "", file, filePassword},
		"address in lower":    {func(f object) { f["address"] = strings.ToLower(account.ID()) }, "", file, filePassword},
		"address in capitals": {func(f object) { f["address"] = strings.ToUpper(account.ID()) }, "", file, filePassword},
		"an empty password":   {func(object) {}, "", empty, ""},
		"more than is needed": {func(f object) { f["id"], f["name"], f["keyType"] = nil, "hot", "" }, "", file, filePassword},
		"what ethers adds":    {func(f object) { f["x-ethers"] = object{"client": "ethers"} }, "", file, filePassword},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changed object
			if err := json.Unmarshal(test.file, &changed); err != nil {
				t.Fatal(err)
			}
			test.change(changed)
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			k := testOpen(t, &memory{})
			imported, err := k.Import(t.Context(), append([]byte(test.mark), text...), NewPassword(test.password), testRelays())
			if err != nil {
				t.Fatal(err)
			}
			if imported.ID != account.ID() {
				t.Errorf("imported %s, not %s", imported.ID, account.ID())
			}
			_, err = testOpen(t, &memory{}).Import(t.Context(), text, NewPassword("another"), testRelays())
			wantError(t, err, ErrInvalid)
		})
	}
}

// foreignFiles are files of other kinds of keys, and what is said of them before and after what this node imports.
var foreignFiles = map[string]struct{ text, what, advice string }{
	"CSA": {`{"keyType":"CSA","publicKey":"00","crypto":{}}`, "a CSA key, which this node has no use for", ""},
	"key pair": {"[" + strings.Repeat("7,", 63) + "7]",
		"a bare Ed25519 key as a list of numbers", ": make an account here by loop keys create and the name of its relay"},
	"bare": {"0x" + strings.Repeat("4f", 32) + "\n",
		"a bare private key", ": seal it into one with a wallet, such as geth account import"},
	"validator": {
		`{"crypto":{"kdf":{"function":"scrypt","params":{},"message":""},"cipher":{"function":"aes-128-ctr"}},"pubkey":"00","version":4}`,
		"a validator's key (EIP-2335, version 4)", ""},
}

// What cannot be imported is named, with what can.
func TestImportNamesOtherKeys(t *testing.T) {
	t.Parallel()
	k := testOpen(t, &memory{})
	for name, test := range foreignFiles {
		_, err := k.Import(t.Context(), []byte(test.text), NewPassword("x"), testRelays())
		wantError(t, err, ErrInvalid)
		want := "import a key: the file holds " + test.what + "; " + importable + test.advice
		if err != nil && !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, want)
		}
	}
	_, err := k.Import(t.Context(), []byte("\xff\xfe{\x00}\x00"), NewPassword("x"), testRelays())
	wantError(t, err, ErrInvalid, "the file is in UTF-16: save it in UTF-8")
	for relay, part := range map[string]string{
		"acme":       `no relay "acme", which is to have the account`,
		relayEd25519: "accounts of relay solana have keys for Ed25519",
	} {
		relays := testRelays()
		relays.Wallet = relay
		_, err = k.Import(t.Context(), []byte(web3Scrypt), NewPassword(web3Password), relays)
		wantError(t, err, ErrInvalid, part)
	}
}

func FuzzImport(f *testing.F) {
	k := testOpen(f, &memory{})
	account, err := k.CreateAccount(f.Context(), relaySecp256k1, Secp256k1, nameSecp256k1)
	if err != nil {
		f.Fatal(err)
	}
	file, err := k.Export(KindAccount, account.ID(), NewPassword(filePassword), testRelays())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte(web3PBKDF2))
	f.Add([]byte(web3Scrypt))
	f.Add(
		[]byte("\xef\xbb\xbf" +
			strings.NewReplacer(`": "`, `": "0x`, `"version": 3`, `"version": "3"`, `"crypto"`, `"Crypto"`).Replace(web3Scrypt)))
	for _, other := range foreignFiles {
		f.Add([]byte(other.text))
	}
	for _, v := range keyFiles(f) {
		f.Add([]byte(v.File))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		var parsed struct {
			Crypto envelope `json:"crypto"`
		}
		if err := decodeFile(file, &parsed); err == nil {
			if params := parsed.Crypto.KDFParams; params.N*params.R*params.P > 1<<10 || params.C > 1<<10 {
				return // right, and slow
			}
		}
		if _, err := k.Import(t.Context(), file, NewPassword(filePassword), testRelays()); err == nil {
			k = testOpen(t, &memory{})
		}
	})
}
