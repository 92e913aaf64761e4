// Package job reads the job specs of operators: jobs of the median, of other products and of bootstrappers, in TOML. It
// knows every key, its spelling and type, what is checked in which order, and on which line of the file a problem is.
//
// It must not know how a job is run, stored or given to a relayer, nor what any chain is: what a check needs to know
// about the node and its relayers comes through the small interfaces in [Settings].
package job

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// The types of jobs.
const (
	TypeOCR2      = "offchainreporting2"
	TypeBootstrap = "bootstrap"
)

// The types of plugins of OCR2 jobs.
const (
	PluginMedian  = "median"
	PluginProduct = "plugin"
)

// MaxSize bounds a spec, in bytes. The largest public one is under 20 KiB. To read one may take four hundred times its
// size.
const MaxSize = 64 << 10

// Spec is a job as its file states it. Settings that the file leaves out come from the node's configuration.
type Spec struct {
	TOML string // the file as it was given

	Type          string    // TypeOCR2 or TypeBootstrap
	Name          string    // may be empty
	ExternalJobID uuid.UUID // uuid.Nil if the file has none: whoever creates the job makes one up
	Relay         string    // of a relayer of the node
	ChainID       string    // as the relayer's chains are named
	ContractID    string    // as written; see ContractKey
	FeedID        string    // 0x and 64 hexadecimal digits, or empty

	// RelayConfigJSON is relayConfig in the form for the relayer: as JSON, with a chainID that is a string and with the
	// relayer's defaults.
	RelayConfigJSON []byte
	// WrittenRelayConfigJSON is relayConfig as the operator wrote it, unchanged by any relayer.
	WrittenRelayConfigJSON []byte
	// ReadsContracts reports whether pipelines can read contracts of the job's own chain.
	ReadsContracts bool
	// Validation is the relayer's answer about the job; nil if it was not asked.
	Validation *relayerv1.ValidateJobResponse

	BlockchainTimeout                 time.Duration // from the node if the file has none
	ContractConfigTrackerPollInterval time.Duration // from the node if the file has none
	ContractConfigConfirmations       uint16        // from the node if the file has none

	// What follows is for TypeOCR2 alone.

	PluginType        string       // PluginMedian or PluginProduct
	PluginConfig      PluginConfig // of a median job
	Product           *Product     // of a product's job; nil for a median job
	ObservationSource string
	Observation       *pipeline.Pipeline
	MaxTaskDuration   time.Duration         // for each attempt of each task; 0 means no limit
	TransmitterID     string                // as written; see Transmitter
	KeyBundleID       string                // from the node if the file has none
	Bootstrappers     []config.Bootstrapper // from the node if the file has none
	GasLimit          uint32                // 0 means the chain's default
	Isolated          bool                  // the job's plugins get processes of their own
}

// Transmitter returns the key that signs the job's transactions, in the relayer's spelling. It is empty for a job that
// sends none.
func (s *Spec) Transmitter() string { return cmp.Or(s.Validation.GetTransmitterKey(), s.TransmitterID) }

// Account returns the account that sends the job's transactions, in the spelling of the contract's configuration: the
// chain counts the transactions under its name. It is empty for a job that sends none.
func (s *Spec) Account() string { return s.Validation.GetFromAccount() }

// ProviderType returns the type of provider that the job needs, as in CreateProvider.
func (s *Spec) ProviderType() string {
	switch {
	case s.Type == TypeBootstrap:
		return relayer.ProviderConfig
	case s.Product != nil:
		return s.Product.ProviderType
	}
	return relayer.ProviderMedian
}

// ContractKey returns the contract of a job in canonical spelling. Two jobs of a node with the same key would do the
// same work, and on one peer they would shut each other out.
func (s *Spec) ContractKey() string {
	contract := cmp.Or(s.Validation.GetContractKey(), s.ContractID)
	return strings.Join([]string{s.Type, s.Relay, s.ChainID, contract, strings.ToLower(s.FeedID)}, "/")
}

// Bridges returns the names of the bridges that the job's pipelines use, sorted and without duplicates.
func (s *Spec) Bridges() []string {
	var names []string
	for _, source := range s.Sources() {
		if source.Pipeline != nil {
			names = append(names, source.Pipeline.Bridges()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Source is a source that a job observes, or may observe.
type Source struct {
	Name     string             // value, juels or gas of a median job; a product's pipeline has its own
	Key      string             // of its text in the spec
	Pipeline *pipeline.Pipeline // nil if the spec has none, or one that cannot be read
}

// Sources returns the sources of the job, in the order in which people see them.
func (s *Spec) Sources() []Source {
	if s.Product != nil {
		return s.Product.sources()
	}
	return []Source{
		{"value", "observationSource", s.Observation},
		{"juels", "pluginConfig.juelsPerFeeCoinSource", s.PluginConfig.JuelsPerFeeCoin},
		{"gas", "pluginConfig.gasPriceSubunitsSource", s.PluginConfig.GasPriceSubunits},
	}
}

// Settings is the node's knowledge. Interfaces that are nil are not asked.
type Settings struct {
	// OCR2 holds the node's defaults; its zero value means those of an empty configuration file.
	OCR2 config.OCR2
	// DefaultBootstrappers are for jobs that name none.
	DefaultBootstrappers []config.Bootstrapper
	// Offline means that the node is not known: what it could supply is not missing, and what only it can tell is
	// listed.
	Offline bool
	// Validation is the relayer's earlier answer about the job. It is used while the relayer cannot be asked.
	Validation *relayerv1.ValidateJobResponse

	Relayers  Relayers
	Products  Products
	Chains    Chains
	Keys      Keys
	Bridges   Bridges
	Jobs      Jobs
	Processes Processes
}

// Relayers knows the relayers of the node. If it is nil, checks that only a relayer can make are left out.
type Relayers interface {
	// Relays returns the names by which jobs ask for relayers, in the order in which people see them.
	Relays() []string
	// ReadsContracts reports whether pipelines can read contracts of a relay's chains.
	ReadsContracts(relay string) bool
	// ValidateJob asks a relay's relayer. It fails if the relayer cannot be asked.
	ValidateJob(ctx context.Context, relay string,
		request *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error)
}

// Products knows the products of the node that are plugins of their own. If it is nil, checks that only a product can
// make are left out.
type Products interface {
	// Products returns the names by which jobs ask for products, in the order in which people see them.
	Products() []string
	// Runs returns the versions of OCR and the types of provider on which a product runs, with the defaults first, and
	// whether the node has the product.
	Runs(product string) (versions []int, providerTypes []string, found bool)
	// ValidateProductJob asks a product. It fails if the product cannot be asked.
	ValidateProductJob(ctx context.Context, product string,
		request *productv1.ValidateProductJobRequest) (*productv1.ValidateProductJobResponse, error)
}

// Chains knows the enabled chains of the node.
type Chains interface {
	HasChain(relay, chainID string) bool
	// ChainIDs returns the chains of a relay, in the order in which people see them.
	ChainIDs(relay string) []string
}

// Keys knows the keys of the node.
type Keys interface {
	HasKeyBundle(relay, id string) bool
	HasTransmitter(relay, chainID, id string) bool
}

// Bridges knows the bridges of the node.
type Bridges interface {
	HasBridge(name string) bool
}

// Jobs knows the existing jobs of the node. Each method returns the name for people of the job that it found.
type Jobs interface {
	ByContract(contractKey string) (name string, found bool)
	ByExternalID(id uuid.UUID) (name string, found bool)
	// ByName finds a job by the name in its spec.
	ByName(given string) (name string, found bool)
	// BySender finds another job that sends from the spec's account, or signs with its key, on the spec's chain. It
	// prefers an isolated job.
	BySender(spec *Spec) (name string, isolated, found bool)
}

// Processes knows which plugins have processes of their own.
type Processes interface {
	// InProcess reports whether the plugin of a product or a relay runs inside the node, and the variable that would
	// give it a process.
	InProcess(name string) (variable string, inside bool)
}

var (
	// topKeys are the top-level keys that have an effect in some type of job, for suggestions.
	topKeys = []string{
		"type", "schemaVersion", "pluginType", "relay", "contractID", "relayConfig", "pluginConfig", "observationSource",
		"name",
		"externalJobID", "maxTaskDuration", "forwardingAllowed", "gasLimit", "chainID", "transmitterID", "ocrKeyBundleID",
		"p2pv2Bootstrappers", "allowNoBootstrappers", "monitoringEndpoint", "blockchainTimeout",
		"contractConfigTrackerPollInterval",
		"contractConfigConfirmations", "captureEATelemetry", "feedID", "isolated",
	}
	// ignoredKeys are keys of other versions and types of jobs that real specs carry.
	ignoredKeys = []string{
		"onchainSigningStrategy", "captureAutomationCustomTelemetry", "streamID", "databaseTimeout", "observationTimeout",
		"observationGracePeriod", "contractTransmitterTransmitTimeout", "contractConfigTrackerSubscribeInterval", "p2pPeerID",
		"p2pBootstrapPeers", "keyBundleID", "transmitterAddress", "contractAddress", "evmChainID", "donID", "id",
	}
	// otherPlugins are plugin types of other products.
	otherPlugins = []string{
		"dkg", "ocr2vrf", "ocr2automation", "functions", "mercury", "llo", "ccip-commit", "ccip-execution",
	}

	feedID = regexp.MustCompile(`^0x[0-9a-fA-F]{64}$`)
	number = regexp.MustCompile(`^(0|[1-9][0-9]{0,77})$`)
)
