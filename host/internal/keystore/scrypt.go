package keystore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// golang.org/x/crypto has both derivations, but makes strings of the password, which nothing can overwrite: they stay
// in the memory of a node for as long as it runs. These functions take bytes and leave no copy. HMAC keeps them only
// mixed with its pads.

// pbkdf2 is PBKDF2 of RFC 8018 with HMAC-SHA-256.
func pbkdf2(password, salt []byte, rounds, length int) []byte {
	mac := hmac.New(sha256.New, password)
	key := make([]byte, 0, length+sha256.Size)
	block, sum := make([]byte, 4), make([]byte, 0, sha256.Size)
	for number := uint32(1); len(key) < length; number++ {
		binary.BigEndian.PutUint32(block, number)
		mac.Reset()
		mac.Write(salt)
		mac.Write(block)
		key = mac.Sum(key)
		last := key[len(key)-sha256.Size:]
		sum = append(sum[:0], last...)
		for range rounds - 1 {
			mac.Reset()
			mac.Write(sum)
			sum = mac.Sum(sum[:0])
			for i, b := range sum {
				last[i] ^= b
			}
		}
	}
	return key[:length]
}

// derive makes a key of a password, as scrypt of RFC 7914 does. Check has passed the cost.
func (s Scrypt) derive(password, salt []byte, length int) []byte {
	size := 128 * s.R
	mixed := pbkdf2(password, salt, 1, s.P*size)
	words, memory := make([]uint32, size/2), make([]uint32, s.N*size/4)
	for part := 0; part < len(mixed); part += size {
		s.mix(mixed[part:part+size], words, memory)
	}
	return pbkdf2(password, mixed, 1, length)
}

// mix is scryptROMix. words has room for two blocks, and memory for N.
func (s Scrypt) mix(block []byte, words, memory []uint32) {
	n := len(block) / 4
	x, y := words[:n], words[n:]
	for i := range x {
		x[i] = binary.LittleEndian.Uint32(block[4*i:])
	}
	for i := range s.N {
		copy(memory[i*n:], x)
		blockMix(x, y)
		x, y = y, x
	}
	for range s.N {
		at := int(x[n-16]&uint32(s.N-1)) * n
		for i, word := range memory[at : at+n] {
			x[i] ^= word
		}
		blockMix(x, y)
		x, y = y, x
	}
	for i, word := range x {
		binary.LittleEndian.PutUint32(block[4*i:], word)
	}
}

// blockMix is scryptBlockMix.
func blockMix(in, out []uint32) {
	var x [16]uint32
	copy(x[:], in[len(in)-16:])
	for at := 0; at < len(in); at += 32 {
		salsa(&x, in[at:at+16])
		copy(out[at/2:], x[:])
		salsa(&x, in[at+16:at+32])
		copy(out[(len(out)+at)/2:], x[:])
	}
}

// salsa is Salsa20/8 of x xor in, into x.
func salsa(x *[16]uint32, in []uint32) {
	for i := range x {
		x[i] ^= in[i]
	}
	x0, x1, x2, x3, x4, x5, x6, x7 := x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
	x8, x9, x10, x11, x12, x13, x14, x15 := x[8], x[9], x[10], x[11], x[12], x[13], x[14], x[15]
	for range 4 {
		// The columns.
		x4 ^= bits.RotateLeft32(x0+x12, 7)
		x9 ^= bits.RotateLeft32(x5+x1, 7)
		x14 ^= bits.RotateLeft32(x10+x6, 7)
		x3 ^= bits.RotateLeft32(x15+x11, 7)
		x8 ^= bits.RotateLeft32(x4+x0, 9)
		x13 ^= bits.RotateLeft32(x9+x5, 9)
		x2 ^= bits.RotateLeft32(x14+x10, 9)
		x7 ^= bits.RotateLeft32(x3+x15, 9)
		x12 ^= bits.RotateLeft32(x8+x4, 13)
		x1 ^= bits.RotateLeft32(x13+x9, 13)
		x6 ^= bits.RotateLeft32(x2+x14, 13)
		x11 ^= bits.RotateLeft32(x7+x3, 13)
		x0 ^= bits.RotateLeft32(x12+x8, 18)
		x5 ^= bits.RotateLeft32(x1+x13, 18)
		x10 ^= bits.RotateLeft32(x6+x2, 18)
		x15 ^= bits.RotateLeft32(x11+x7, 18)
		// The rows.
		x1 ^= bits.RotateLeft32(x0+x3, 7)
		x6 ^= bits.RotateLeft32(x5+x4, 7)
		x11 ^= bits.RotateLeft32(x10+x9, 7)
		x12 ^= bits.RotateLeft32(x15+x14, 7)
		x2 ^= bits.RotateLeft32(x1+x0, 9)
		x7 ^= bits.RotateLeft32(x6+x5, 9)
		x8 ^= bits.RotateLeft32(x11+x10, 9)
		x13 ^= bits.RotateLeft32(x12+x15, 9)
		x3 ^= bits.RotateLeft32(x2+x1, 13)
		x4 ^= bits.RotateLeft32(x7+x6, 13)
		x9 ^= bits.RotateLeft32(x8+x11, 13)
		x14 ^= bits.RotateLeft32(x13+x12, 13)
		x0 ^= bits.RotateLeft32(x3+x2, 18)
		x5 ^= bits.RotateLeft32(x4+x7, 18)
		x10 ^= bits.RotateLeft32(x9+x8, 18)
		x15 ^= bits.RotateLeft32(x14+x13, 18)
	}
	for i, word := range [16]uint32{x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15} {
		x[i] += word
	}
}
