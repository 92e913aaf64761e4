package starknet_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/starknet"
)

// Pipelines are told what to do instead.
func TestReadContractIsLeftOut(t *testing.T) {
	t.Parallel()
	_, err := new(starknet.Chain).ReadContract(t.Context(), &relayerv1.ReadContractRequest{})
	if status.Code(err) != codes.Unimplemented || !strings.HasSuffix(status.Convert(err).Message(), "through a bridge") {
		t.Errorf("ReadContract: %v", err)
	}
}
