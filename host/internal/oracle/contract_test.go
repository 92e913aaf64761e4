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
