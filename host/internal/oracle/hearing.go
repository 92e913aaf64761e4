package oracle

import (
	"slices"
	"sync"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/host/internal/oracle/feed"
)

// hearing is libocr's network, which also notes from whom messages come: libocr itself tells nobody.
type hearing struct {
	types.BinaryNetworkEndpointFactory
	feed *feed.Recorder
}

// NewEndpoint implements types.BinaryNetworkEndpointFactory.
func (h *hearing) NewEndpoint(
	digest types.ConfigDigest, peerIDs []string, bootstrappers []commontypes.BootstrapperLocator, f int,
	limits types.BinaryNetworkEndpointLimits,
) (commontypes.BinaryNetworkEndpoint, error) {
	endpoint, err := h.BinaryNetworkEndpointFactory.NewEndpoint(digest, peerIDs, bootstrappers, f, limits)
	if err != nil {
		return nil, err
	}
	h.feed.Meets(len(peerIDs), slices.Index(peerIDs, h.PeerID()))
	return &heard{
		BinaryNetworkEndpoint: endpoint, feed: h.feed,
		received: make(chan commontypes.BinaryMessageWithSender), closed: make(chan struct{}),
	}, nil
}

// heard is one configuration's endpoint. It passes each message on when it has noted whose it is.
type heard struct {
	commontypes.BinaryNetworkEndpoint
	feed     *feed.Recorder
	received chan commontypes.BinaryMessageWithSender

	once   sync.Once
	closed chan struct{}
	work   sync.WaitGroup
}

// Start implements commontypes.BinaryNetworkEndpoint.
func (h *heard) Start() error {
	if err := h.BinaryNetworkEndpoint.Start(); err != nil {
		return err
	}
	h.work.Go(h.pass)
	return nil
}

func (h *heard) pass() {
	messages := h.BinaryNetworkEndpoint.Receive()
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return
			}
			h.feed.Hears(int(m.Sender))
			select {
			case h.received <- m:
			case <-h.closed:
				return
			}
		case <-h.closed:
			return
		}
	}
}

// Receive implements commontypes.BinaryNetworkEndpoint.
func (h *heard) Receive() <-chan commontypes.BinaryMessageWithSender { return h.received }

// Close implements commontypes.BinaryNetworkEndpoint.
func (h *heard) Close() error {
	h.once.Do(func() { close(h.closed) })
	h.work.Wait()
	return h.BinaryNetworkEndpoint.Close()
}
