package keystore

import (
	"encoding/json"
	"strings"
	"testing"

	web3 "github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/loop-plugins/loop/host/internal/database"
)

// The two test vectors of the Web3 Secret Storage definition, with its password.
const (
	web3Password = "testpassword"
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
			account, err := k.ImportEVM(t.Context(), []byte(file), NewPassword(web3Password))
			if err != nil {
				t.Fatal(err)
			}
			if account.ID() != web3Address {
				t.Errorf("account %s", account.ID())
			}
		})
	}
}

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	from, to := testOpen(t, &memory{}), testOpen(t, &memory{})
	account, err := from.CreateAccount(t.Context(), ChainEVM)
	if err != nil {
		t.Fatal(err)
	}
	password := NewPassword("of the file")
	file, err := from.ExportEVM(strings.ToLower(account.ID()), password)
	if err != nil {
		t.Fatal(err)
	}
	// Another implementation of the format reads it.
	if decrypted, err := web3.DecryptKey(file, "of the file"); err != nil || decrypted.Address.Hex() != account.ID() {
		t.Errorf("go-ethereum reads %v", err)
	}
	imported, err := to.ImportEVM(t.Context(), file, password)
	if err != nil {
		t.Fatal(err)
	}
	if imported.ID() != account.ID() || to.Accounts(ChainEVM)[0] != account.ID() {
		t.Errorf("imported %s", imported.ID())
	}
	_, err = from.ImportEVM(t.Context(), file, password)
	wantError(t, err, database.ErrExists, account.ID())
	_, err = to.ImportEVM(t.Context(), file, NewPassword("of another file"))
	wantError(t, err, ErrInvalid, "the password does not open the file")
	_, err = to.ExportEVM(web3Address, password)
	wantError(t, err, ErrNotFound, web3Address)
	_, err = to.ExportEVM(account.ID(), Password{})
	wantError(t, err, ErrInvalid, "password is empty")
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	k := testOpen(t, &memory{})
	account, err := k.CreateAccount(t.Context(), ChainEVM)
	if err != nil {
		t.Fatal(err)
	}
	password := NewPassword("x")
	good, err := k.ExportEVM(account.ID(), password)
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
		"version as text":  {func(f object) { f["version"] = "1" }, "version"},
		"no version":       {func(f object) { delete(f, "version") }, "version is 0"},
		"other address":    {func(f object) { f["address"] = web3Address }, "address says"},
		"no crypto":        {func(f object) { delete(f, "crypto") }, "crypto.cipher"},
		"other cipher":     {func(f object) { crypto(f)["cipher"] = "aes-128-cbc" }, "crypto.cipher"},
		"short iv":         {func(f object) { crypto(f)["cipherparams"] = object{"iv": "00"} }, "crypto.cipherparams.iv has 1 bytes"},
		"no iv":            {func(f object) { delete(crypto(f), "cipherparams") }, "crypto.cipherparams.iv"},
		"odd mac":          {func(f object) { crypto(f)["mac"] = "0" }, "crypto.mac is not hex"},
		"other mac":        {func(f object) { crypto(f)["mac"] = strings.Repeat("0", 64) }, "the file was altered"},
		"short ciphertext": {func(f object) { crypto(f)["ciphertext"] = "00" }, "crypto.ciphertext has 1 bytes"},
		"no kdf":           {func(f object) { delete(crypto(f), "kdf") }, "crypto.kdf is"},
		"no params":        {func(f object) { delete(crypto(f), "kdfparams") }, "crypto.kdfparams.dklen"},
		"short dklen":      {func(f object) { params(f)["dklen"] = 16 }, "crypto.kdfparams.dklen is 16"},
		"no n":             {func(f object) { delete(params(f), "n") }, "crypto.kdfparams: scrypt N is 0"},
		"huge n":           {func(f object) { params(f)["n"] = 1 << 40 }, "1024 MiB"},
		"n as text":        {func(f object) { params(f)["n"] = "2" }, "n of type int"},
		"salt not hex":     {func(f object) { params(f)["salt"] = "zz" }, "crypto.kdfparams.salt"},
		"pbkdf2 without c": {func(f object) { crypto(f)["kdf"] = "pbkdf2" }, "crypto.kdfparams.c is 0"},
		"pbkdf2, huge c":   {func(f object) { crypto(f)["kdf"] = "pbkdf2"; params(f)["c"] = 1 << 40 }, "crypto.kdfparams.c is"},
		"pbkdf2, no prf":   {func(f object) { crypto(f)["kdf"] = "pbkdf2"; params(f)["c"] = 1 }, "crypto.kdfparams.prf"},
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
			_, err = k.ImportEVM(t.Context(), text, password)
			wantError(t, err, ErrInvalid, test.part, "import an EVM account")
		})
	}
	for name, text := range map[string]string{"empty": "", "no object": "[]", "cut": string(good[:100]), "huge": strings.Repeat(" ", maxWeb3File+1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := k.ImportEVM(t.Context(), []byte(text), password)
			wantError(t, err, ErrInvalid)
		})
	}
	if accounts := k.Accounts(ChainEVM); len(accounts) != 1 {
		t.Errorf("accounts %v", accounts)
	}
}

func FuzzImport(f *testing.F) {
	k := testOpen(f, &memory{})
	account, err := k.CreateAccount(f.Context(), ChainEVM)
	if err != nil {
		f.Fatal(err)
	}
	file, err := k.ExportEVM(account.ID(), NewPassword("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte(web3PBKDF2))
	f.Add([]byte(web3Scrypt))
	f.Fuzz(func(t *testing.T, file []byte) {
		parsed, err := parseWeb3(file)
		if err != nil {
			return
		}
		if params := parsed.Crypto.KDFParams; params.N*params.R*params.P > 1<<10 || params.C > 1<<10 {
			return // right, and slow
		}
		if _, err := k.ImportEVM(t.Context(), file, NewPassword("x")); err == nil {
			k = testOpen(t, &memory{})
		}
	})
}
