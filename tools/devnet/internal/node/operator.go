package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

const (
	// callTimeout bounds a call to a node, which answers from memory and a database of its own.
	callTimeout = 10 * time.Second
	// jobTimeout bounds the calls that add and remove a job. The node asks the plugins to check it and the chain for its
	// contract, which takes its time where hundreds of jobs begin at once on one machine; and it ends what the job does,
	// which waits for plugins.
	jobTimeout = 2 * time.Minute
)

// Keys are the public sides of the keys that a node makes when it first starts.
type Keys struct {
	// PeerID is the node's identity on OCR2's network.
	PeerID string
	// BundleID names the OCR2 keys for the node's chain, and the rest of the first four are theirs: 32, 32 and 20 bytes.
	BundleID                                                       string
	OffchainPublicKey, ConfigEncryptionPublicKey, OnchainPublicKey []byte
	// Account is the address of the node's account on its chain.
	Account string
}

// Keys asks the node for its keys.
func (n *Node) Keys(ctx context.Context) (Keys, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := n.client.ListKeys(ctx, &nodev1.ListKeysRequest{})
	if err != nil {
		return Keys{}, fmt.Errorf("list the keys of %s: %w", n.Name(), n.reason(ctx, err))
	}
	keys, err := pick(response.GetKeys(), n.settings.Chain.relay())
	if err != nil {
		return Keys{}, fmt.Errorf("list the keys of %s: %w", n.Name(), err)
	}
	return keys, nil
}

// pick finds the keys that a node needs for a feed on a relay, the oldest of each kind.
func pick(all []*nodev1.Key, relay string) (Keys, error) {
	var keys Keys
	for _, key := range all {
		switch kind := key.GetKind(); {
		case kind == nodev1.KeyKind_KEY_KIND_P2P && keys.PeerID == "":
			keys.PeerID = key.GetId()
		case kind == nodev1.KeyKind_KEY_KIND_OCR2 && key.GetRelay() == relay && keys.BundleID == "":
			keys.BundleID = key.GetId()
			keys.OffchainPublicKey = key.GetOcr2().GetOffchainPublicKey()
			keys.ConfigEncryptionPublicKey = key.GetOcr2().GetConfigEncryptionPublicKey()
			keys.OnchainPublicKey = key.GetOcr2().GetOnchainPublicKey()
		case kind == nodev1.KeyKind_KEY_KIND_ACCOUNT && key.GetRelay() == relay && keys.Account == "":
			keys.Account = key.GetId()
		}
	}
	switch {
	case keys.PeerID == "":
		return Keys{}, errors.New("it has no key of the kind P2P")
	case keys.BundleID == "":
		return Keys{}, fmt.Errorf("it has no key of the kind OCR2 for %s", relay)
	case keys.Account == "":
		return Keys{}, fmt.Errorf("it has no account of %s", relay)
	}
	return keys, nil
}

// AddBridge gives the node a bridge.
func (n *Node) AddBridge(ctx context.Context, name, url string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := n.client.AddBridge(ctx, &nodev1.AddBridgeRequest{Bridge: &nodev1.Bridge{Name: name, Url: url}})
	if err != nil {
		return fmt.Errorf("add the bridge %q to %s: %w", name, n.Name(), n.reason(ctx, err))
	}
	return nil
}

// AddJob gives the node a job, and returns the node's number of it and what the node ignored.
func (n *Node) AddJob(ctx context.Context, spec string) (id int64, warnings []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	response, err := n.client.AddJob(ctx, &nodev1.AddJobRequest{SpecToml: spec})
	if err != nil {
		return 0, nil, fmt.Errorf("add the job to %s: %w", n.Name(), n.reason(ctx, err))
	}
	for _, warning := range response.GetWarnings() {
		warnings = append(warnings, warning.GetText())
	}
	return response.GetJob().GetId(), warnings, nil
}

// Plugin is the state of a plugin.
type Plugin struct {
	// Name is "median", "evm" and so on.
	Name string
	// State is its state, in lower case: "ready".
	State string
	// InProcess says that it runs inside the node.
	InProcess bool
	// PID is its process; 0 if it has none now, or none of its own.
	PID int
	// Generation is which generation this is, from 1; Restarts counts the generations after the first.
	Generation, Restarts uint64
}

// Plugins asks the node for its plugins.
func (n *Node) Plugins(ctx context.Context) ([]Plugin, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := n.client.ListPlugins(ctx, &nodev1.ListPluginsRequest{})
	if err != nil {
		return nil, fmt.Errorf("list the plugins of %s: %w", n.Name(), n.reason(ctx, err))
	}
	var plugins []Plugin
	for _, status := range response.GetPlugins() {
		plugin := Plugin{
			InProcess:  status.GetInProcess(),
			Name:       status.GetName(),
			State:      strings.ToLower(strings.TrimPrefix(status.GetState().String(), "PLUGIN_STATE_")),
			Generation: status.GetGeneration(),
			Restarts:   status.GetRestarts(),
		}
		if !status.GetInProcess() {
			plugin.PID = int(status.GetPid())
		}
		plugins = append(plugins, plugin)
	}
	return plugins, nil
}

// Round names a round of the protocol.
type Round struct {
	ConfigDigest [32]byte
	Epoch        uint32
	Round        uint8
}

// Observations are the values that a job observed, by their rounds.
type Observations map[Round][]*big.Int

// Observations asks the node which values a job observed in its latest rounds. A node keeps them only in memory.
func (n *Node) Observations(ctx context.Context, jobID int64) (Observations, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := n.client.ListObservations(ctx, &nodev1.ListObservationsRequest{JobId: jobID})
	if err != nil {
		return nil, fmt.Errorf("list the observations of %s: %w", n.Name(), n.reason(ctx, err))
	}
	return observations(response.GetObservations()), nil
}

func observations(all []*nodev1.RoundObservation) Observations {
	found := Observations{}
	for _, observation := range all {
		at := observation.GetTimestamp()
		value := wire.Int(observation.GetValue())
		if len(at.GetConfigDigest()) != len(Round{}.ConfigDigest) || at.GetRound() > math.MaxUint8 || value == nil {
			continue
		}
		round := Round{[32]byte(at.GetConfigDigest()), at.GetEpoch(), uint8(at.GetRound())}
		found[round] = append(found[round], value)
	}
	return found
}

// RemoveJob takes a job from the node.
func (n *Node) RemoveJob(ctx context.Context, jobID int64) error {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	if _, err := n.client.RemoveJob(ctx, &nodev1.RemoveJobRequest{Id: jobID}); err != nil {
		return fmt.Errorf("remove the job from %s: %w", n.Name(), n.reason(ctx, err))
	}
	return nil
}

// reason makes of a failed call what people want to know: that the node has ended, or the node's own sentence.
func (n *Node) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if connect.CodeOf(err) == connect.CodeUnavailable {
		// Its connections are cut before its end is noticed.
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		select {
		case <-n.Ended():
			return n.Exit()
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	var failed *connect.Error
	if errors.As(err, &failed) && failed.Message() != "" {
		return errors.New(failed.Message())
	}
	return err
}
