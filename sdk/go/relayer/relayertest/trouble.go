package relayertest

import relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"

// Trouble is a way in which an RPC node fails, and what its relayer then reports about the node.
type Trouble struct {
	Spoil func(*Server)
	State relayerv1.NodeState
	// Reason has # in place of numbers; empty accepts any.
	Reason string
}

// Troubles are common to the nodes of all chains, by name. A relayer's test adds those of its own chain.
func Troubles() map[string]Trouble {
	fault := func(f Fault) func(*Server) { return func(s *Server) { s.SetFault(f) } }
	const unreachable, alive = relayerv1.NodeState_NODE_STATE_UNREACHABLE, relayerv1.NodeState_NODE_STATE_ALIVE
	return map[string]Trouble{
		"down":    {fault(Down), unreachable, ""},
		"hangs":   {fault(Hang), unreachable, "does not answer in time"},
		"HTML":    {fault(HTML), unreachable, "answers with something other than the JSON expected"},
		"limits":  {fault(Limit), unreachable, "answers with HTTP status 429: it limits the rate of requests"},
		"garbage": {fault(Garbage), unreachable, "ended the connection in the middle of an answer"},
		"lags":    {fault(Lag), alive, "is # blocks behind the newest node and is asked last"},
	}
}
