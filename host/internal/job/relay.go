package job

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// known reports whether there is a relayer for a relay. If no relayer is known at all, every relay may have one.
func known(relayers Relayers, relay string) bool {
	return relayers == nil || slices.Contains(relayers.Relays(), relay)
}

func (d *document) noRelay(relay string, relayers Relayers) {
	have := "none"
	if all := relayers.Relays(); len(all) > 0 {
		have = strings.Join(all, ", ")
	}
	d.problem(d.top.line("relay"), "relay",
		"no such relay: %q; this node has %s, and CL_<NAME>_CMD names the plugin of another", relay, have)
}

// relay checks the job's settings for its contract, most of which only its relayer can judge. It reports whether the
// relayer has answered.
func (d *document) relay(ctx context.Context, spec *Spec, t table, s Settings) (answered bool) {
	if chainID := d.chainID(spec, t); spec.ChainID == "" {
		spec.ChainID = chainID
	}
	if spec.ContractID == "" {
		d.problem(d.top.line("contractID"), "contractID", "the key is missing or empty")
	}
	var chain map[string]any
	if spec.ChainID != "" {
		chain = map[string]any{"chainID": spec.ChainID}
	}
	spec.RelayConfigJSON = t.encode("the relayer", chain)
	spec.WrittenRelayConfigJSON = spec.RelayConfigJSON
	if s.Relayers == nil {
		return true
	}
	spec.ReadsContracts = s.Relayers.ReadsContracts(spec.Relay)
	if spec.Product != nil && spec.Product.ProviderType == "" {
		// Of a product that is not known nobody can tell what its relayer would be asked for.
		spec.Validation = s.Validation
		return false
	}
	answered = d.ask(ctx, spec, s)
	bad := slices.ContainsFunc(d.report.Problems, func(f Finding) bool { return f.Key == "relayConfig.chainID" })
	if spec.ChainID != "" && !bad && s.Chains != nil && !s.Chains.HasChain(spec.Relay, spec.ChainID) {
		d.problem(t.line("chainID"), "relayConfig.chainID",
			"this node has no enabled %s chain %q; add it to the node's configuration", spec.Relay, spec.ChainID)
	}
	return answered
}

// encode writes a table as JSON for a plugin. Values that JSON does not have are left out, with a problem.
func (t table) encode(whom string, more map[string]any) []byte {
	values := maps.Clone(more)
	if values == nil {
		values = map[string]any{}
	}
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if _, given := values[key]; given {
			continue
		}
		if _, err := json.Marshal(t.values[key]); err != nil {
			t.problem(t.line(key), t.pathOf(key), "the value cannot be given to %s as JSON: %v", whom, err)
			continue
		}
		values[key] = t.values[key]
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(values) // which the buffer takes, and each value was tried
	return bytes.TrimSpace(encoded.Bytes())
}

// ask has the relayer check the job, and adds its problems to the report. While the relayer cannot be asked, its
// earlier answer holds. A job that it has never seen is refused then: nobody else knows with which relayConfig it would
// run, and whether another job does the same.
func (d *document) ask(ctx context.Context, spec *Spec, s Settings) (answered bool) {
	request := &relayerv1.ValidateJobRequest{
		ChainId: spec.ChainID, ContractId: spec.ContractID, TransmitterId: spec.TransmitterID,
		RelayConfigJson: spec.RelayConfigJSON,
		ProviderType:    spec.ProviderType(),
	}
	response, err := s.Relayers.ValidateJob(ctx, spec.Relay, request)
	why, line := unasked(err), d.top.line("relay")
	switch {
	case err == nil:
	case s.Validation != nil:
		d.warning(line, "relay", "the relayer cannot check the job now, and what it said of it before holds: %s", why)
		response = s.Validation
	default:
		d.problem(line, "relay", "the relayer cannot check the job: %s", why)
		return false
	}
	spec.Validation = response
	if len(response.GetProblems()) == 0 {
		spec.RelayConfigJSON = response.GetRelayConfigJson()
	}
	before := slices.Clone(d.report.Problems)
	for _, p := range response.GetProblems() {
		key := cmp.Or(p.GetPath(), "relayConfig")
		said := slices.ContainsFunc(before, func(f Finding) bool { return f.Key == key })
		if later := s.Offline && key == "transmitterID" && spec.TransmitterID == ""; !said && !later {
			d.problem(d.index.Line(key), key, "%s", p.GetMessage())
		}
	}
	for _, p := range response.GetWarnings() {
		key := cmp.Or(p.GetPath(), "relayConfig")
		d.warning(d.index.Line(key), key, "%s", misplaced("relayConfig", p))
	}
	return true
}

// unasked says why a plugin could not be asked, and what to do.
func unasked(err error) string {
	why := status.Convert(err).Message()
	if code := status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded {
		why += "; try again when its plugin is ready"
	}
	return why
}

// misplaced is the text of a warning about a table. Its finder does not know the keys above the table.
func misplaced(table string, p *pluginv1.Problem) string {
	key := strings.TrimPrefix(p.GetPath(), table+".")
	if strings.HasPrefix(p.GetMessage(), "unknown key") && slices.Contains(topKeys, key) {
		return "unknown key; " + key + " belongs above the first [table] of the file"
	}
	return p.GetMessage()
}

// chainID reads relayConfig.chainID, which may be a text or a number.
func (d *document) chainID(spec *Spec, t table) string {
	value, given := t.values["chainID"]
	switch value := value.(type) {
	case string:
		if value != "" {
			return value
		}
	case int64:
		return strconv.FormatInt(value, 10)
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			return strconv.FormatFloat(value, 'f', -1, 64)
		}
	}
	switch {
	case given && value != "":
		d.problem(t.line("chainID"), "relayConfig.chainID", "want a chain's name in quotes or its number, have %s",
			kindOf(value))
	case spec.ChainID == "":
		text := ""
		if spelled, ok := t.spelled("chainID"); ok && !given {
			text = "; it is spelled " + spelled + ", and must be spelled exactly"
		}
		d.problem(t.line("chainID"), "relayConfig.chainID", "chainID does not exist: name the chain%s", text)
	}
	return ""
}
