package faulty

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

// The process's own descriptors: go-plugin swaps os.Stdout and os.Stderr for pipes of its own until Init.
var ownStdout, ownStderr = os.Stdout, os.Stderr

// poison are lines that have ended hosts: JSON whose fields are of types that a log does not have.
const poison = `{"@message":1}
{"@level":"info","@message":5}
{"@level":7,"@message":"x","@timestamp":[]}
{"msg":null}
{"@message":"x","@level":
`

// noise writes what a configuration asks for: "noise stderr N" N random bytes with line ends among them, "noise stdout
// N" one line of N bytes, "noise poison 1" the lines above on both.
func noise(config string) error {
	what, ok := strings.CutPrefix(config, Noise)
	if !ok {
		return nil
	}
	where, amount, _ := strings.Cut(what, " ")
	n, err := strconv.Atoi(amount)
	if err != nil {
		return fmt.Errorf("the noise %q has no amount", what)
	}
	switch where {
	case "stderr":
		// 1 MiB of random bytes, again and again: making a gigabyte of them would be measured too.
		seed := sha256.Sum256([]byte(config))
		block := make([]byte, 1<<20)
		random := rand.New(rand.NewChaCha8(seed))
		for i := 0; i+8 <= len(block); i += 8 {
			binary.LittleEndian.PutUint64(block[i:], random.Uint64())
		}
		return repeat(ownStderr, block, n)
	case "stdout":
		if err := repeat(ownStdout, bytes.Repeat([]byte("x"), 1<<20), n); err != nil {
			return err
		}
		_, err := ownStdout.WriteString("\n")
		return err
	case "poison":
		for _, f := range []*os.File{ownStderr, ownStdout, os.Stderr, os.Stdout} {
			if _, err := f.WriteString(poison); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("noise is made on stderr or stdout, or is poison")
}

func repeat(f *os.File, block []byte, n int) error {
	for n > 0 {
		m := min(n, len(block))
		if _, err := f.Write(block[:m]); err != nil {
			return err
		}
		n -= m
	}
	return nil
}
