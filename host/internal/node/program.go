package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/relay"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// The kinds of plugins that a node runs.
var (
	kindMedian  = medianv1loop.MedianKind().Name
	kindProduct = productv1loop.ProductKind().Name
	kindRelayer = relayerv1loop.RelayerKind().Name
)

// everyKind are the kinds that a command is tried as.
func everyKind() []wire.Kind {
	return []wire.Kind{relayerv1loop.RelayerKind(), productv1loop.ProductKind(), medianv1loop.MedianKind()}
}

// describedKinds are the kinds that say what they are.
func describedKinds() []wire.Kind {
	return []wire.Kind{relayerv1loop.RelayerKind(), productv1loop.ProductKind()}
}

// commands starts plugins that the environment names, side by side. The errors are of those that do not start.
func (n *Node) commands(ctx context.Context, names []string, kinds func() []wire.Kind) ([]*launched, []error) {
	environment := n.settings.Config.Environment.Plugins
	all, errs := make([]*launched, len(names)), make([]error, len(names))
	var wait sync.WaitGroup
	for at, name := range names {
		wait.Go(func() { all[at], errs[at] = n.command(ctx, name, environment[name], kinds()) })
	}
	wait.Wait()
	return slices.DeleteFunc(all, func(l *launched) bool { return l == nil }), slices.DeleteFunc(errs,
		func(err error) bool { return err == nil })
}

// commanded are the names of the plugins that have a command or a process to attach to.
func (n *Node) commanded() []string {
	environment := n.settings.Config.Environment.Plugins
	return slices.DeleteFunc(slices.Sorted(maps.Keys(environment)),
		func(name string) bool { return environment[name].InProcess() })
}

// insideKind is the kind of the plugin that is built in under a name; empty, if none is.
func (n *Node) insideKind(name string) string {
	if b, ok := n.settings.Builtin[name]; ok {
		return b.New().Kind.Name
	}
	return ""
}

// command starts the plugin of a command. Its kind is not known: the plugin is started as one kind after another, and
// at once refuses those that it is not. If a plugin was seen before and does not start now, it is down, and its earlier
// description holds.
func (n *Node) command(ctx context.Context, name string, c config.Plugin, kinds []wire.Kind) (*launched, error) {
	kept := n.kept(ctx, name, c)
	var first error
	for _, kind := range n.order(name, c, kept.Kind, kinds) {
		l, err := n.start(ctx, kind, n.pluginSettings(name, c, kind.Name))
		if err == nil {
			return l, nil
		}
		if !process.EndedEarly(err) {
			first = err // it is of this kind, and what the others said is of no use
			break
		}
		if first == nil {
			first = err
		}
	}
	if len(kept.Description) == 0 || ctx.Err() != nil {
		return nil, first
	}
	n.logger.Error("a plugin does not start; the node uses its last known description and tries again",
		"plugin", name, "error", first)
	restore := n.restoreRelayer
	if kept.Kind == kindProduct {
		restore = n.restoreProduct
	}
	l, err := restore(ctx, name, c, kept.Description)
	if err != nil {
		return nil, errors.Join(first, err)
	}
	return l, nil
}

// restoreRelayer uses the earlier description of a relayer whose plugin does not start.
func (n *Node) restoreRelayer(ctx context.Context, name string, c config.Plugin, stored []byte) (*launched, error) {
	settings := n.pluginSettings(name, c, kindRelayer)
	settings.Patient = true
	plugin, err := relayerv1loophost.LaunchRelayer(ctx, n.runtime, settings)
	if err != nil {
		return nil, err
	}
	r, err := relay.Restore(name, plugin.RelayerServiceClient, stored)
	if err != nil {
		plugin.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return &launched{name: name, relayer: r, plugin: plugin}, nil
}

// order is the order of kinds in which a command is tried: first the kind that it was, then the others. A plugin with
// the name of a built-in one is of that one's kind.
func (n *Node) order(name string, c config.Plugin, before string, kinds []wire.Kind) []wire.Kind {
	if inside := n.insideKind(name); inside != "" {
		return slices.DeleteFunc(kinds, func(k wire.Kind) bool { return k.Name != inside })
	}
	if c.Attach != "" {
		if a, err := wire.ReadAttachment(c.Attach); err == nil {
			before = a.Kind // a process that runs says so; without the file, the error of the first kind is as good as any
		}
	}
	if at := slices.IndexFunc(kinds, func(k wire.Kind) bool { return k.Name == before }); at > 0 {
		kinds[0], kinds[at] = kinds[at], kinds[0]
	}
	return kinds
}

// start starts a plugin of a kind, and asks a relayer or a product what it is.
func (n *Node) start(ctx context.Context, kind wire.Kind, s loophost.PluginSettings) (*launched, error) {
	switch kind.Name {
	case kindProduct:
		return n.offer(ctx, s)
	case kindMedian:
		plugin, err := medianv1loophost.LaunchMedian(ctx, n.runtime, s)
		if err != nil {
			return nil, err
		}
		n.remember(ctx, s.Name, kind.Name, nil)
		return &launched{name: s.Name, median: plugin}, nil
	}
	plugin, err := relayerv1loophost.LaunchRelayer(ctx, n.runtime, s)
	if err != nil {
		return nil, err
	}
	r, err := relay.Ask(ctx, s.Name, plugin.RelayerServiceClient)
	if err != nil {
		plugin.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	n.remember(ctx, s.Name, kind.Name, r)
	return &launched{name: s.Name, relayer: r, plugin: plugin}, nil
}

// checksum is the checksum of what a command starts: of its files, and of its words, since an interpreter may run
// something that is not a file.
func (n *Node) checksum(c config.Plugin) (string, error) {
	files, err := n.runtime.ChecksumsOf(c.Command)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, f := range files {
		_, _ = fmt.Fprintf(hash, "%s\n", f.SHA256)
	}
	for _, word := range c.Command {
		_, _ = fmt.Fprintf(hash, "%q\n", word)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// kept is the earlier description of a plugin's program; nothing if the program never ran.
func (n *Node) kept(ctx context.Context, name string, c config.Plugin) database.Program {
	if n.database == nil || len(c.Command) == 0 {
		return database.Program{}
	}
	sum, err := n.checksum(c)
	if err != nil {
		return database.Program{} // the plugin will not start, and that error says why
	}
	kept, err := n.database.Program(ctx, name, sum)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		n.logger.Warn("the stored description of a plugin could not be read", "plugin", name, "error", err)
	}
	return kept
}

// describer is a plugin that has said what it is.
type describer interface{ Stored() ([]byte, error) }

// remember keeps the description of a plugin's program. A median has none, so its kind is kept.
func (n *Node) remember(ctx context.Context, name, kind string, d describer) {
	c := n.settings.Config.Environment.Plugins[name]
	if n.database == nil || len(c.Command) == 0 {
		return
	}
	kept := database.Program{Plugin: name, Kind: kind}
	var err error
	if d != nil {
		kept.Description, err = d.Stored()
	}
	if err == nil {
		kept.Checksum, err = n.checksum(c)
	}
	if err == nil {
		err = n.database.PutProgram(ctx, kept)
	}
	if err != nil {
		n.logger.Warn("the description of a plugin could not be stored", "plugin", name, "error", err)
	}
}
