// Sbflink links an object file of clang's BPF target into a program for Solana.
package main

import (
	"fmt"
	"os"

	"github.com/loop-plugins/loop/tools/devnet/chain/solana/internal/sbf"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbflink: "+err.Error())
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("got %d arguments; give the object file and the file for the program", len(args))
	}
	object, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	program, err := sbf.Link(object)
	if err != nil {
		return fmt.Errorf("link %s: %w", args[0], err)
	}
	return os.WriteFile(args[1], program, 0o644)
}
