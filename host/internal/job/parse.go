package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// Parse reads a spec and makes every check that needs no chain. The stages follow one another as on established nodes,
// but one that finds problems does not hide those of the next: all are reported, of each key those of its first stage.
// Only where the type, the relay or the product are not known is it the end, since they say what the other keys mean.
// With a problem in the file (StageCommon, StageOCR2) the spec is nil too, unless Settings are Offline: then it has
// what could be read, for those who need only a part of it.
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
	report.Warnings = slices.Concat(d.report.Warnings, create.report.Warnings)
	if s.Offline {
		d.report, d.stage = report, StageCreate
		d.offline(spec, own, s)
	}
	if len(inFile) > 0 && !s.Offline {
		return nil, report
	}
	return spec, report
}

// firstStages leaves out a later stage's problem with a key, or with a key of a table, if an earlier stage has a
// problem with it: the later one follows from the earlier.
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
		d.problem(d.top.line("maxTaskDuration"), "maxTaskDuration", "%s is negative; leave the key out for no limit",
			spec.MaxTaskDuration)
	}
	if spec.Type != TypeBootstrap {
		d.idle()
	}
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
		d.problem(d.top.line("type"), "type", "invalid job type %q; this node runs %s and %s", spec.Type, TypeOCR2,
			TypeBootstrap)
	}
	before := len(d.report.Problems)
	if version := d.top.whole("schemaVersion", math.MaxUint32); version != 1 && len(d.report.Problems) == before {
		d.problem(d.top.line("schemaVersion"), "schemaVersion", "invalid schema version %d; write schemaVersion = 1", version)
	}
	if at := strings.Index(d.text, "<{}>"); at >= 0 {
		d.problem(1+strings.Count(d.text[:at], "\n"), "",
			`<{}> loses its braces on established nodes and is refused; write "{}"`)
	}
}

// name reads the only key of a text that also accepts a bare number.
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

// idle warns of what a spec asks for and this node does not do. Specs of established nodes have these keys.
func (d *document) idle() {
	for _, asked := range []struct {
		key string
		set bool
		why string
	}{
		{"forwardingAllowed", d.top.flag("forwardingAllowed"),
			"this node sends through no forwarder: the job's account itself must be the contract's transmitter"},
		{"captureEATelemetry", d.top.flag("captureEATelemetry"),
			"this node sends no telemetry of its bridges; the metrics loop_bridge_requests_total and " +
				"loop_bridge_request_duration_seconds tell of them"},
		{"monitoringEndpoint", d.top.text("monitoringEndpoint") != "",
			"this node sends no telemetry of the protocol; its own metrics and loop rounds tell of the job"},
	} {
		if asked.set {
			d.warning(d.top.line(asked.key), asked.key, "it has no effect: %s", asked.why)
		}
	}
}

// ocr2 checks the keys of an OCR2 job.
func (d *document) ocr2(spec *Spec, s Settings) ocr2Keys {
	t := d.top
	d.shared(spec)
	spec.PluginType = t.text("pluginType")
	spec.TransmitterID = t.text("transmitterID")
	spec.KeyBundleID = t.text("ocrKeyBundleID")
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
		d.problem(t.line("pluginType"), "pluginType",
			"no plugin specified; write pluginType = \"median\", or \"plugin\" with a pluginName in pluginConfig")
	case slices.Contains(otherPlugins, spec.PluginType):
		d.problem(t.line("pluginType"), "pluginType",
			"this node does not run the product %q by this type; it runs median, and as plugin any product whose plugin it has",
			spec.PluginType)
	case spec.PluginType != PluginMedian:
		d.problem(t.line("pluginType"), "pluginType",
			"invalid pluginType %q; write pluginType = \"median\", or \"plugin\" with a pluginName in pluginConfig",
			spec.PluginType)
	}
	if spec.Observation == nil && spec.PluginType != PluginProduct {
		where := ""
		for _, name := range []string{"relayConfig", "pluginConfig"} {
			if inner, ok := t.values[name].(map[string]any); ok && inner["observationSource"] != nil {
				where = fmt.Sprintf("; the one on line %d is part of [%s]: move it above the first [table]",
					d.index.Line(name+".observationSource"), name)
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
		"captureEATelemetry", "monitoringEndpoint", "maxTaskDuration", "forwardingAllowed", "gasLimit", "isolated",
	} {
		if spelled, ok := d.top.spelled(key); ok {
			d.top.read[spelled] = true
			d.warning(d.top.line(key), key, "this key has no effect in this type of job")
		}
	}
	spec.MaxTaskDuration, spec.GasLimit, spec.Isolated = 0, 0, false
}

// shared reads the keys that both types of job have beyond the common ones.
func (d *document) shared(spec *Spec) {
	t := d.top
	spec.Relay = t.text("relay")
	spec.ContractID = t.text("contractID")
	spec.ChainID = t.text("chainID")
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
			d.problem(d.top.line(value.key), value.key, "%s is outside %s–%s", value.duration, value.bounds.Min,
				value.bounds.Max)
		}
	}
	bounds := config.ContractConfirmationsBounds
	if value := spec.ContractConfigConfirmations; value != 0 && !bounds.Contains(value) {
		d.problem(d.top.line("contractConfigConfirmations"), "contractConfigConfirmations", "%d is outside %d–%d", value,
			bounds.Min, bounds.Max)
	}
}
