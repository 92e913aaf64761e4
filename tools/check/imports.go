package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// rule forbids imports. Patterns name packages of this project by their folder and others by their import path: in
// them `*` stands for one element or a part of one, and `...` for anything. A `$1` in unless is what the first `*` of
// the pattern in from stood for.
type rule struct {
	from   string   // the packages that the rule is about
	except []string // those of them that it leaves alone
	never  []string // what they must not import
	unless []string // what of that they may import after all
	reason string   // printed with each finding
}

// importRules is the direction of docs and code: proto, gen, sdk, plugins, host. Imports of tests count as well.
func importRules() []rule {
	return []rule{
		{
			from:   "gen/go/...",
			except: []string{"gen/go/.../*loop", "gen/go/.../*loophost"},
			never:  []string{"sdk/...", "plugins/...", "host/...", "tools/..."},
			reason: "generated messages and stubs are the contract itself, and who imports them must get nothing else; only " +
				"glue, in packages whose names end in loop or loophost, stands on the SDK",
		},
		{
			from:   "gen/go/...",
			never:  []string{"sdk/...", "plugins/...", "host/...", "tools/..."},
			unless: []string{"sdk/go/wire", "sdk/go/loop", "sdk/go/loophost"},
			reason: "generated glue stands on the three packages sdk/go/wire, sdk/go/loop and sdk/go/loophost, so that the " +
				"rest of the SDK can change without generating anew",
		},
		{
			from:   "sdk/...",
			never:  []string{"plugins/...", "host/...", "tools/..."},
			reason: "the SDK lies beneath every plugin and the host, and authors of other plugins get whatever it imports",
		},
		{
			from:   "sdk/...",
			except: []string{"sdk/go/ocr2"}, // a module of its own
			never: []string{"github.com/ethereum/go-ethereum/...", "github.com/smartcontractkit/libocr/...", "modernc.org/...",
				"github.com/jackc/pgx/...", "sdk/go/ocr2"},
			reason: "the SDK is for every chain and product: chain clients, libocr and databases stay in the modules that " +
				"need them",
		},
		{
			from:   "plugins/*/...",
			never:  []string{"host/..."},
			reason: "a plugin runs under any host that speaks the contract, so it must not know this one",
		},
		{
			from:   "plugins/*/...",
			never:  []string{"plugins/..."},
			unless: []string{"plugins/$1/...", "plugins/stark"}, // a curve, whose signers the node and the relayer share
			reason: "plugins are built, shipped and upgraded one by one, so none may need another; what two share belongs in " +
				"the SDK",
		},
		{
			from:   "host/...",
			except: []string{"host/internal/fallback/..."},
			never:  []string{"plugins/..."},
			unless: []string{"plugins/templates", "plugins/stark"}, // texts of loop new plugin; a curve of keys
			reason: "the host reaches plugins over the contract alone; host/internal/fallback is the one place that runs them " +
				"in the host's process",
		},
		{
			from:   "tools/...",
			never:  []string{"host/...", "plugins/..."},
			unless: []string{"plugins/stark"},
			reason: "tools generate, drive and judge the product from outside, as its users do, and must work on a product " +
				"that they did not compile",
		},
		{
			from:   "...",
			except: []string{"tools/...", "gen/go/...", "sdk/..."}, // tools may import one another; the others have rules above
			never:  []string{"tools/..."},
			reason: "what ships must not need what made or tested it",
		},
		{
			from:   "...",
			never:  []string{"github.com/ethereum/go-ethereum/cmd/..."},
			reason: "go-ethereum's commands are under the GPL, and only its libraries are under the LGPL",
		},
	}
}

// graph is who imports what: import path of each package of the workspace to those that it or its tests import.
type graph map[string][]string

func checkImports(ctx context.Context, out io.Writer, _ []string) ([]string, error) {
	listed, err := output(ctx, "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "work")
	if err != nil {
		return nil, err
	}
	imports := graph{}
	for decoder := json.NewDecoder(bytes.NewReader(listed)); ; {
		var pkg struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read what go list printed: %w", err)
		}
		imports[pkg.ImportPath] = slices.Concat(pkg.Imports, pkg.TestImports, pkg.XTestImports)
	}
	findings := against(imports, importRules())
	fmt.Fprintf(out, "imports: %d packages, %d rules\n", len(imports), len(importRules()))
	return findings, nil
}

// against returns each import that breaks a rule. A rule that guards no package is a finding too: its folder was
// renamed, and it would stay silent for ever.
func against(imports graph, rules []rule) []string {
	var findings []string
	for _, r := range rules {
		guarded := 0
		for _, importer := range sortedKeys(imports) {
			from := folder(importer)
			star, matched := match(r.from, from)
			if !matched || matchAny(r.except, from, "") {
				continue
			}
			guarded++
			imported := slices.Clone(imports[importer])
			slices.Sort(imported)
			for _, path := range slices.Compact(imported) {
				if to := folder(path); matchAny(r.never, to, star) && !matchAny(r.unless, to, star) {
					findings = append(findings, fmt.Sprintf("%s imports %s: %s", from, to, r.reason))
				}
			}
		}
		if guarded == 0 {
			findings = append(findings, fmt.Sprintf("no package matches %s: fix or remove the rule that guards it", r.from))
		}
	}
	return findings
}

// folder shortens the import path of a package of this project to its folder, and leaves other paths as they are.
func folder(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func matchAny(patterns []string, path, star string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		_, matched := match(strings.ReplaceAll(pattern, "$1", star), path)
		return matched
	})
}

// match says whether path fits the pattern, and what the pattern's first `*` stood for.
func match(pattern, path string) (star string, matched bool) {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `/\.\.\.`, `(?:/.*)?`)
	quoted = strings.ReplaceAll(quoted, `\.\.\.`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\*`, `([^/]*)`)
	groups := regexp.MustCompile("^" + quoted + "$").FindStringSubmatch(path)
	if len(groups) > 1 {
		star = groups[1]
	}
	return star, groups != nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
