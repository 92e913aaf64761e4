package oracle

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/smartcontractkit/libocr/networking"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/keystore"
)

// PeerSettings configure NewPeer.
type PeerSettings struct {
	Config config.P2P
	// TraceLogging logs libocr's trace lines too, at level debug.
	TraceLogging bool
	// Keys has the node's P2P key. If there are several, the oldest is the node's identity.
	Keys       *keystore.Keystore
	Database   *database.Database
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Peer is the node in OCR2's network: one for all of its jobs.
type Peer struct {
	id            string
	peer          io.Closer
	endpoints     types.BinaryNetworkEndpointFactory
	bootstrappers types.BootstrapperFactory
}

// Identity returns the node's key among its peers: the one of a peer id, or the oldest if the id is empty.
func Identity(keys *keystore.Keystore, peerID string) (*keystore.P2PKey, error) {
	if peerID != "" {
		key, err := keys.P2P(peerID)
		if err != nil {
			err = fmt.Errorf("[P2P] PeerID is %s, and the node has no key of that id; without PeerID it starts with its "+
				"oldest: import the key with loop keys import, and name it then", peerID)
		}
		return key, err
	}
	all := keys.P2PKeys()
	if len(all) == 0 {
		return nil, errors.New("the node has no P2P key; create one")
	}
	return all[0], nil
}

// NewPeer listens and begins to look for peers. Close it after every oracle that uses it.
func NewPeer(s PeerSettings) (*Peer, error) {
	key, err := Identity(s.Keys, s.Config.PeerID)
	if err != nil {
		return nil, fmt.Errorf("joining the OCR2 network: %w", err)
	}
	id := key.ID()
	registerer := s.Registerer
	if registerer == nil {
		registerer = prometheus.NewRegistry()
	}
	log := s.Logger.With("peer", id)
	peer, err := networking.NewPeer(networking.PeerConfig{
		PeerKeyring:          key,
		Logger:               newPeerLogger(&logger{slog: log, trace: s.TraceLogging}),
		V2ListenAddresses:    s.Config.V2.ListenAddresses,
		V2AnnounceAddresses:  s.Config.V2.AnnounceAddresses,
		V2DeltaReconcile:     s.Config.V2.DeltaReconcile.Duration,
		V2DeltaDial:          s.Config.V2.DeltaDial.Duration,
		V2DiscovererDatabase: s.Database.Announcements(id),
		V2EndpointConfig: networking.EndpointConfigV2{
			IncomingMessageBufferSize: int(s.Config.IncomingMessageBufferSize),
			OutgoingMessageBufferSize: int(s.Config.OutgoingMessageBufferSize),
		},
		MetricsRegisterer: registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("joining the OCR2 network at %v failed: %w; give [P2P.V2] ListenAddresses that are free on "+
			"this machine", s.Config.V2.ListenAddresses, err)
	}
	return &Peer{
		id:            id,
		peer:          peer,
		endpoints:     peer.OCR2BinaryNetworkEndpointFactory(),
		bootstrappers: peer.OCR2BootstrapperFactory(),
	}, nil
}

// ID returns the node's peer id, 12D3KooW….
func (p *Peer) ID() string { return p.id }

// Close leaves the network.
func (p *Peer) Close() error { return p.peer.Close() }
