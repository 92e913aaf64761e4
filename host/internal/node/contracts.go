package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// contracts reads contracts for pipelines, each through the relayer of its chain.
type contracts struct{ plugins *plugins }

// ReadContract implements pipeline.Contracts.
func (c contracts) ReadContract(ctx context.Context, read pipeline.ContractRead) ([]byte, error) {
	relay, chain, err := c.find(read)
	if err != nil {
		return nil, err
	}
	response, err := chain.ReadContract(ctx, &relayerv1.ReadContractRequest{
		ContractId: read.Contract, CallData: read.Data, From: read.From, Block: read.Block, GasLimit: read.Gas,
	})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return nil, fmt.Errorf("the relayer of %s chain %s reads no contracts (%s); read this one through a bridge",
			relay, read.ChainID, status.Convert(err).Message())
	case err != nil:
		return nil, errors.New(status.Convert(err).Message())
	}
	return response.GetReturnData(), nil
}

// find returns the chain to read: that of the job's relay if the relay has one, else that of the first relay whose
// contracts can be read.
func (c contracts) find(read pipeline.ContractRead) (relay string, chain *relayerv1loophost.Chain, err error) {
	known := c.plugins.known
	readers := slices.DeleteFunc(known.Relays(), func(relay string) bool { return !known.ReadsContracts(relay) })
	if at := slices.Index(readers, read.Relay); at > 0 {
		readers = append([]string{read.Relay}, slices.Delete(readers, at, at+1)...)
	}
	var ids []string
	for _, relay := range readers {
		if _, chain, err := c.plugins.chain(relay, read.ChainID); err == nil {
			return relay, chain, nil
		}
		ids = append(ids, c.plugins.chainIDs(relay)...)
	}
	switch {
	case len(readers) == 0:
		return "", nil, errors.New("this node has no relayer that reads contracts; read this one through a bridge")
	case len(ids) == 0:
		return "", nil, fmt.Errorf("this node has no enabled %s chain; add one to its configuration",
			strings.Join(readers, " or "))
	}
	return "", nil, fmt.Errorf("this node has no enabled %s chain %q; it has %s", strings.Join(readers, " or "),
		read.ChainID, strings.Join(ids, ", "))
}
