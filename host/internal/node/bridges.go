package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/loop-plugins/loop/host/internal/database"
)

// bridges are the node's bridges, for specs and for pipelines.
type bridges struct{ database *database.Database }

// HasBridge implements job.Bridges. While the database cannot tell, a bridge is not missing: a run looks for it again.
func (b bridges) HasBridge(name string) bool {
	_, err := b.database.Bridge(context.Background(), name)
	return !errors.Is(err, database.ErrNotFound)
}

// Bridge implements pipeline.Bridges.
func (b bridges) Bridge(ctx context.Context, name string) (string, error) {
	found, err := b.database.Bridge(ctx, name)
	if errors.Is(err, database.ErrNotFound) {
		return "", errors.New("this node has none of that name; add it with: loop bridges add")
	}
	return found.URL, err
}

// UsesBridge returns the title of a job that uses a bridge, and whether there is one.
func (n *Node) UsesBridge(bridge string) (title string, used bool) {
	for _, r := range n.jobs.list() {
		if r.spec != nil &&
			slices.ContainsFunc(r.spec.Bridges(), func(name string) bool { return strings.EqualFold(name, bridge) }) {
			return r.title(), true
		}
	}
	return "", false
}

// RemoveBridge removes a bridge and its metrics.
func (n *Node) RemoveBridge(ctx context.Context, name string) error {
	if err := n.database.RemoveBridge(ctx, name); err != nil {
		return err
	}
	n.sources.forget(name)
	return nil
}

// bridgesOf are the bridges that jobs use, by name.
func bridgesOf(jobs []*running) []string {
	used := map[string]bool{}
	for _, r := range jobs {
		if r.spec != nil {
			for _, name := range r.spec.Bridges() {
				used[strings.ToLower(name)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(used))
}
