// Package config is the operator's configuration: the node's TOML file and its environment. It knows every key, default
// and bound, and reads only the file, the environment that it gets, and the files that those name.
//
// It must not know who uses a setting: it opens no database, starts no plugin and calls no chain.
package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/loop-plugins/loop/sdk/go/document"
)

// Config is the node's configuration. The comment tags are the reference that operators read. [Plugins] also has a
// table for each plugin, and chains have lists of tables.
type Config struct {
	RootDir string `comment:"Folder for everything that the node stores. Default: $XDG_DATA_HOME/loop, else ~/.local/share/loop."`

	Log         Log
	Database    Database
	Keystore    Keystore
	WebServer   WebServer
	P2P         P2P
	OCR2        OCR2 `comment:"Defaults of OCR2 jobs, with libocr's bounds."`
	JobPipeline JobPipeline
	Plugins     Plugins

	// Chains are the file's other lists of tables, in its order. CheckChains finds the relayer of each, and its
	// problems.
	Chains []Chain `toml:"-"`

	Environment Environment `toml:"-"`

	// Warnings are what an operator should know about the file although nothing is wrong with it, in its order.
	// CheckChains adds those of relayers.
	Warnings []Warning `toml:"-"`

	problems problems
}

// Warning is something to know about a key of the configuration file, such as that it has no effect.
type Warning struct {
	File string
	Line int
	Key  string
	// Text follows the key and a colon.
	Text string
}

// Place returns the file and the line, as in errors.
func (w Warning) Place() string { return fmt.Sprintf("%s:%d", w.File, w.Line) }

// String returns the warning as one sentence.
func (w Warning) String() string { return fmt.Sprintf("%s: %s: %s", w.Place(), w.Key, w.Text) }

// Log is [Log].
type Log struct {
	Level  string `comment:"debug, info, warn or error."`
	Format string `comment:"text or json."`
}

// Database is [Database].
type Database struct {
	URL document.Secret `comment:"sqlite:PATH or the path of a SQLite file. Default: loop.db in RootDir."`

	// Path is the SQLite file that URL or the default stands for.
	Path string `toml:"-"`
}

// Keystore is [Keystore].
type Keystore struct {
	PasswordFile string `comment:"File with the password of the node's keys. Line ends at its end do not count.\nThe environment variable CL_PASSWORD_KEYSTORE takes precedence over it. One of the two is required."`

	AllowExport bool `comment:"Whether admins may export keys of any kind (loop keys export)."`

	// Password comes from the environment or the file. It is never empty after Load.
	Password Password `toml:"-"`
}

// WebServer is [WebServer].
type WebServer struct {
	ListenIP     string   `comment:"IP address for /discovery, /metrics, /health and the like, which are open to everyone who can connect.\nOn a loopback address the operator's API is served too, to callers with a token (loop tokens create)."`
	HTTPPort     uint16   `comment:"TCP port; 0 takes any free one."`
	AllowedHosts []string `comment:"Host names that requests may use for this node, besides localhost, the machine's own, that of /discovery and IP addresses."`
	Socket       string   `comment:"Unix socket at which this user and root reach the operator's API, a path of at most 103 bytes. Default: loop.sock in RootDir."`

	TLS WebServerTLS
}

// WebServerTLS is [WebServer.TLS].
type WebServerTLS struct {
	ListenIP  string `comment:"IP address on which the operator's API is served over TLS, to callers with a token."`
	HTTPSPort uint16 `comment:"TCP port; 0 serves nothing over TLS."`
	CertPath  string `comment:"File with the certificate and its chain, in PEM. Renewed files need no restart."`
	KeyPath   string `comment:"File with the certificate's key, in PEM."`
}

// P2P is [P2P].
type P2P struct {
	PeerID                    string `comment:"Peer id of the P2P key that is this node's identity, with or without p2p_. Default: that of the oldest."`
	IncomingMessageBufferSize uint32 `comment:"Messages held for each peer before the oldest is dropped, 1 to 65536." bounds:"1 65536"`
	OutgoingMessageBufferSize uint32 `comment:"Messages held for each peer before the oldest is dropped, 1 to 65536." bounds:"1 65536"`

	V2 P2PV2
}

// P2PV2 is [P2P.V2].
type P2PV2 struct {
	ListenAddresses      []string          `comment:"host:port pairs to listen on; at least one."`
	AnnounceAddresses    []string          `comment:"host:port pairs at which other nodes reach this one. Default: ListenAddresses."`
	DefaultBootstrappers []Bootstrapper    `comment:"PeerID@host:port, or PeerID@host:port/host:port, for jobs that name none."`
	DeltaDial            document.Duration `comment:"Shortest time between two attempts to reach a peer, and longest time of one, 10ms to 1m. It must be above the longest round trip." bounds:"10ms 1m"`
	DeltaReconcile       document.Duration `comment:"How often addresses of peers are exchanged, 10ms to 10m." bounds:"10ms 10m"`
}

// OCR2 is [OCR2].
type OCR2 struct {
	BlockchainTimeout                  document.Duration `comment:"Longest wait for a read of the contract, 1s to 20s. A job may set its own."`
	ContractPollInterval               document.Duration `comment:"How often the contract's configuration is read, 1s to 2m. A job may set its own."`
	ContractConfirmations              uint16            `comment:"Blocks on top of a new configuration before it is used, 1 to 100. A job may set its own."`
	ContractTransmitterTransmitTimeout document.Duration `comment:"Longest wait for a report to be queued for sending, 1s to 1m." bounds:"1s 1m"`
	DatabaseTimeout                    document.Duration `comment:"Longest wait for the database, 100ms to 10s." bounds:"100ms 10s"`
	ContractConfigLoadTimeout          document.Duration `comment:"Longest wait for a configuration to be loaded, 1s to 1h." bounds:"1s 1h"`
	DefaultMaxDurationInitialization   document.Duration `comment:"Longest wait for a reporting plugin to be created, 1s to 1h." bounds:"1s 1h"`
	KeyBundleID                        string            `comment:"Key bundle of jobs that name none: 64 hexadecimal digits."`
	TraceLogging                       bool              `comment:"Log every step of the protocol."`
}

// JobPipeline is [JobPipeline].
type JobPipeline struct {
	MaxRunDuration    document.Duration `comment:"Longest run of a job's pipeline, 1s to 24h." bounds:"1s 24h"`
	MaxSuccessfulRuns uint32            `comment:"How many of the newest runs of each job's pipelines are kept, in memory and in at most 2 KiB each, 0 to 10000." bounds:"0 10000"`
	MaxFailedRuns     uint32            `comment:"How many runs with a failed task are kept of each job, in the database, 0 to 10000. Of a repeated failure, the 1st, 2nd, 4th, 8th and so on." bounds:"0 10000"`
	ReaperThreshold   document.Duration `comment:"How long failed runs and errors of jobs are kept, 1m to 8760h." bounds:"1m 8760h"`
	ReaperInterval    document.Duration `comment:"How often older ones are removed, 1s to 24h." bounds:"1s 24h"`

	HTTPRequest HTTPRequest
}

// HTTPRequest is [JobPipeline.HTTPRequest].
type HTTPRequest struct {
	DefaultTimeout document.Duration `comment:"Longest wait for a request whose task sets no timeout, 1ms to 1h." bounds:"1ms 1h"`
	MaxSize        int64             `comment:"Largest response, in bytes, 1 to 16777216." bounds:"1 16777216"`
}

// Plugins is [Plugins].
type Plugins struct {
	HealthInterval document.Duration `comment:"Time between two health checks of a plugin, 100ms to 1m." bounds:"100ms 1m"`
	HealthTimeout  document.Duration `comment:"Time after which an unanswered health check means that a plugin hangs, 100ms to 1m." bounds:"100ms 1m"`
	StopTimeout    document.Duration `comment:"Time that a plugin has to stop before it is killed, 100ms to 5m." bounds:"100ms 5m"`
	SocketDir      string            `comment:"Folder of the plugins' sockets, an absolute path of at most 60 bytes.\nDefault: a private folder below XDG_RUNTIME_DIR, else below the folder for temporary files."`
}

// Range is the smallest and the largest value that a setting may have.
type Range[T cmp.Ordered] = document.Range[T]

// Bounds of the settings that a job may set instead of the node's [OCR2]; they are libocr's.
var (
	BlockchainTimeoutBounds     = Range[time.Duration]{Min: time.Second, Max: 20 * time.Second}
	ContractPollIntervalBounds  = Range[time.Duration]{Min: time.Second, Max: 2 * time.Minute}
	ContractConfirmationsBounds = Range[uint16]{Min: 1, Max: 100}
)

// Default returns the configuration of an empty file. Values that depend on the environment (RootDir, Database.Path,
// Keystore.Password) are empty until Load fills them in.
func Default() *Config {
	return &Config{
		Log:      Log{Level: "info", Format: "text"},
		Keystore: Keystore{AllowExport: true},
		WebServer: WebServer{
			ListenIP: "127.0.0.1", HTTPPort: 6688, AllowedHosts: []string{}, TLS: WebServerTLS{ListenIP: "0.0.0.0"},
		},
		P2P: P2P{
			IncomingMessageBufferSize: 64,
			OutgoingMessageBufferSize: 32,
			V2: P2PV2{
				ListenAddresses: []string{"127.0.0.1:6690"}, AnnounceAddresses: []string{}, DefaultBootstrappers: []Bootstrapper{},
				DeltaDial: seconds(3), DeltaReconcile: seconds(1),
			},
		},
		OCR2: OCR2{
			BlockchainTimeout: seconds(20), ContractPollInterval: minutes(1), ContractConfirmations: 3,
			ContractTransmitterTransmitTimeout: seconds(10), DatabaseTimeout: seconds(10),
			ContractConfigLoadTimeout: seconds(10), DefaultMaxDurationInitialization: seconds(30),
		},
		JobPipeline: JobPipeline{
			MaxRunDuration: minutes(10), MaxSuccessfulRuns: 50, MaxFailedRuns: 100, ReaperThreshold: minutes(24 * 60),
			ReaperInterval: minutes(60),
			HTTPRequest:    HTTPRequest{DefaultTimeout: seconds(15), MaxSize: 32768},
		},
		Plugins:     Plugins{HealthInterval: seconds(1), HealthTimeout: seconds(1), StopTimeout: seconds(3)},
		Environment: Environment{MinOCR2MaxDurationQuery: defaultMinQuery},
	}
}

func seconds(n int) document.Duration { return document.Lasting(time.Duration(n) * time.Second) }

func minutes(n int) document.Duration { return seconds(60 * n) }

// Described is a relayer's description of its tables: their name as operators write it, and one with every key.
type Described struct{ Section, TOML string }

// Reference returns a configuration file with every key, its meaning and its default: the node's own, a table for each
// plugin, and an example of a chain of each relayer. The environment variables stand below, in comments.
func Reference(plugins []string, relayers []Described) (string, error) {
	var text strings.Builder
	text.WriteString("# Every key of the node's configuration file with its default.\n# Chains have no defaults: those " +
		"below are examples.\n\n")
	own, err := document.Write(Default())
	if err != nil {
		return "", err
	}
	text.WriteString(own)
	rules, err := document.Write(PluginRules{})
	if err != nil {
		return "", err
	}
	for at, plugin := range plugins {
		text.WriteString("\n")
		if at == 0 {
			text.WriteString("# The same keys for each plugin. They hold for each of its processes; an isolated job " +
				"has its own.\n")
		}
		text.WriteString("[Plugins." + plugin + "]\n" + rules)
	}
	for _, relayer := range relayers {
		example, err := document.Nest(relayer.Section, relayer.TOML)
		if err != nil {
			return "", err
		}
		text.WriteString("\n# One table for each chain of this relayer.\n" + example)
	}
	text.WriteString("\n# Environment variables of the node:\n" + referenceOf(NodeVariables) +
		"# Environment variables of the commands that speak to it:\n" + referenceOf(CommandVariables))
	return text.String(), nil
}
