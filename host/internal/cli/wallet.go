package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// longestKeyFile bounds what is read of a key file, as the node does; real ones have some 500 bytes.
const longestKeyFile = 64 << 10

const aboutPasswords = "The password is read from --password-file, else from the terminal without showing\n" +
	"it, else from the first line of standard input. It is sent to the node as it is."

func (c *command) importKey() *cobra.Command {
	var passwordFile, relay string
	var empty bool
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Add a key from a wallet's or another node's key file", Args: one("a key file"),
		Example: "  loop keys import wallet.json --password-file wallet.password",
		Long: "import adds an account with a secp256k1 key from a file in version 3 of the Web3 Secret Storage\n" +
			"format, as geth and wallets write it, or an account, an OCR2 key bundle or a P2P key from an\n" +
			"established node's key file.\n" +
			aboutPasswords + "\nFor a file that was encrypted without a password, give --empty-password.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if empty && passwordFile != "" {
				return exit(ExitUsage, errors.New("--empty-password reads no password; leave one of it and --password-file out"))
			}
			file, err := read(args[0], longestKeyFile, "key file")
			if err != nil {
				return err
			}
			var password string
			if !empty {
				if password, err = c.password(passwordFile, "Password of "+args[0], false); err != nil {
					return err
				}
			}
			r, err := call(cmd.Context(), c, api.ImportKey,
				&nodev1.ImportKeyRequest{File: file, Password: password, Relay: relay})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { newKey(w, r.GetKey()) })
		},
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "",
		"file with the password; line ends at its end are not part of it")
	cmd.Flags().StringVar(&relay, "relay", "",
		"relay of a wallet's account (default: the only one whose accounts have such keys)")
	cmd.Flags().BoolVar(&empty, "empty-password", false,
		"open a file that was encrypted with an empty password; no password is read")
	return cmd
}

func (c *command) exportKey() *cobra.Command {
	var passwordFile, relay string
	cmd := &cobra.Command{
		Use: "export KEY FILE", Short: "Write a key into a key file",
		Example:           "  loop keys export 0x1202722523f86589562649536e6fa40642cCb942 wallet.json",
		ValidArgsFunction: c.complete(keyIDs),
		Long: "export writes an account with a secp256k1 key into a new file in version 3 of the Web3 Secret\n" +
			"Storage format, which geth and wallets read, and any other key into a file that established nodes\n" +
			"read. The file is for you only (mode 0600) and encrypted with a password of its own. An existing\n" +
			"file is never replaced.\n" +
			aboutPasswords,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("give a key's id and the file to write, and nothing else; see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, file := args[0], args[1]
			// Asked before a password is typed; what holds is that the file is made with O_EXCL.
			if _, err := os.Lstat(file); err == nil {
				return exit(ExitUsage, fmt.Errorf("%s exists, and is not replaced; name another file", file))
			}
			if _, err := os.Stat(filepath.Dir(file)); err != nil {
				return exit(ExitUsage, fmt.Errorf("%s has no folder to lie in: %w", file, err))
			}
			password, err := c.password(passwordFile, "Password for "+file, true)
			if err != nil {
				return err
			}
			r, err := call(cmd.Context(), c, api.ExportKey, &nodev1.ExportKeyRequest{Id: id, Password: password, Relay: relay})
			if err != nil {
				return err
			}
			if err := create(file, r.GetFile()); err != nil {
				return exit(ExitFailed, fmt.Errorf("writing the key file failed: %w", err))
			}
			if c.json {
				return c.print(map[string]string{"key": id, "file": file})
			}
			_, err = fmt.Fprintf(c.streams.Out, "key %s is in %s\n", id, file)
			return err
		},
	}
	cmd.Flags().StringVar(&relay, "relay", "", "relay of an account that several have (default: whichever has it)")
	cmd.Flags().StringVar(&passwordFile, "password-file", "",
		"file with the password; line ends at its end are not part of it")
	return cmd
}

// create makes a file that only the user can read, and replaces none. If it fails, it removes the file.
func create(file string, content []byte) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(file) // half a key is worse than none; the error is told
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

// password reads a password, never from the command line, which other users of the machine can see. One that is chosen
// on a terminal is asked for twice.
func (c *command) password(file, prompt string, chosen bool) (string, error) {
	if file != "" {
		content, err := read(file, longestKeyFile, "password")
		if err != nil {
			return "", err
		}
		return present(strings.TrimRight(string(content), "\r\n"), file, chosen)
	}
	in, ok := c.streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(c.streams.In, longestKeyFile)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", exit(ExitUsage, fmt.Errorf("reading the password from standard input failed: %w", err))
		}
		return present(strings.TrimRight(line, "\r\n"), "standard input", chosen)
	}
	password, err := c.ask(in, prompt)
	if err == nil && chosen {
		var again string
		if again, err = c.ask(in, "The same again"); err == nil && again != password {
			return "", exit(ExitUsage, errors.New("the two passwords differ; nothing was done, try again"))
		}
	}
	if err != nil {
		return "", exit(ExitUsage, fmt.Errorf("reading the password from the terminal failed: %w", err))
	}
	return present(password, "the terminal", chosen)
}

// present refuses an empty password, which is more often a mistake than an intention.
func present(password, from string, chosen bool) (string, error) {
	switch {
	case password != "":
		return password, nil
	case chosen:
		return "", exit(ExitUsage, fmt.Errorf("%s holds no password; name a file with one by --password-file", from))
	default:
		return "", exit(ExitUsage, fmt.Errorf("%s holds no password; name a file with one by --password-file, "+
			"or give --empty-password for a file that was encrypted without one", from))
	}
}

// ask reads a line from a terminal without showing it. If a signal ends the process, the terminal first gets its echo
// back.
func (c *command) ask(in *os.File, prompt string) (string, error) {
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", err
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer signal.Stop(told)
		select {
		case s := <-told:
			_ = term.Restore(int(in.Fd()), before)
			signal.Stop(told)
			if s, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(os.Getpid(), s)
			}
		case <-done:
		}
	}()
	_, _ = fmt.Fprint(c.streams.Err, prompt, ": ")
	defer fmt.Fprintln(c.streams.Err)
	typed, err := term.ReadPassword(int(in.Fd()))
	return string(typed), err
}
