package relayer_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// endpoint reaches one RPC node. A real client would hold a connection; this one is the node's name.
type endpoint struct {
	name string
	down bool
}

func (e endpoint) Connect(context.Context) (string, error) {
	if e.down {
		return "", errors.New("connection refused")
	}
	return e.name, nil
}

func (e endpoint) Watch(ctx context.Context, _ string, report func(height uint64)) error {
	report(7)
	<-ctx.Done()
	return ctx.Err()
}

func (e endpoint) Disconnect(string) {}

// A pool makes each call at the best RPC node. The first node of the configuration is down here, so the second answers.
func ExamplePool() {
	pool := relayer.NewPool(relayer.PoolSettings{}, []relayer.Node[string]{
		{Name: "primary", Driver: endpoint{name: "primary", down: true}},
		{Name: "secondary", Driver: endpoint{name: "secondary"}},
	})
	defer func() { _ = pool.Close() }()
	if err := pool.Await(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	err := pool.Do(context.Background(), func(_ context.Context, client string) error {
		fmt.Println("asked", client)
		return nil
	})
	fmt.Println(err)
	// Output:
	// asked secondary
	// <nil>
}
