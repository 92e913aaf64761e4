package job

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// create checks that the node has what the job names. It does not look for names that the relayer has not put into
// their one spelling.
func (d *document) create(spec *Spec, t table, s Settings, answered bool) {
	if s.Keys != nil && spec.Type == TypeOCR2 {
		if spec.KeyBundleID != "" && !s.Keys.HasKeyBundle(spec.Relay, spec.KeyBundleID) {
			d.problem(t.line("ocrKeyBundleID"), "ocrKeyBundleID",
				"this node has no OCR2 key bundle %s for %s; list its keys to find one", spec.KeyBundleID, spec.Relay)
		}
		if answered && spec.TransmitterID != "" && !s.Keys.HasTransmitter(spec.Relay, spec.ChainID, spec.Transmitter()) {
			d.problem(t.line("transmitterID"), "transmitterID",
				"this node has no key %s for %s chain %s; list its keys to find one", spec.TransmitterID, spec.Relay, spec.ChainID)
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
				d.problem(t.line("isolated"), "isolated",
					"an isolated job has processes of its own, and the %s plugin runs inside this node; set %s, or remove the key",
					kind, variable)
				break
			}
		}
	}
	if s.Jobs != nil && answered && spec.TransmitterID != "" {
		switch name, isolated, found := s.Jobs.BySender(spec); {
		case !found:
		case spec.Isolated:
			d.problem(t.line("transmitterID"), "transmitterID",
				"job %s sends from this account on %s chain %s, and an isolated job needs one that no other job there has; make "+
					"one with: loop keys create %[2]s", name, spec.Relay, spec.ChainID)
		case isolated:
			d.problem(t.line("transmitterID"), "transmitterID",
				"job %s is isolated, and no other may send from its account on %s chain %s; name another one", name, spec.Relay,
				spec.ChainID)
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
		if spec.Name != "" {
			if name, found := s.Jobs.ByName(spec.Name); found {
				d.warning(t.line("name"), "name",
					"job %s has this name already: the log and alerts tell the two apart by their numbers alone",
					name)
			}
		}
	}
}

// chains checks the chains of the tasks that read contracts. That of the job itself is checked with relayConfig.
func (d *document) chains(spec *Spec, key string, parsed *pipeline.Pipeline, s Settings) {
	if s.Relayers == nil {
		return
	}
	readers := slices.DeleteFunc(slices.Clone(s.Relayers.Relays()), func(relay string) bool {
		return !s.Relayers.ReadsContracts(relay)
	})
	entry, _ := d.index.Find(key)
	for _, chain := range parsed.Chains() {
		line := entry.TextLine(chain.Task.Line)
		switch {
		case chain.ID == "" && !s.Relayers.ReadsContracts(spec.Relay):
			d.problem(line, key,
				"task %s: attribute evmChainID is required: the job's relay is %s, so the task must name the chain%s",
				chain.Task.ID, spec.Relay, choice(readers, s.Chains))
		case chain.ID != "" && s.Chains != nil &&
			!slices.ContainsFunc(readers, func(relay string) bool { return s.Chains.HasChain(relay, chain.ID) }):
			d.problem(line, key, "task %s: attribute evmChainID: this node has no enabled %s chain %q%s", chain.Task.ID,
				strings.Join(readers, " or "), chain.ID, choice(readers, s.Chains))
		}
	}
}

// choice says on which chains contracts can be read.
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
