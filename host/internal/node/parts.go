package node

import (
	"log/slog"
	"time"

	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/lines"
	"github.com/loop-plugins/loop/host/internal/oracle"
	"github.com/loop-plugins/loop/host/internal/signing"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// PeerID returns the node's id among its peers; empty while a new node has no key yet.
func (n *Node) PeerID() string {
	key, err := oracle.Identity(n.keys, n.settings.Config.P2P.PeerID)
	if err != nil {
		return ""
	}
	return key.ID()
}

// Ready reports whether the whole node has started. Before that it has its database, its keys and the plugins that are
// started so far, but no chains, jobs or history.
func (n *Node) Ready() bool { return n.ready.Load() }

// Stops reports whether the node is being closed.
func (n *Node) Stops() bool { return n.stops.Load() }

// phase is what the node does while it is not ready.
func (n *Node) phase() string {
	if n.Stops() {
		return "stops"
	}
	return "starts"
}

// Version returns the version of LOOP that the node runs.
func (n *Node) Version() string { return n.settings.Version }

// StartedAt returns when the node began to start.
func (n *Node) StartedAt() time.Time { return n.startedAt }

// ExportsKeys reports whether the configuration lets keys leave the node.
func (n *Node) ExportsKeys() bool { return n.settings.Config.Keystore.AllowExport }

// Logger returns the node's log.
func (n *Node) Logger() *slog.Logger { return n.logger }

// Level returns the level of the node's log, which may be set.
func (n *Node) Level() *slog.LevelVar { return n.level }

// Lines returns the newest lines of the log of each plugin.
func (n *Node) Lines() *lines.Lines { return n.lines }

// Database returns the node's database.
func (n *Node) Database() *database.Database { return n.database }

// Keys returns the node's keys.
func (n *Node) Keys() *keystore.Keystore { return n.keys }

// Runtime returns what runs the node's plugins.
func (n *Node) Runtime() *loophost.Runtime { return n.runtime }

// History returns what jobs did.
func (n *Node) History() *history.History { return n.history }

// Signatures returns the record of what was signed and refused.
func (n *Node) Signatures() *signing.Record { return n.signed }

// Transfers returns the transfers of coins that operators have asked for, which the signing guard lets through.
func (n *Node) Transfers() *signing.Transfers { return n.transfers }
