package cli

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/job"
)

type api = nodev1connect.NodeServiceClient

func (c *command) jobs() *cobra.Command {
	add := &cobra.Command{
		Use: "add FILE", Short: "Check a job spec, store it and start the job (- reads standard input)",
		Example: "  loop jobs add feed.toml",
		Args:    one("the file of a job spec"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := c.spec(args[0])
			if err != nil {
				return err
			}
			r, err := call(cmd.Context(), c, api.AddJob, &nodev1.AddJobRequest{SpecToml: spec})
			if refused := refusedFor(err); refused != nil {
				printFindings(c.streams.Err, args[0], refused)
				return exit(ExitFailed, fmt.Errorf("the node refused %s, which has %s", args[0], count(refused.Problems)))
			}
			if err != nil {
				return err
			}
			printFindings(c.streams.Err, args[0], &job.Report{Warnings: findings(r.GetWarnings())})
			return c.show(r, func(w io.Writer) { jobTable(w, r.GetJob()) })
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the jobs", Args: none,
		Example: "  loop jobs list\n  loop jobs list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListJobs, &nodev1.ListJobsRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { jobTable(w, r.GetJobs()...) })
		},
	}
	rm := &cobra.Command{
		Use: "rm ID", Short: "Stop a job and remove it", Args: one("a job's id"),
		Example:           "  loop jobs rm 1",
		ValidArgsFunction: c.complete(jobIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := jobID(args[0])
			if err != nil {
				return err
			}
			r, err := call(cmd.Context(), c, api.RemoveJob, &nodev1.RemoveJobRequest{Id: id})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { fmt.Fprintf(w, "removed job %d\n", id) })
		},
	}
	return group("jobs", "Check, try, add, list, look into and remove jobs",
		add, c.validate(), c.try(), list, c.showJob(), c.jobRuns(), c.jobErrors(), c.revealJob(), rm)
}

func jobTable(w io.Writer, jobs ...*nodev1.Job) {
	row(w, "ID", "NAME", "TYPE", "RELAY", "CONTRACT", "STATE", "ERRORS", "AGE")
	for _, j := range jobs {
		state := stateName(j)
		if j.GetReason() != "" {
			state += ": " + brief(j.GetReason())
		}
		var errs uint64
		for _, e := range j.GetErrors() {
			errs += e.GetCount()
		}
		row(w, strconv.FormatInt(j.GetId(), 10), dash(j.GetName()), j.GetType(), j.GetRelay(), j.GetContractId(), state,
			strconv.FormatUint(errs, 10), age(j.GetCreatedAt()))
	}
}

// widestCell is how much of a sentence a table shows, in characters. The page of one job or plugin shows all of it.
const widestCell = 60

func brief(text string) string {
	if shown := []rune(text); len(shown) > widestCell {
		return string(shown[:widestCell-1]) + "…"
	}
	return text
}

func (c *command) keys() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the public sides of the node's keys", Args: none,
		Example: "  loop keys list\n  loop keys list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListKeys, &nodev1.ListKeysRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { keyTable(w, r.GetKeys()...) })
		},
	}
	var relay string
	create := &cobra.Command{
		Use: "create p2p|ocr2|RELAY", Short: "Create a key",
		Args:              one("a kind of key: p2p, ocr2, or the relay of an account"),
		Example:           "  loop keys create p2p\n  loop keys create ocr2 --relay acme\n  loop keys create acme",
		ValidArgsFunction: c.complete(keyKinds),
		Long:              "create creates a P2P key, an OCR2 key bundle, or an account of the relay that is named.",
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &nodev1.CreateKeyRequest{Relay: relay}
			switch args[0] {
			case "p2p":
				request.Kind = nodev1.KeyKind_KEY_KIND_P2P
			case "ocr2":
				request.Kind = nodev1.KeyKind_KEY_KIND_OCR2
			default:
				request.Kind, request.Relay = nodev1.KeyKind_KEY_KIND_ACCOUNT, args[0]
			}
			if relay != "" && request.Kind != nodev1.KeyKind_KEY_KIND_OCR2 {
				return exit(ExitUsage, fmt.Errorf("--relay is for keys of the kind ocr2; without it: loop keys create %s", args[0]))
			}
			r, err := call(cmd.Context(), c, api.CreateKey, request)
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { keyTable(w, r.GetKey()) })
		},
	}
	create.Flags().StringVar(&relay, "relay", "",
		"relay that an ocr2 key signs reports for (default: the only one that the node has chains of)")
	return group("keys", "List, create, import, export and audit keys, and move coins", list, create, c.auditKeys(),
		c.importKey(), c.exportKey(), c.transferCoins())
}

func keyTable(w io.Writer, keys ...*nodev1.Key) {
	row(w, "KIND", "ID", "PUBLIC KEYS")
	for _, k := range keys {
		public := ""
		if o := k.GetOcr2(); o != nil {
			public = fmt.Sprintf("offchain %x  config %x  onchain %x", o.GetOffchainPublicKey(),
				o.GetConfigEncryptionPublicKey(), o.GetOnchainPublicKey())
		}
		row(w, keyKind(k), k.GetId(), dash(public))
	}
}

// keyKind is what a key is for, and on which relay.
func keyKind(k *nodev1.Key) string {
	switch kind := strings.ToLower(strings.TrimPrefix(k.GetKind().String(), "KEY_KIND_")); k.GetKind() {
	case nodev1.KeyKind_KEY_KIND_OCR2:
		return kind + " (" + k.GetRelay() + ")"
	case nodev1.KeyKind_KEY_KIND_ACCOUNT:
		return k.GetRelay()
	default:
		return kind
	}
}

func (c *command) bridges() *cobra.Command {
	add := &cobra.Command{
		Use: "add NAME URL", Short: "Add a bridge to an external adapter",
		Example: "  loop bridges add prices http://127.0.0.1:8080",
		Args:    bridgeAndURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.AddBridge,
				&nodev1.AddBridgeRequest{Bridge: &nodev1.Bridge{Name: args[0], Url: args[1]}})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { bridgeTable(w, r.GetBridge()) })
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the bridges with their state", Args: none,
		Example: "  loop bridges list\n  loop bridges list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListBridges, &nodev1.ListBridgesRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { bridgeTable(w, r.GetBridges()...) })
		},
	}
	update := &cobra.Command{
		Use: "update NAME URL", Short: "Give a bridge another URL; jobs that use it go on",
		Example:           "  loop bridges update prices http://127.0.0.1:8081",
		ValidArgsFunction: c.complete(bridgeNames),
		Args:              bridgeAndURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.UpdateBridge,
				&nodev1.UpdateBridgeRequest{Bridge: &nodev1.Bridge{Name: args[0], Url: args[1]}})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { bridgeTable(w, r.GetBridge()) })
		},
	}
	rm := &cobra.Command{
		Use: "rm NAME", Short: "Remove a bridge that no job uses", Args: one("a bridge's name"),
		Example:           "  loop bridges rm prices",
		ValidArgsFunction: c.complete(bridgeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.RemoveBridge, &nodev1.RemoveBridgeRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { fmt.Fprintf(w, "removed bridge %s\n", args[0]) })
		},
	}
	return group("bridges", "Add, list, change and remove bridges", add, list, update, c.revealBridge(), rm)
}

func bridgeAndURL(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("give a bridge's name and its URL, and nothing else; see: %s --help", cmd.CommandPath())
	}
	return nil
}

func bridgeTable(w io.Writer, bridges ...*nodev1.Bridge) {
	row(w, "NAME", "URL", "AGE", "STATE")
	for _, b := range bridges {
		h := b.GetHealth()
		row(w, b.GetName(), b.GetUrl(), age(b.GetCreatedAt()), explained(partState(h), h.GetReason(), h.GetRemedy()))
	}
}

// partState is the state of a part of the node; a dash if the node has not looked at it.
func partState(h *nodev1.HealthCheck) string {
	if h == nil {
		return "-"
	}
	return strings.ToLower(strings.TrimPrefix(h.GetState().String(), "STATE_"))
}

func (c *command) plugins() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the plugins with their state", Args: none,
		Example: "  loop plugins list\n  loop plugins list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListPlugins, &nodev1.ListPluginsRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { pluginTable(w, r.GetPlugins()) })
		},
	}
	return group("plugins", "List, inspect and restart plugins", list, c.inspect(), c.pluginLogs(), c.restart())
}

func pluginTable(w io.Writer, plugins []*nodev1.PluginStatus) {
	row(w, "NAME", "KIND", "STATE", "PROCESS", "PID", "GENERATION", "RESTARTS", "OBJECTS", "UP", "STANDBY", "CONFINEMENT",
		"VERSION",
		"LAST EXIT")
	for _, p := range plugins {
		pid := "in-process"
		if !p.GetInProcess() {
			pid = strconv.Itoa(int(p.GetPid()))
		}
		open := 0
		for _, o := range p.GetObjects() {
			if o.GetState() == nodev1.ObjectState_OBJECT_STATE_OPEN {
				open++
			}
		}
		process := strings.ToLower(strings.TrimPrefix(p.GetState().String(), "PLUGIN_STATE_"))
		row(w, p.GetName(), p.GetKind(), partState(p.GetHealth()), process, pid, strconv.FormatUint(p.GetGeneration(), 10),
			strconv.FormatUint(p.GetRestarts(), 10),
			fmt.Sprintf("%d/%d", open, len(p.GetObjects())), age(p.GetReadyAt()), standby(p.GetStandby()),
			dash(p.GetConfinement()),
			dash(p.GetVersion()), dash(brief(p.GetLastExit())))
	}
}

// standby is the process that stands by; a dash if there should be none.
func standby(s *nodev1.StandbyStatus) string {
	switch {
	case s == nil:
		return "-"
	case s.GetPid() == 0:
		return "none"
	}
	return strconv.Itoa(int(s.GetPid()))
}

// masked is a URL for a terminal, on which a password does not belong.
func masked(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Redacted()
}

// one wants exactly one argument, and says which.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("give %s, and nothing else; see: %s --help", what, cmd.CommandPath())
		}
		return nil
	}
}

// atMostOne wants one argument or none, and says which.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("give at most %s; see: %s --help", what, cmd.CommandPath())
		}
		return nil
	}
}

func (c *command) spec(file string) (string, error) {
	if file != "-" {
		b, err := read(file, job.MaxSize, "job spec")
		return string(b), err
	}
	b, err := readAll(c.streams.In, "standard input", job.MaxSize, "job spec")
	return string(b), err
}

// read reads a file that should not be longer than most.
func read(file string, most int, what string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, exit(ExitUsage, fmt.Errorf("reading the %s failed: %w", what, err))
	}
	defer f.Close()
	return readAll(f, file, most, what)
}

func readAll(in io.Reader, from string, most int, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, int64(most)+1))
	if err != nil {
		return nil, exit(ExitUsage, fmt.Errorf("reading the %s failed: %w", what, err))
	}
	if len(b) > most {
		return nil, exit(ExitUsage, fmt.Errorf("%s is longer than a %s may be (%d bytes)", from, what, most))
	}
	return b, nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func age(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return max(0, time.Since(t.AsTime())).Round(time.Second).String() // another clock may go before this one
}
