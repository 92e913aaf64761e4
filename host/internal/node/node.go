// Package node builds a node from its parts, starts and ends it, and keeps the states of its parts.
//
// It decides what runs and in which order. The parts decide how a job observes, how a plugin is restarted or how a key
// is kept; this package must not know. Nor must it know what an operator's call looks like: package api answers them
// by what this one exports, and is mounted by a setting.
package node

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/door"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/lines"
	"github.com/loop-plugins/loop/host/internal/oracle"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/host/internal/signing"
	"github.com/loop-plugins/loop/host/internal/web"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// Settings configure a node.
type Settings struct {
	Config  *config.Config
	Logger  *slog.Logger
	Version string
	// Builtin are the plugins that the node can run inside its own process, by name.
	Builtin map[string]fallback.Plugin
	// Level is the level of Logger, which may change while the node runs. Default: one that nobody reads.
	Level *slog.LevelVar
	// Reread reads the configuration again, as far as possible if there is an error. Default: there is none to read.
	Reread func() (*config.Config, error)
	// API makes what answers the node's operators, under the path that it is served at. Start needs it, Check does not.
	API func(*Node, connect.HandlerOption) (path string, api http.Handler)
	// Scrypt is what the keystore's password costs to try, in a keystore that is made anew. Default: DefaultScrypt.
	Scrypt keystore.Scrypt
	// Alone reports whether this process starts only plugins. Then it adopts their orphans.
	Alone bool
}

// Node is a running node.
type Node struct {
	settings  Settings
	logger    *slog.Logger
	startedAt time.Time
	ready     atomic.Bool
	stops     atomic.Bool

	registry  *prometheus.Registry
	database  *database.Database
	keys      *keystore.Keystore
	telemetry *hostservice.Telemetry
	runtime   *loophost.Runtime
	builtin   relayers // the built-in ones
	accounts  accounts
	contracts *signing.Contracts
	transfers *signing.Transfers
	signed    *signing.Record
	tables    tables // of chains
	plugins   *plugins
	peer      *oracle.Peer
	runner    *pipeline.Runner
	history   *history.History
	handovers *oracle.Handovers
	jobs      *jobs
	states    *states
	sources   *sources
	metrics   *oracle.Metrics
	web       *web.Server

	reloading sync.Mutex
	reread    reread

	level *slog.LevelVar
	lines *lines.Lines // of plugins
}

// socketHint says how an operator chooses another folder for sockets.
const socketHint = "name another by [Plugins] SocketDir"

func newNode(s Settings) *Node {
	n := &Node{
		startedAt: time.Now(), registry: prometheus.NewRegistry(), tables: tables{chains: s.Config.Chains},
		lines: lines.New(), level: s.Level,
	}
	s.Logger = slog.New(n.lines.Handler(s.Logger.Handler()))
	if n.level == nil {
		n.level = &slog.LevelVar{}
		n.level.Set(level(s.Config.Log.Level))
	}
	n.settings, n.logger = s, s.Logger
	return n
}

// Start starts a node: database, keys, plugins, network, jobs, and last the readiness of its HTTP server. If a part
// fails, Start ends those before it and returns the error: one sentence for people.
func Start(ctx context.Context, s Settings) (_ *Node, err error) {
	n := newNode(s)
	s = n.settings
	defer func() {
		if err != nil {
			n.Close(context.WithoutCancel(ctx))
		}
	}()
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(s.Version))
	n.sources, n.metrics = newSources(n.registry), oracle.NewMetrics(n.registry)
	for _, stage := range []func(context.Context) error{n.check, n.open, n.launch, n.startJobs} {
		if err = stage(ctx); err != nil {
			return nil, err
		}
	}
	n.ready.Store(true)
	n.states.look(ctx) // so that no list lacks the state of a part
	n.states.watch()
	s.Logger.Info("the node is ready", "version", s.Version,
		"http", n.web.Address(), "https", n.web.TLSAddress(), "socket", n.Socket(),
		"peer", n.peer.ID(), "plugins", len(n.runtime.Plugins()), "jobs", n.jobs.count())
	return n, nil
}

// check finds the problems that can be found before anything is made or started.
func (n *Node) check(ctx context.Context) (err error) {
	if n.builtin, err = builtinRelayers(ctx, n.settings); err != nil {
		return err
	}
	if len(n.foreign()) > 0 {
		return nil
	}
	return n.checkConfig(ctx, n.builtin)
}

// open makes the parts that plugins and jobs need. The server starts before the plugins, so that one can watch a long
// start.
func (n *Node) open(ctx context.Context) (err error) {
	s := n.settings
	if n.database, err = database.Open(ctx,
		database.Settings{Path: s.Config.Database.Path, Logger: s.Logger}); err != nil {
		return err
	}
	if n.keys, err = keystore.Open(ctx,
		keystore.Settings{Store: n.database, Password: keystore.NewPassword(s.Config.Keystore.Password.Take()),
			Logger: s.Logger, Scrypt: s.Scrypt, Before: n.before}); err != nil {
		return err
	}
	debug.FreeOSMemory() // of what the password took
	if err = n.database.SealWith(ctx, n.keys); err != nil {
		return err
	}
	if n.telemetry, err = hostservice.NewTelemetry(hostservice.TelemetrySettings{Registerer: n.registry,
		Logger: s.Logger}); err != nil {
		return err
	}
	if n.runtime, err = loophost.New(loophost.Settings{
		Logger:         s.Logger,
		PluginLogLevel: n.level,
		Registerer:     n.registry,
		SocketDir:      s.Config.Plugins.SocketDir,
		SocketHint:     socketHint,
		Version:        s.Version,
		Telemetry:      n.telemetry,
		StopTimeout:    s.Config.Plugins.StopTimeout.Duration,
		HealthInterval: s.Config.Plugins.HealthInterval.Duration,
		Keep:           s.Config.Kept(),
		Adopt:          s.Alone,
		HealthTimeout:  s.Config.Plugins.HealthTimeout.Duration,
	}); err != nil {
		return err
	}
	n.states = newStates(n)
	n.web, err = n.serve()
	return err
}

// launch starts the plugins and makes their chains.
func (n *Node) launch(ctx context.Context) (err error) {
	if n.plugins, err = launch(ctx, n); err != nil {
		return err
	}
	if err = n.prepare(ctx); err != nil {
		return err
	}
	// The accounts of isolated jobs must be reserved before a shared process can look for work.
	n.jobs = newJobs(n)
	n.registry.MustRegister(collector{n})
	if err = n.jobs.reserveStored(ctx); err != nil {
		return err
	}
	return n.plugins.makeChains(ctx, n.lend)
}

// startJobs makes what runs jobs, and starts those that are stored.
func (n *Node) startJobs(ctx context.Context) (err error) {
	s := n.settings
	if n.peer, err = oracle.NewPeer(oracle.PeerSettings{Config: s.Config.P2P, TraceLogging: s.Config.OCR2.TraceLogging,
		Keys: n.keys, Database: n.database, Registerer: n.registry, Logger: s.Logger}); err != nil {
		return err
	}
	if n.runner, err = pipeline.NewRunner(pipeline.Settings{
		Bridges:            bridges{n.database},
		Contracts:          contracts{n.plugins},
		MaxRunDuration:     s.Config.JobPipeline.MaxRunDuration.Duration,
		DefaultHTTPTimeout: s.Config.JobPipeline.HTTPRequest.DefaultTimeout.Duration,
		MaxResponse:        s.Config.JobPipeline.HTTPRequest.MaxSize,
		Ended:              n.sources.ended,
		Asked:              n.sources.asked,
		Logger:             s.Logger,
	}); err != nil {
		return err
	}
	n.handovers = oracle.NewHandovers(n.logger)
	n.history = history.New(history.Settings{Database: n.database, Limits: s.Config.JobPipeline, Logger: s.Logger})
	return n.jobs.startStored(ctx)
}

// prepare prepares what chains and jobs need: a configuration that its relayers have checked, and keys for each
// relayer.
func (n *Node) prepare(ctx context.Context) error {
	if err := n.checkConfig(ctx, n.plugins.known); err != nil {
		return err
	}
	var err error
	n.transfers = signing.NewTransfers()
	if n.contracts, err = signing.NewContracts(ctx, n.database); err != nil {
		return err
	}
	if n.signed, err = signing.NewRecord(ctx, n.database, n.registry, n.logger); err != nil {
		return err
	}
	var wanted []keystore.Wanted
	for _, name := range slices.Sorted(maps.Keys(n.plugins.shared)) {
		if s := n.plugins.shared[name]; s.plugin.Status().State == supervise.Ready {
			wanted = append(wanted, n.wanted(s.relayer)) // one that is down has its keys from when it was not
		}
	}
	if err = n.keys.EnsureDefaults(ctx, wanted...); err != nil {
		return err
	}
	if _, err = oracle.Identity(n.keys, n.settings.Config.P2P.PeerID); err != nil {
		return &configError{err}
	}
	return nil
}

// before says which keys the built-in relayers had when keys did not say it themselves.
func (n *Node) before(relay string) (account, report keystore.Algorithm, ok bool) {
	r := n.builtin[relay]
	if r == nil {
		return 0, 0, false
	}
	return r.AccountAlgorithm(), r.ReportAlgorithm(), true
}

// Address returns host:port of the node's HTTP server.
func (n *Node) Address() string { return n.web.Address() }

// Socket returns the path of the unix socket on which the node serves its operators.
func (n *Node) Socket() string { return n.settings.Config.WebServer.Socket }

// Close ends the node: jobs, network, plugins, server, database. ctx bounds it.
func (n *Node) Close(ctx context.Context) {
	n.stops.Store(true)
	if n.ready.Swap(false) {
		n.logger.Info("the node stops")
	}
	n.lines.Close() // which ends streams: the server waits for them
	if n.states != nil {
		n.states.close()
	}
	if n.jobs != nil {
		n.jobs.close()
	}
	if n.handovers != nil {
		n.handovers.Close()
	}
	if n.history != nil {
		n.history.Close() // which ends streams: the server waits for them
	}
	if n.peer != nil {
		n.peer.Close()
	}
	if n.plugins != nil {
		n.plugins.close()
	}
	if n.runtime != nil {
		n.runtime.Close(ctx)
	}
	if n.web != nil {
		n.web.Close(ctx)
	}
	if n.runner != nil {
		n.runner.Close()
	}
	if n.telemetry != nil {
		n.telemetry.Close()
	}
	if n.signed != nil {
		n.signed.Close()
	}
	if n.database != nil {
		if err := n.database.Close(); err != nil {
			n.logger.Error("closing the database failed", "error", err)
		}
	}
}

func (n *Node) serve() (*web.Server, error) {
	c := n.settings.Config
	machine, err := os.Hostname()
	if err != nil || machine == "" {
		machine = "localhost"
	}
	host := c.Environment.DiscoveryHostname
	guard := door.New(n.database, &nodev1.TokenWanted{Socket: n.Socket(), StartedAt: timestamppb.New(n.startedAt)},
		n.logger)
	path, api := n.settings.API(n, guard.Options())
	s := web.Settings{
		Address:       net.JoinHostPort(c.WebServer.ListenIP, strconv.Itoa(int(c.WebServer.HTTPPort))),
		Socket:        c.WebServer.Socket,
		Hosts:         append([]string{machine, cmp.Or(host, machine)}, c.WebServer.AllowedHosts...),
		DiscoveryHost: host,
		Plugins:       scrape{n.runtime},
		Gatherer:      n.registry,
		Health:        n.health,
		Ready:         n.ready.Load,
		APIPath:       path,
		API:           guard.Guard(api),
		Logger:        n.logger,
	}
	if t := c.WebServer.TLS; t.HTTPSPort > 0 {
		s.TLS = &web.TLS{
			Address:  net.JoinHostPort(t.ListenIP, strconv.Itoa(int(t.HTTPSPort))),
			CertPath: t.CertPath, KeyPath: t.KeyPath,
		}
	}
	return web.Start(s)
}

func level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // the configuration was checked
	}
	return l
}
