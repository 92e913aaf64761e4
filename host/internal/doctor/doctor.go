// Package doctor says what is wrong with a node and with the systems that it depends on, and what to do about it. It
// consists of pure functions of facts, each of which is one check.
//
// It must not know how facts are gathered or findings shown: it calls nothing and changes nothing.
package doctor

import (
	"cmp"
	"slices"
	"strings"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// The subjects of checks, by which programs distinguish findings.
const (
	Node          = "node"
	Configuration = "configuration"
	Database      = "database"
	Disk          = "disk"
	Clock         = "clock"
	Plugin        = "plugin"
	Version       = "version"
	Confinement   = "confinement"
	Chain         = "chain"
	Funds         = "funds"
	Job           = "job"
	Peers         = "peers"
	Budgets       = "budgets"
	Bridge        = "bridge"
)

// Good returns the finding of a check that found everything well.
func Good(check, subject, text string) *nodev1.Finding {
	return &nodev1.Finding{Check: check, Subject: subject, Severity: nodev1.Severity_SEVERITY_OK, Text: text}
}

// Unchecked returns the finding of a check that could not be made, with the reason.
func Unchecked(check, subject, text, remedy string) *nodev1.Finding {
	return &nodev1.Finding{
		Check: check, Subject: subject, Severity: nodev1.Severity_SEVERITY_UNCHECKED, Text: text, Remedy: remedy,
	}
}

// Warning returns a finding about something that works but needs a person soon.
func Warning(check, subject, text, remedy string) *nodev1.Finding {
	return &nodev1.Finding{
		Check: check, Subject: subject, Severity: nodev1.Severity_SEVERITY_WARNING, Text: text, Remedy: remedy,
	}
}

// Failed returns a finding about something that does not work.
func Failed(check, subject, text, remedy string) *nodev1.Finding {
	return &nodev1.Finding{
		Check: check, Subject: subject, Severity: nodev1.Severity_SEVERITY_FAILED, Text: text, Remedy: remedy,
	}
}

// Sort puts the worst first, and keeps the order of equally bad findings.
func Sort(found []*nodev1.Finding) {
	slices.SortStableFunc(found, func(a, b *nodev1.Finding) int { return cmp.Compare(b.GetSeverity(), a.GetSeverity()) })
}

// Count returns how many findings have a severity.
func Count(found []*nodev1.Finding, severity nodev1.Severity) int {
	n := 0
	for _, f := range found {
		if f.GetSeverity() == severity {
			n++
		}
	}
	return n
}

// Name returns a severity for people: ok, unchecked, warning or failed.
func Name(s nodev1.Severity) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "SEVERITY_"))
}
