package oracle

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
)

// unread is a relayer that has not read the job's contract.
type unread struct {
	relayerv1.ContractConfigServiceClient
}

func (unread) LatestBlockHeight(context.Context, *relayerv1.LatestBlockHeightRequest,
	...grpc.CallOption) (*relayerv1.LatestBlockHeightResponse, error) {
	return nil, status.Error(codes.Unavailable, "there is no contract at this address")
}

// libocr asks for the chain's height before it asks for the contract's configuration, and for nothing else while that
// fails.
func TestAHeightThatCannotBeReadIsAConfigurationThatIsNot(t *testing.T) {
	t.Parallel()
	r := feed.New(false)
	track := &tracker{provider: unread{}, limit: time.Second, feed: r}
	if height, err := track.LatestBlockHeight(t.Context()); err == nil {
		t.Fatalf("the height is %d", height)
	}
	if c := r.Facts().Config; c.Fault != "there is no contract at this address" || c.Failures != 1 {
		t.Errorf("readings of the configuration: %+v", c)
	}
}

// configured is a relayer of a contract with a configuration of block 10, which cannot be read.
type configured struct {
	relayerv1.ContractConfigServiceClient
	height uint64
}

func (c *configured) LatestBlockHeight(context.Context, *relayerv1.LatestBlockHeightRequest,
	...grpc.CallOption) (*relayerv1.LatestBlockHeightResponse, error) {
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: c.height}, nil
}

func (*configured) LatestConfigDetails(context.Context, *relayerv1.LatestConfigDetailsRequest,
	...grpc.CallOption) (*relayerv1.LatestConfigDetailsResponse, error) {
	return &relayerv1.LatestConfigDetailsResponse{ChangedInBlock: 10, ConfigDigest: testDigest[:]}, nil
}

// TestWhenLibocrCanBegin holds that it is known from when on libocr has all that it waits for, since it begins a
// configuration only when the chain has confirmed it.
func TestWhenLibocrCanBegin(t *testing.T) {
	t.Parallel()
	chain, r := &configured{}, feed.New(false)
	track := &tracker{provider: chain, limit: time.Minute, feed: r, confirmations: 3}
	for _, step := range []struct {
		height uint64
		ready  bool
	}{{0, false}, {10, false}, {11, false}, {12, true}} {
		chain.height = step.height
		if _, err := track.LatestBlockHeight(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := track.LatestConfigDetails(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := r.Facts(); f.Ready.IsZero() == step.ready || f.Digest != testDigest.Hex() {
			t.Errorf("at height %d: %s, digest %s", step.height, f.Ready, f.Digest)
		}
	}
}
