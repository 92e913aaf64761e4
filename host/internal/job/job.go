// Package job reads the job specs that operators have: OCR2 median and bootstrap jobs in TOML. It knows every key, which
// spelling and type it takes, what is checked in which order, and on which line of the file a problem stands.
//
// It must not know how a job is run, stored or given to a relayer, nor what any chain is: what a check needs to know of the node
// and of its relayers comes through the small interfaces in [Settings].
package job

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pelletier/go-toml/v2"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
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

// MaxSize bounds a spec, in bytes. The largest public one is under 20 KiB. To read one may take four hundred times its size.
const MaxSize = 64 << 10

// Spec is a job as its file says, with what the file leaves out filled in from the node's configuration.
type Spec struct {
	TOML string // the file as it was given

	Type          string    // TypeOCR2 or TypeBootstrap
	Name          string    // may be empty
	ExternalJobID uuid.UUID // uuid.Nil if the file has none: whoever creates the job makes one up
	Relay         string    // of a relayer of the node
	ChainID       string    // as the relayer's chains are named
	ContractID    string    // as written; see ContractKey
	FeedID        string    // 0x and 64 hexadecimal digits, or empty

	// RelayConfigJSON is relayConfig as the relayer is to be given it: as JSON, with a chainID that is a string and with what the
	// relayer fills in.
	RelayConfigJSON []byte
	// ReadsContracts is whether pipelines can read contracts of the job's own chain.
	ReadsContracts bool
	// Validation is what the relayer said of the job; nil if it was not asked.
	Validation *relayerv1.ValidateJobResponse

	BlockchainTimeout                 time.Duration // from the node if the file has none
	ContractConfigTrackerPollInterval time.Duration // from the node if the file has none
	ContractConfigConfirmations       uint16        // from the node if the file has none
	MonitoringEndpoint                string

	// What follows is for TypeOCR2 alone.

	PluginType         string       // PluginMedian or PluginProduct
	PluginConfig       PluginConfig // of a median job
	Product            *Product     // of a product's job; nil for a median job
	ObservationSource  string
	Observation        *pipeline.Pipeline
	MaxTaskDuration    time.Duration         // for each attempt of each task; 0 means no limit
	TransmitterID      string                // as written; see Transmitter
	KeyBundleID        string                // from the node if the file has none
	Bootstrappers      []config.Bootstrapper // from the node if the file has none
	ForwardingAllowed  bool
	GasLimit           uint32 // 0 means the chain's default
	CaptureEATelemetry bool
	Isolated           bool // the job's plugins get processes of their own
}

// Transmitter is the key that signs the job's transactions, as its relayer spells it. It is empty for a job that sends none.
func (s *Spec) Transmitter() string { return cmp.Or(s.Validation.GetTransmitterKey(), s.TransmitterID) }

// Account is whose transactions the job's are, as the contract's configuration writes it: the chain counts them under its name. It
// is empty for a job that sends none.
func (s *Spec) Account() string { return s.Validation.GetFromAccount() }

// ProviderType is what the job wants of its relayer, as CreateProvider has it.
func (s *Spec) ProviderType() string {
	switch {
	case s.Type == TypeBootstrap:
		return relayer.ProviderConfig
	case s.Product != nil:
		return s.Product.ProviderType
	}
	return relayer.ProviderMedian
}

// ContractKey names the contract of a job in one spelling: two jobs of a node with the same key would do the same work
// and, on one peer, shut each other out.
func (s *Spec) ContractKey() string {
	contract := cmp.Or(s.Validation.GetContractKey(), s.ContractID)
	return strings.Join([]string{s.Type, s.Relay, s.ChainID, contract, strings.ToLower(s.FeedID)}, "/")
}

// Bridges returns the names of the bridges that the job's pipelines use, sorted and without repeats.
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

// Source is one of what a job observes, or may.
type Source struct {
	Name     string             // value, juels or gas of a median job; a product's pipeline has its own
	Key      string             // of its text in the spec
	Pipeline *pipeline.Pipeline // nil if the spec has none, or one that cannot be read
}

// Sources returns what the job observes, in the order in which people are told of it.
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

// Settings is what a node knows. The interfaces are asked only if they are set.
type Settings struct {
	// OCR2 holds the node's defaults; its zero value means those of an empty configuration file.
	OCR2 config.OCR2
	// DefaultBootstrappers serve jobs that name none.
	DefaultBootstrappers []config.Bootstrapper
	// Offline says that the node is not known: what it could supply is not missing, and what it alone can tell is listed.
	Offline bool
	// Validation is what the job's relayer said of it before: it holds while the relayer cannot be asked.
	Validation *relayerv1.ValidateJobResponse

	Relayers  Relayers
	Products  Products
	Chains    Chains
	Keys      Keys
	Bridges   Bridges
	Jobs      Jobs
	Processes Processes
}

// Relayers knows the relayers of the node. Without them, what a relayer alone can tell is left out.
type Relayers interface {
	// Relays returns the names by which jobs ask for relayers, in the order in which people are told of them.
	Relays() []string
	// ReadsContracts reports whether pipelines can read contracts of a relay's chains.
	ReadsContracts(relay string) bool
	// ValidateJob asks a relay's relayer. It fails if the relayer cannot be asked.
	ValidateJob(ctx context.Context, relay string, request *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error)
}

// Products knows the products of the node that are plugins of their own. Without them, what a product alone can tell is
// left out.
type Products interface {
	// Products returns the names by which jobs ask for products, in the order in which people are told of them.
	Products() []string
	// Runs returns the versions of OCR and the types of provider on which a product runs, those of a job that names none
	// first, and whether the node has the product.
	Runs(product string) (versions []int, providerTypes []string, found bool)
	// ValidateProductJob asks a product. It fails if the product cannot be asked.
	ValidateProductJob(ctx context.Context, product string,
		request *productv1.ValidateProductJobRequest) (*productv1.ValidateProductJobResponse, error)
}

// Chains knows the enabled chains of the node.
type Chains interface {
	HasChain(relay, chainID string) bool
	// ChainIDs returns the chains of a relay, in the order in which people are told of them.
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

// Jobs knows the jobs that the node has already. Each method returns how people call the job that it found.
type Jobs interface {
	ByContract(contractKey string) (name string, found bool)
	ByExternalID(id uuid.UUID) (name string, found bool)
	// BySender finds another job that sends from the spec's account, or signs with its key, on the spec's chain: an isolated one
	// before any other.
	BySender(spec *Spec) (name string, isolated, found bool)
}

// Processes knows which plugins have processes of their own.
type Processes interface {
	// InProcess reports whether what serves a product or a relay runs inside the node, and by which variable it would get a process.
	InProcess(name string) (variable string, inside bool)
}

var (
	// topKeys are the top-level keys that have an effect in some type of job, for suggestions.
	topKeys = []string{
		"type", "schemaVersion", "pluginType", "relay", "contractID", "relayConfig", "pluginConfig", "observationSource", "name",
		"externalJobID", "maxTaskDuration", "forwardingAllowed", "gasLimit", "chainID", "transmitterID", "ocrKeyBundleID",
		"p2pv2Bootstrappers", "allowNoBootstrappers", "monitoringEndpoint", "blockchainTimeout", "contractConfigTrackerPollInterval",
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

// Parse reads a spec and makes every check that needs no chain. The stages follow one another as on established nodes, but
// one that finds problems does not hide those of the next: all are reported, of each key those of its first stage. Only where
// the type, the relay or the product are not known is it the end, since they say what the other keys mean. With a problem
// in the file (StageCommon, StageOCR2) the spec is nil.
func Parse(ctx context.Context, data []byte, s Settings) (*Spec, *Report) {
	report := &Report{}
	d := &document{text: string(data), report: report, stage: StageCommon}
	if !d.decode(data) {
		return nil, report
	}
	if s.OCR2 == (config.OCR2{}) {
		s.OCR2 = config.Default().OCR2
	}
	defer func() {
		slices.SortStableFunc(report.Warnings, func(a, b Finding) int { return a.Line - b.Line })
	}()

	spec := &Spec{TOML: d.text}
	d.common(spec)
	if spec.Type != TypeOCR2 && spec.Type != TypeBootstrap {
		return nil, report
	}

	d.stage = StageOCR2
	var own ocr2Keys
	if spec.Type == TypeOCR2 {
		own = d.ocr2(spec, s)
	} else {
		d.bootstrap(spec)
	}
	relayConfig := d.top.sub("relayConfig")
	d.top.leftovers(topKeys, ignoredKeys)
	noProduct := spec.Type == TypeOCR2 && spec.PluginType != PluginMedian && spec.Product == nil
	if wrong := len(report.Problems) > 0; wrong && (!known(s.Relayers, spec.Relay) || noProduct) {
		report.Problems = firstStages(report.Problems)
		return nil, report
	}

	// The pipelines and the chain belong to the start, but the node's bridges and jobs are looked up by them.
	create := &document{text: d.text, index: d.index, report: &Report{}, stage: StageCreate}
	d.stage = StageStart
	inFile := report.Problems
	d.report = &Report{Warnings: report.Warnings}
	answered := d.start(ctx, spec, relayConfig, own, s)
	create.create(spec, d.top, s, answered)
	report.Problems = firstStages(slices.Concat(inFile, create.report.Problems, d.report.Problems))
	report.Warnings = d.report.Warnings
	if s.Offline {
		d.report, d.stage = report, StageCreate
		d.offline(spec, own, s)
	}
	if len(inFile) > 0 {
		return nil, report
	}
	return spec, report
}

// firstStages leaves out what a later stage says of a key, or of a key of a table, that an earlier one has found wrong: it
// follows from that.
func firstStages(problems []Finding) []Finding {
	stages := map[string]Stage{}
	return slices.DeleteFunc(problems, func(f Finding) bool {
		if f.Key == "" {
			return false
		}
		table, _, _ := strings.Cut(f.Key, ".")
		for _, key := range []string{f.Key, table} {
			if first, found := stages[key]; found && first != f.Stage {
				return true
			}
		}
		if _, found := stages[f.Key]; !found {
			stages[f.Key] = f.Stage
		}
		return false
	})
}

// decode turns the bytes into a table, and reports whether they could be read.
func (d *document) decode(data []byte) bool {
	if len(data) > MaxSize {
		d.problem(0, "", "the spec has %d bytes, and at most %d are read; shorten it", len(data), MaxSize)
		return false
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // some editors mark UTF-8 so, and established nodes take it
	index, err := keys.Read(data)
	if err != nil {
		var syntax *keys.SyntaxError
		if errors.As(err, &syntax) {
			d.problem(syntax.Line, "", "this is not TOML: %s", syntax.Text)
		}
		return false
	}
	d.index = index
	values := map[string]any{}
	if err := toml.Unmarshal(data, &values); err != nil {
		line, key := 0, ""
		var wrong *toml.DecodeError
		if errors.As(err, &wrong) {
			line, _ = wrong.Position()
			key = strings.Join(wrong.Key(), ".")
		}
		d.problem(line, key, "%s", strings.TrimPrefix(err.Error(), "toml: "))
		return false
	}
	d.top = newTable(d, "", values)
	return true
}

// common reads what every type of job has.
func (d *document) common(spec *Spec) {
	spec.Type = d.top.text("type")
	d.name(spec)
	if id := d.top.text("externalJobID"); id != "" {
		parsed, err := uuid.Parse(id)
		if err != nil {
			d.problem(d.top.line("externalJobID"), "externalJobID", "%q is not a UUID", id)
		}
		spec.ExternalJobID = parsed
	}
	spec.MaxTaskDuration = d.top.duration("maxTaskDuration")
	if spec.MaxTaskDuration < 0 {
		d.problem(d.top.line("maxTaskDuration"), "maxTaskDuration", "%s is negative; leave the key out for no limit", spec.MaxTaskDuration)
	}
	spec.ForwardingAllowed = d.top.flag("forwardingAllowed")
	spec.GasLimit = uint32(d.top.whole("gasLimit", math.MaxUint32))
	spec.Isolated = d.top.flag("isolated")
	spec.ObservationSource = d.top.text("observationSource")
	if strings.TrimSpace(spec.ObservationSource) != "" {
		spec.Observation = d.pipeline(d.top, "observationSource", "", spec.ObservationSource)
	}

	given, _ := d.top.lookup("type")
	if given == nil {
		d.problem(0, "type", "the key is missing; write type = %q", TypeOCR2)
	} else if _, ok := given.(string); ok && spec.Type != TypeOCR2 && spec.Type != TypeBootstrap {
		d.problem(d.top.line("type"), "type", "invalid job type %q; this node runs %s and %s", spec.Type, TypeOCR2, TypeBootstrap)
	}
	before := len(d.report.Problems)
	if version := d.top.whole("schemaVersion", math.MaxUint32); version != 1 && len(d.report.Problems) == before {
		d.problem(d.top.line("schemaVersion"), "schemaVersion", "invalid schema version %d; write schemaVersion = 1", version)
	}
	if at := strings.Index(d.text, "<{}>"); at >= 0 {
		d.problem(1+strings.Count(d.text[:at], "\n"), "", `<{}> loses its braces on established nodes and is refused; write "{}"`)
	}
}

// name reads the one key that takes a bare number for a text.
func (d *document) name(spec *Spec) {
	if value, _ := d.top.lookup("name"); value != nil {
		if number, ok := value.(int64); ok {
			spec.Name = strconv.FormatInt(number, 10)
			return
		}
	}
	spec.Name = d.top.text("name")
}

// pipeline parses the pipeline under a key and reports its problems on the lines of the file.
func (d *document) pipeline(t table, key, prefix, source string) *pipeline.Pipeline {
	entry, _ := d.index.Find(t.pathOf(key))
	parsed, err := pipeline.Parse(source)
	if err != nil {
		for _, fault := range unjoin(err) {
			line, text := entry.Line, fault.Error()
			var known *pipeline.Problem
			if errors.As(fault, &known) {
				unplaced := *known
				if unplaced.Line > 0 {
					line, unplaced.Line = entry.TextLine(unplaced.Line), 0
				}
				text = unplaced.Error()
			}
			d.problem(line, t.pathOf(key), "%s%s", prefix, text)
		}
		return nil
	}
	for _, warning := range parsed.Warnings() {
		line := entry.Line
		if place, text, ok := strings.Cut(strings.TrimPrefix(warning, "line "), ": "); ok {
			if n, err := strconv.Atoi(place); err == nil {
				line, warning = entry.TextLine(n), text
			}
		}
		d.warning(line, t.pathOf(key), "%s", warning)
	}
	return parsed
}

// unjoin returns the parts of a joined error.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// ocr2Keys is what the OCR2 check reads and a later one needs.
type ocr2Keys struct {
	allowNoBootstrappers bool
}

// ocr2 checks the keys of an OCR2 job.
func (d *document) ocr2(spec *Spec, s Settings) ocr2Keys {
	t := d.top
	d.shared(spec)
	spec.PluginType = t.text("pluginType")
	spec.TransmitterID = t.text("transmitterID")
	spec.KeyBundleID = t.text("ocrKeyBundleID")
	spec.CaptureEATelemetry = t.flag("captureEATelemetry")
	own := ocr2Keys{allowNoBootstrappers: t.flag("allowNoBootstrappers")}

	if spec.Relay != "" && !known(s.Relayers, spec.Relay) {
		d.noRelay(spec.Relay, s.Relayers)
	}
	for at, text := range t.texts("p2pv2Bootstrappers") {
		bootstrapper, err := config.ParseBootstrapper(text)
		if err != nil {
			path := fmt.Sprintf("p2pv2Bootstrappers[%d]", at)
			d.problem(d.index.Line(path), path, "%v", err)
		}
		spec.Bootstrappers = append(spec.Bootstrappers, bootstrapper)
	}
	d.keys("ocr2 peer",
		[]string{"type", "schemaVersion", "pluginType", "relay", "contractID", "relayConfig", "pluginConfig"},
		[]string{"isBootstrapPeer", "juelsPerFeeCoinSource"})
	switch _, given := t.spelled("pluginType"); {
	case !given:
	case spec.PluginType == PluginProduct:
		spec.Product = d.product(t.sub("pluginConfig"), spec, s)
	case spec.PluginType == "":
		d.problem(t.line("pluginType"), "pluginType", "no plugin specified; write pluginType = \"median\", or \"plugin\" with a pluginName in pluginConfig")
	case slices.Contains(otherPlugins, spec.PluginType):
		d.problem(t.line("pluginType"), "pluginType", "this node does not run the product %q by this type; it runs median, and as plugin any product whose plugin it has", spec.PluginType)
	case spec.PluginType != PluginMedian:
		d.problem(t.line("pluginType"), "pluginType", "invalid pluginType %q; write pluginType = \"median\", or \"plugin\" with a pluginName in pluginConfig", spec.PluginType)
	}
	if spec.Observation == nil && spec.PluginType != PluginProduct {
		where := ""
		for _, name := range []string{"relayConfig", "pluginConfig"} {
			if inner, ok := t.values[name].(map[string]any); ok && inner["observationSource"] != nil {
				where = fmt.Sprintf("; the one on line %d is part of [%s]: move it above the first [table]", d.index.Line(name+".observationSource"), name)
			}
		}
		d.problem(t.line("observationSource"), "observationSource", "no pipeline specified: a median job needs one%s", where)
	}
	d.timing(spec)
	if _, ok := t.spelled("pluginConfig"); ok {
		t.sub("pluginConfig")
	}
	return own
}

// bootstrap checks the keys of a bootstrap job.
func (d *document) bootstrap(spec *Spec) {
	d.shared(spec)
	d.keys("bootstrap peer",
		[]string{"type", "schemaVersion", "contractID", "relay", "relayConfig"},
		[]string{"isBootstrapPeer", "juelsPerFeeCoinSource", "observationSource"})
	for _, key := range []string{
		"pluginType", "pluginConfig", "p2pv2Bootstrappers", "ocrKeyBundleID", "transmitterID", "allowNoBootstrappers",
		"captureEATelemetry", "maxTaskDuration", "forwardingAllowed", "gasLimit", "isolated",
	} {
		if spelled, ok := d.top.spelled(key); ok {
			d.top.read[spelled] = true
			d.warning(d.top.line(key), key, "this key has no effect in this type of job")
		}
	}
	spec.MaxTaskDuration, spec.ForwardingAllowed, spec.GasLimit, spec.Isolated = 0, false, 0, false
}

// shared reads the keys that both types of job have beyond the common ones.
func (d *document) shared(spec *Spec) {
	t := d.top
	spec.Relay = t.text("relay")
	spec.ContractID = t.text("contractID")
	spec.ChainID = t.text("chainID")
	spec.MonitoringEndpoint = t.text("monitoringEndpoint")
	spec.FeedID = t.text("feedID")
	if spec.FeedID != "" && !feedID.MatchString(spec.FeedID) {
		d.problem(t.line("feedID"), "feedID", "%q is not 0x and 64 hexadecimal digits", spec.FeedID)
	}
	spec.BlockchainTimeout = t.duration("blockchainTimeout")
	spec.ContractConfigTrackerPollInterval = t.duration("contractConfigTrackerPollInterval")
	spec.ContractConfigConfirmations = uint16(t.whole("contractConfigConfirmations", math.MaxUint16))
}

// keys checks that required keys are there in their exact spelling, and forbidden ones are not.
func (d *document) keys(peer string, required, forbidden []string) {
	for _, key := range required {
		if d.top.has(key) {
			continue
		}
		text := "missing required key"
		if spelled, ok := d.top.spelled(key); ok {
			text += fmt.Sprintf("; line %d spells it %s, and this one must be spelled exactly", d.top.line(key), spelled)
		}
		d.problem(0, key, "%s", text)
	}
	for _, key := range forbidden {
		if d.top.has(key) {
			d.top.read[key] = true
			d.problem(d.top.line(key), key, "unrecognised key for %s: remove it", peer)
		}
	}
}

// timing checks the three values of libocr's local configuration that a spec may set; 0 leaves them to the node.
func (d *document) timing(spec *Spec) {
	for _, value := range []struct {
		key      string
		duration time.Duration
		bounds   config.Range[time.Duration]
	}{
		{"blockchainTimeout", spec.BlockchainTimeout, config.BlockchainTimeoutBounds},
		{"contractConfigTrackerPollInterval", spec.ContractConfigTrackerPollInterval, config.ContractPollIntervalBounds},
	} {
		if value.duration != 0 && !value.bounds.Contains(value.duration) {
			d.problem(d.top.line(value.key), value.key, "%s is outside %s–%s", value.duration, value.bounds.Min, value.bounds.Max)
		}
	}
	bounds := config.ContractConfirmationsBounds
	if value := spec.ContractConfigConfirmations; value != 0 && !bounds.Contains(value) {
		d.problem(d.top.line("contractConfigConfirmations"), "contractConfigConfirmations", "%d is outside %d–%d", value, bounds.Min, bounds.Max)
	}
}

// create checks what must exist on the node. Names that the relayer has not put into their one spelling are not looked for.
func (d *document) create(spec *Spec, t table, s Settings, answered bool) {
	if s.Keys != nil && spec.Type == TypeOCR2 {
		if spec.KeyBundleID != "" && !s.Keys.HasKeyBundle(spec.Relay, spec.KeyBundleID) {
			d.problem(t.line("ocrKeyBundleID"), "ocrKeyBundleID", "this node has no OCR2 key bundle %s for %s; list its keys to find one", spec.KeyBundleID, spec.Relay)
		}
		if answered && spec.TransmitterID != "" && !s.Keys.HasTransmitter(spec.Relay, spec.ChainID, spec.Transmitter()) {
			d.problem(t.line("transmitterID"), "transmitterID", "this node has no key %s for %s chain %s; list its keys to find one", spec.TransmitterID, spec.Relay, spec.ChainID)
		}
	}
	if spec.Product != nil {
		d.runs(spec.Product, s)
	}
	for _, source := range spec.Sources() {
		if source.Pipeline == nil {
			continue
		}
		for _, name := range source.Pipeline.Bridges() {
			if s.Bridges != nil && !s.Bridges.HasBridge(name) {
				d.problem(d.index.Line(source.Key), source.Key, "could not find bridge with name %q; create it first", name)
			}
		}
		d.chains(spec, source.Key, source.Pipeline, s)
	}
	if s.Processes != nil && spec.Isolated {
		for _, kind := range []string{spec.product(), spec.Relay} {
			if variable, inside := s.Processes.InProcess(kind); inside {
				d.problem(t.line("isolated"), "isolated", "an isolated job has processes of its own, and the %s plugin runs inside this node; set %s, or remove the key", kind, variable)
				break
			}
		}
	}
	if s.Jobs != nil && answered && spec.TransmitterID != "" {
		switch name, isolated, found := s.Jobs.BySender(spec); {
		case !found:
		case spec.Isolated:
			d.problem(t.line("transmitterID"), "transmitterID", "job %s sends from this account on %s chain %s, and an isolated job needs one that no other job there has; make one with: loop keys create %[2]s", name, spec.Relay, spec.ChainID)
		case isolated:
			d.problem(t.line("transmitterID"), "transmitterID", "job %s is isolated, and no other may send from its account on %s chain %s; name another one", name, spec.Relay, spec.ChainID)
		}
	}
	if s.Jobs != nil {
		if name, found := s.Jobs.ByContract(spec.ContractKey()); answered && found {
			d.problem(t.line("contractID"), "contractID", "job %s serves this contract already; remove it first", name)
		}
		if spec.ExternalJobID != uuid.Nil {
			if name, found := s.Jobs.ByExternalID(spec.ExternalJobID); found {
				d.problem(t.line("externalJobID"), "externalJobID", "job %s has this ID already; give another one or none", name)
			}
		}
	}
}

// chains checks the chains of the tasks that read contracts. That of the job itself is checked with relayConfig.
func (d *document) chains(spec *Spec, key string, parsed *pipeline.Pipeline, s Settings) {
	if s.Relayers == nil {
		return
	}
	readers := slices.DeleteFunc(slices.Clone(s.Relayers.Relays()), func(relay string) bool { return !s.Relayers.ReadsContracts(relay) })
	entry, _ := d.index.Find(key)
	for _, chain := range parsed.Chains() {
		line := entry.TextLine(chain.Task.Line)
		switch {
		case chain.ID == "" && !s.Relayers.ReadsContracts(spec.Relay):
			d.problem(line, key, "task %s: attribute evmChainID is required: the job's relay is %s, so the task must name the chain%s", chain.Task.ID, spec.Relay, choice(readers, s.Chains))
		case chain.ID != "" && s.Chains != nil && !slices.ContainsFunc(readers, func(relay string) bool { return s.Chains.HasChain(relay, chain.ID) }):
			d.problem(line, key, "task %s: attribute evmChainID: this node has no enabled %s chain %q%s", chain.Task.ID, strings.Join(readers, " or "), chain.ID, choice(readers, s.Chains))
		}
	}
}

// choice says which chains contracts can be read of.
func choice(readers []string, known Chains) string {
	if known == nil {
		return ""
	}
	var ids []string
	for _, relay := range readers {
		ids = append(ids, known.ChainIDs(relay)...)
	}
	if len(ids) == 0 {
		return "; it has none, so add it to the node's configuration"
	}
	return "; it has " + strings.Join(ids, ", ")
}

// start checks what the job needs to run, and fills in what the node decides. It reports whether the relayer, if there is one to
// ask, has answered.
func (d *document) start(ctx context.Context, spec *Spec, relayConfig table, own ocr2Keys, s Settings) (answered bool) {
	t := d.top
	if spec.Type == TypeOCR2 && spec.TransmitterID == "" && !s.Offline {
		d.problem(t.line("transmitterID"), "transmitterID", "expected a transmitterID to be specified: the account that sends reports")
	}
	if spec.Type == TypeBootstrap {
		if !known(s.Relayers, spec.Relay) {
			d.noRelay(spec.Relay, s.Relayers)
			return false
		}
		d.timing(spec)
	}
	answered = d.relay(ctx, spec, relayConfig, s)

	if spec.BlockchainTimeout == 0 {
		spec.BlockchainTimeout = s.OCR2.BlockchainTimeout.Duration
	}
	if spec.ContractConfigTrackerPollInterval == 0 {
		spec.ContractConfigTrackerPollInterval = s.OCR2.ContractPollInterval.Duration
	}
	if spec.ContractConfigConfirmations == 0 {
		spec.ContractConfigConfirmations = s.OCR2.ContractConfirmations
	}
	if spec.Type == TypeOCR2 {
		if len(spec.Bootstrappers) == 0 {
			spec.Bootstrappers = slices.Clone(s.DefaultBootstrappers)
		}
		if len(spec.Bootstrappers) == 0 && !own.allowNoBootstrappers && !s.Offline {
			d.problem(t.line("p2pv2Bootstrappers"), "p2pv2Bootstrappers", "no bootstrappers: name some here or in [P2P.V2] DefaultBootstrappers, or set allowNoBootstrappers = true")
		}
		if spec.KeyBundleID == "" {
			spec.KeyBundleID = s.OCR2.KeyBundleID
		}
		if spec.KeyBundleID == "" && !s.Offline {
			d.problem(t.line("ocrKeyBundleID"), "ocrKeyBundleID", "no key bundle: name one here or in [OCR2] KeyBundleID")
		}
		spec.CaptureEATelemetry = spec.CaptureEATelemetry || s.OCR2.CaptureEATelemetry
		if spec.Product != nil {
			d.askProduct(ctx, spec, s)
		} else {
			spec.PluginConfig = d.pluginConfig(t.sub("pluginConfig"))
		}
	}
	return answered
}
