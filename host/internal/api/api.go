// Package api answers the operators of a node: it serves the calls of loop.node.v1 from what a node exports, and puts
// the node's values and errors into the contract's messages.
//
// It must not know how a job runs, how a plugin is started or how a part comes into its state, which package node does,
// nor who may call what, which package door decides. It keeps nothing between calls but whose turn it is.
package api

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/node"
)

// service answers the calls of one node's operators.
type service struct {
	node *node.Node

	stretching turns // of keys' passwords
	checking   turns // of job specs
	diagnosing turns
}

func newService(n *node.Node) *service {
	return &service{
		node: n, stretching: make(turns, maxStretching), checking: make(turns, maxChecking),
		diagnosing: make(turns, maxDiagnosing),
	}
}

// Handler returns what answers the operators of a node, and the path to serve it at. It may be served while the node
// starts: calls that need the whole node are refused until then.
func Handler(n *node.Node, options connect.HandlerOption) (path string, api http.Handler) {
	return nodev1connect.NewNodeServiceHandler(newService(n), options)
}

// starting refuses, while the node starts or stops, calls that need the whole node.
func (s *service) starting() error {
	switch {
	case s.node.Stops():
		return connect.NewError(connect.CodeUnavailable, errors.New("the node is stopping; start it, and try again"))
	case !s.node.Ready():
		return connect.NewError(connect.CodeUnavailable, errors.New("the node is starting; try again when /readyz says so"))
	}
	return nil
}
