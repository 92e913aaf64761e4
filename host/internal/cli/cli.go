// Package cli is the command line of a node. It starts a node, controls a running one over the operator's API, and
// handles job specs without a node.
//
// It must not know how a node works: everything that it shows about one comes from the API.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/host/internal/build"
	"github.com/loop-plugins/loop/host/internal/fallback"
)

// The exit codes of loop; exitCodes says what each means.
const (
	// ExitFailed is any failure without a code of its own.
	ExitFailed = iota + 1
	ExitUsage
	ExitPlugin
	ExitUnreachable
)

// exitCodes are the meanings of the exit codes, from 0.
var exitCodes = [...]string{
	"done",
	ExitFailed:      "the node refused or failed, a spec is not valid, or a trial or the doctor found a fault",
	ExitUsage:       "the command line or the configuration is wrong",
	ExitPlugin:      "a plugin does not start: its command, its program, its kind or its version is wrong",
	ExitUnreachable: "no node answers or, when a node is checked, no RPC node of a chain",
}

// Error is an error with an exit code.
type Error struct {
	Code int
	Err  error
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap implements errors.Unwrap.
func (e *Error) Unwrap() error { return e.Err }

func exit(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{code, err}
}

// exitCode is the exit code for an error of the root command.
func exitCode(err error) int {
	var e *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Code
	}
	return ExitUsage // cobra's own: an unknown command or flag
}

// Streams are the inputs and outputs of the command, its environment and the built-in plugins.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Environ are the environment variables in the form of os.Environ, without the keystore's password.
	Environ []string
	// Password is the value of CL_PASSWORD_KEYSTORE, which is overwritten after use; nil if it is not set.
	Password []byte
	// Builtin are the plugins that a node can run inside its own process, by name.
	Builtin map[string]fallback.Plugin
}

// timeout bounds a call to a node. Adding a job to a busy node is the slowest.
const timeout = 30 * time.Second

// command is what the subcommands share.
type command struct {
	streams Streams
	target  target
	json    bool
}

// Run executes a command line, reports errors, and returns the exit code.
func Run(s Streams) int {
	s.Out, s.Err = &printable{out: s.Out}, &printable{out: s.Err}
	err := rootCommand(s).Execute()
	if err != nil {
		_, _ = fmt.Fprintln(s.Err, "loop:", err) // nobody is left to tell
	}
	return exitCode(err)
}

// rootCommand is the root command.
func rootCommand(s Streams) *cobra.Command {
	c := &command{streams: s, target: target{environ: s.Environ, builtin: slices.Sorted(maps.Keys(s.Builtin))}}
	root := group("loop", "An oracle node whose chains and products run as plugins",
		c.node(), c.jobs(), c.rounds(), c.chains(), c.keys(), c.bridges(), c.plugins(), c.tokens(), c.doctor(),
		c.logLevel(), c.create(), c.version(), c.manual())
	root.Long = root.Short + ".\n\nExit codes:"
	for code, meaning := range exitCodes {
		root.Long += fmt.Sprintf("\n  %d  %s", code, meaning)
	}
	root.Version, root.SilenceErrors, root.SilenceUsage = build.Version(), true, true
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit(ExitUsage, fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath()))
	})
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", "FlagUsagesWrapped 100"))
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.InitDefaultCompletionCmd() // now, for those who look the command up
	c.target.flags(root)
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON in place of a table")
	return root
}

// call asks the node, and turns an error into one sentence.
func call[Q, R any](
	ctx context.Context, c *command, method func(api, context.Context, *Q) (*R, error), request *Q,
) (*R, error) {
	client, err := c.target.client(ctx)
	if err == nil {
		var reply *R
		if reply, err = method(client, ctx, request); err == nil {
			return reply, nil
		}
	}
	return nil, explain(c.target.name(), err)
}

// explain gives the error of a call to a node its exit code and what to do.
func explain(node string, err error) error {
	var done *Error
	var answer *connect.Error
	switch {
	case errors.As(err, &done):
		return err
	case !errors.As(err, &answer) || !connect.IsWireError(err):
		return exit(ExitUnreachable, &silence{node, reason(err)})
	case answer.Code() == connect.CodeUnauthenticated:
		return exit(ExitFailed,
			fmt.Errorf("%s; name a file with one by --token-file or LOOP_NODE_TOKEN_FILE", answer.Message()))
	}
	return exit(ExitFailed, &refusal{answer})
}

// reason is why a call had no answer. It leaves out what the caller says about the node anyway.
func reason(err error) error {
	var ce *connect.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &ce) && ce.Code() == connect.CodeDeadlineExceeded:
		return fmt.Errorf("no answer within %s", timeout)
	case errors.As(err, &ce) && ce.Code() == connect.CodeUnimplemented:
		return errors.New("something does, without the operator's API: off loopback that is served by TLS, see " +
			"[WebServer.TLS]")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("permission denied: it is for the node's own user and root")
	case errors.As(err, &dial) && dial.Net == "unix":
		return dial.Err // the socket is named already
	case ce != nil:
		return ce.Unwrap()
	}
	return err
}

// silence is the error of a node that does not answer.
type silence struct {
	node string
	err  error
}

func (s *silence) Error() string {
	return s.short() + "; start one with: loop node start, or name another with --socket or --url"
}

// short leaves out what to do.
func (s *silence) short() string { return fmt.Sprintf("no node answers at %s (%v)", s.node, s.err) }

func (s *silence) Unwrap() error { return s.err }

// refusal is a node's error without the name of its code, which means nothing to people.
type refusal struct{ error *connect.Error }

func (r *refusal) Error() string { return r.error.Message() }

func (r *refusal) Unwrap() error { return r.error }

// print writes v as indented JSON.
func (c *command) print(v any) error {
	e := json.NewEncoder(c.streams.Out)
	e.SetEscapeHTML(false) // specs have arrows
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// show writes a reply as JSON or by its table.
func (c *command) show(reply proto.Message, table func(io.Writer)) error {
	if c.json {
		v, err := document(reply)
		if err != nil {
			return err
		}
		return c.print(v)
	}
	w := tabwriter.NewWriter(c.streams.Out, 0, 4, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// row writes one line of a table.
func row(w io.Writer, cells ...string) {
	shown := make([]string, len(cells))
	for at, text := range cells {
		shown[at] = cell(text)
	}
	_, _ = fmt.Fprintln(w, strings.Join(shown, "\t")) // the tabwriter keeps the error for Flush
}

// group returns a command that has subcommands only. Without a known one it prints what there is. Its examples are the
// first of each.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("there is no command %q; see: %s --help", cmd.CommandPath()+" "+args[0], cmd.CommandPath())
		}
		return nil
	}, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	g.AddCommand(subs...)
	var examples []string
	for _, sub := range subs {
		if first, _, _ := strings.Cut(sub.Example, "\n"); first != "" {
			examples = append(examples, first)
		}
	}
	g.Example = strings.Join(examples, "\n")
	return g
}
