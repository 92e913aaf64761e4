package relayer

import (
	"context"
	"maps"
	"slices"
	"sync"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// Hub passes the configurations of all providers of a process to the host's streams. The zero value is ready.
type Hub struct {
	mu      sync.Mutex
	current map[string]*relayerv1.WatchContractConfigsResponse // by provider
	watches map[*watch]struct{}
}

// watch is one stream: which providers it has yet to hear of. Only the latest configuration of each is kept, so that a
// slow reader costs no memory.
type watch struct {
	wake chan struct{}
	news map[string]struct{} // guarded by the hub's mu
}

// Publish sends a provider's configuration to the streams that do not have it yet.
func (h *Hub) Publish(provider string, block uint64, digest [32]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known, ok := h.current[provider]; ok && known.GetChangedInBlock() == block &&
		[32]byte(known.GetConfigDigest()) == digest {
		return
	}
	if h.current == nil {
		h.current = map[string]*relayerv1.WatchContractConfigsResponse{}
	}
	h.current[provider] = &relayerv1.WatchContractConfigsResponse{Provider: provider, ChangedInBlock: block,
		ConfigDigest: digest[:]}
	for w := range h.watches {
		w.news[provider] = struct{}{}
		ask(w.wake)
	}
}

// Remove forgets a released provider.
func (h *Hub) Remove(provider string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.current, provider)
	for w := range h.watches {
		delete(w.news, provider)
	}
}

// Watch sends the current configuration of every provider that has one, then each change, until ctx or send ends it.
func (h *Hub) Watch(ctx context.Context, send func(*relayerv1.WatchContractConfigsResponse) error) error {
	w := &watch{wake: make(chan struct{}, 1), news: map[string]struct{}{}}
	h.mu.Lock()
	for provider := range h.current {
		w.news[provider] = struct{}{}
	}
	if h.watches == nil {
		h.watches = map[*watch]struct{}{}
	}
	h.watches[w] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watches, w)
	}()
	for {
		h.mu.Lock()
		var messages []*relayerv1.WatchContractConfigsResponse
		for _, provider := range slices.Sorted(maps.Keys(w.news)) {
			messages = append(messages, h.current[provider])
		}
		clear(w.news)
		h.mu.Unlock()
		for _, message := range messages {
			if err := send(message); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
	}
}
