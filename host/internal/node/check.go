package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// Checked is the result of Check.
type Checked struct {
	Plugins []CheckedPlugin `json:"plugins"`
	Chains  []CheckedChain  `json:"chains"`
}

// CheckedPlugin is a plugin that started.
type CheckedPlugin struct {
	Name string `json:"name"`
	// How it runs: "in-process" or the version that the process gave.
	How string `json:"how"`
}

// CheckedChain is a chain and its RPC nodes.
type CheckedChain struct {
	Relay string        `json:"relay"`
	ID    string        `json:"id"`
	Nodes []CheckedNode `json:"nodes"`
	// Answers reports whether a node returned a head.
	Answers bool `json:"answers"`
}

// CheckedNode is one RPC node.
type CheckedNode struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Silent returns a sentence on the chains for which no node answers, empty if there are none.
func (c *Checked) Silent() string {
	var silent []string
	for _, ch := range c.Chains {
		if ch.Answers {
			continue
		}
		var why []string
		for _, n := range ch.Nodes {
			why = append(why, n.Name+": "+n.Text)
		}
		silent = append(silent, fmt.Sprintf("%s chain %s (%s)", ch.Relay, ch.ID, strings.Join(why, "; ")))
	}
	if len(silent) == 0 {
		return ""
	}
	return "no RPC node answers for " + strings.Join(silent, " and for ") +
		"; check the chain's Nodes in the configuration and whether they run"
}

const (
	// checkTimeout is how long Check waits for a chain's first head.
	checkTimeout = 10 * time.Second
	// lostAfter is the time after which Check gives up if all nodes have failed, and a diagnosis if none has answered. It
	// is long enough for some attempts.
	lostAfter = 2 * time.Second
)

// openChecked starts the plugins and connects to the chains, until end is called. It opens no database: plugins get no
// key and an empty store.
func openChecked(ctx context.Context, s Settings) (n *Node, end func(), err error) {
	opened := &Node{settings: s, logger: s.Logger, tables: tables{chains: s.Config.Chains}}
	if opened.builtin, err = builtinRelayers(ctx, s); err != nil {
		return nil, nil, err
	}
	opened.runtime, err = loophost.New(loophost.Settings{
		Logger: s.Logger, SocketDir: s.Config.Plugins.SocketDir, SocketHint: socketHint, Version: s.Version,
		StopTimeout: s.Config.Plugins.StopTimeout.Duration,
		Keep:        s.Config.Kept(), Adopt: s.Alone,
	})
	if err != nil {
		return nil, nil, err
	}
	end = func() {
		if opened.plugins != nil {
			opened.plugins.close()
		}
		opened.runtime.Close(context.WithoutCancel(ctx))
	}
	if opened.plugins, err = launch(ctx, opened); err == nil {
		err = opened.checkConfig(ctx, opened.plugins.known)
	}
	if err == nil {
		err = opened.plugins.makeChains(ctx, opened.lendNothing)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return opened, end, nil
}

// Check starts the plugins, asks every chain once and ends the plugins.
func Check(ctx context.Context, s Settings) (*Checked, error) {
	n, end, err := openChecked(ctx, s)
	if err != nil {
		return nil, err
	}
	defer end()
	found := &Checked{}
	for _, p := range n.runtime.Plugins() {
		st := p.Status()
		how := st.Version + ", " + st.Runtime
		switch {
		case st.InProcess:
			how = "in-process"
		case st.Confinement != "":
			how += ", confinement " + st.Confinement.Told(st.Lacks)
		}
		found.Plugins = append(found.Plugins, CheckedPlugin{Name: st.Name, How: how})
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, r := range n.plugins.running() {
		for id, c := range r.all() {
			found.Chains = append(found.Chains, checkChain(ctx, r.relayer.Relay(), id, c))
		}
	}
	return found, nil
}

// lendNothing gives a relayer no account and a store that is empty and stays so.
func (n *Node) lendNothing(string, string) relayerv1loophost.CreateChainLoans {
	return relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(n.runtime, nothing{}),
		Store:    hostservicev1loophost.ExportStore(n.runtime, nothing{}),
	}
}

// nothing is a keystore without accounts and a store without entries.
type nothing struct{}

// ListAccounts implements hostservicev1.KeystoreServiceServer.
func (nothing) ListAccounts(context.Context,
	*hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	return &hostservicev1.ListAccountsResponse{}, nil
}

// Sign implements hostservicev1.KeystoreServiceServer.
func (nothing) Sign(context.Context, *hostservicev1.SignRequest) (*hostservicev1.SignResponse, error) {
	return nil, status.Error(codes.NotFound, "a check lends no accounts")
}

// Read implements hostservicev1.StoreServiceServer.
func (nothing) Read(context.Context, *hostservicev1.ReadRequest) (*hostservicev1.ReadResponse, error) {
	return nil, status.Error(codes.NotFound, "a check's store is empty")
}

// Put implements hostservicev1.StoreServiceServer.
func (nothing) Put(context.Context, *hostservicev1.PutRequest) (*hostservicev1.PutResponse, error) {
	return nil, status.Error(codes.Unavailable, "a check's store takes nothing")
}

// Delete implements hostservicev1.StoreServiceServer.
func (nothing) Delete(context.Context, *hostservicev1.DeleteRequest) (*hostservicev1.DeleteResponse, error) {
	return &hostservicev1.DeleteResponse{}, nil
}

// List implements hostservicev1.StoreServiceServer.
func (nothing) List(context.Context, *hostservicev1.ListRequest) (*hostservicev1.ListResponse, error) {
	return &hostservicev1.ListResponse{}, nil
}

// lost tells whether every node of a chain has failed, and none is still in its first attempt.
func lost(ctx context.Context, c *relayerv1loophost.Chain) bool {
	r, err := c.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
	return err == nil && !slices.ContainsFunc(r.GetNodes(), func(n *relayerv1.NodeStatus) bool {
		return n.GetState() != relayerv1.NodeState_NODE_STATE_UNREACHABLE &&
			n.GetState() != relayerv1.NodeState_NODE_STATE_WRONG_CHAIN
	})
}

// headPause is the time between two questions for a first head.
const headPause = 100 * time.Millisecond

// awaitHead waits for a chain's first head, and gives up when every node has failed.
func awaitHead(ctx context.Context, c *relayerv1loophost.Chain) bool {
	for begin := time.Now(); ; {
		if _, err := c.LatestHead(ctx, &relayerv1.LatestHeadRequest{}); err == nil {
			return true
		}
		if time.Since(begin) > lostAfter && lost(ctx, c) {
			return false
		}
		select {
		case <-time.After(headPause):
		case <-ctx.Done():
			return false
		}
	}
}

func checkChain(ctx context.Context, relay, id string, c *relayerv1loophost.Chain) CheckedChain {
	checked := CheckedChain{Relay: relay, ID: id, Answers: awaitHead(ctx, c)}
	nodes, err := c.ListNodeStatuses(context.WithoutCancel(ctx), &relayerv1.ListNodeStatusesRequest{})
	if err != nil {
		checked.Nodes = append(checked.Nodes, CheckedNode{Name: "-", Text: Worded(err.Error())})
		return checked
	}
	for _, s := range nodes.GetNodes() {
		checked.Nodes = append(checked.Nodes, CheckedNode{Name: s.GetName(), Text: rpcNode(s).Text})
	}
	return checked
}

// rpcState is the state of an RPC node, for people.
func rpcState(n *relayerv1.NodeStatus) string {
	state := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(n.GetState().String(), "NODE_STATE_"), "_", " "))
	if n.GetReason() != "" {
		state += ", " + n.GetReason()
	}
	return state
}
