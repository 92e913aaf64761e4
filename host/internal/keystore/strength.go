package keystore

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

const (
	// minPassword is the least length of a password that protects keys, in characters: established nodes ask for as many.
	// An attacker who has the file can try passwords, and only the cost of deriving a key slows that down.
	minPassword = 16
	// minUnknown is how many characters a password must have that common does not explain. minDifferent is how many of
	// these, and of all, must differ.
	minUnknown   = 8
	minDifferent = 5
	// minChunk is the least length of a part that common explains: shorter parts occur in any text.
	minChunk = 4
)

// common are texts that are tried before any others: the alphabet, rows of keyboards, digits in their order, and words
// of passwords. Their parts count for as little, forwards and backwards.
var common = func() [][]byte {
	var all [][]byte
	for _, text := range []string{
		"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop[]", "qwertzuiop", "azertyuiop", "asdfghjkl;'",
		"zxcvbnm,./",
		"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.", "!@#$%^&*()_+",
		"password", "passphrase", "passw0rd", "p@ssw0rd", "p@ssword", "secret", "changeme", "letmein", "welcome", "default",
		"example",
		"admin", "administrator", "operator", "keystore", "oracle", "chainlink", "looploop", "database", "testtest", "foobar",
	} {
		forward := []byte(text)
		backward := bytes.Clone(forward)
		for i, j := 0, len(backward)-1; i < j; i, j = i+1, j-1 {
			backward[i], backward[j] = backward[j], backward[i]
		}
		all = append(all, forward, backward)
	}
	return all
}()

// weakness says why a password does not protect keys; nil: it may. It tells nothing of the password but its length.
func (p Password) weakness() error {
	text := bytes.ToLower(p.bytes())
	defer clear(text)
	if len(text) == 0 {
		return fmt.Errorf("the password is empty: choose one of at least %d characters: %w", minPassword, ErrInvalid)
	}
	var why string
	switch unknown := unexplained(text); {
	case utf8.RuneCount(text) < minPassword:
		why = fmt.Sprintf("it has %d characters, and %d are the least", utf8.RuneCount(text), minPassword)
	case period(text) < minUnknown:
		why = "it is a short text that repeats"
	case different(text) < minDifferent:
		why = fmt.Sprintf("fewer than %d of its characters differ", minDifferent)
	case unknown < minUnknown:
		why = "it is made of words, rows of keys and numbers that are tried first"
	default:
		return nil
	}
	return fmt.Errorf("the password is too weak to protect keys: %s; choose another, such as openssl rand -base64 24 "+
		"makes: %w",
		why, ErrInvalid)
}

// unexplained is how many bytes of a text are in no part of common.
func unexplained(text []byte) int {
	left := 0
	for at := 0; at < len(text); {
		chunk := 0
		for _, known := range common {
			for n := max(chunk+1, minChunk); at+n <= len(text) && bytes.Contains(known, text[at:at+n]); n++ {
				chunk = n
			}
		}
		if chunk == 0 {
			left, chunk = left+1, 1
		}
		at += chunk
	}
	return left
}

// period is the length of the shortest text that a text repeats.
func period(text []byte) int {
	for n := 1; n < len(text); n++ {
		if bytes.Equal(text[n:], text[:len(text)-n]) {
			return n
		}
	}
	return len(text)
}

func different(text []byte) int {
	var seen [256]bool
	count := 0
	for _, b := range text {
		if !seen[b] {
			seen[b], count = true, count+1
		}
	}
	return count
}
