package node_test

import (
	"github.com/loop-plugins/loop/host/internal/api"
	"github.com/loop-plugins/loop/host/internal/node"
)

// The tests inside package node cannot import package api: it imports node.
func init() { node.Mount(api.Handler) }
