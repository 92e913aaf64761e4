package hostservice

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

var _ hostservicev1.DataSourceServiceServer = (*DataSource)(nil)

// Round is OCR2's logical time of an observation.
type Round struct {
	ConfigDigest [32]byte
	Epoch        uint32
	Round        uint8
}

// Observe makes one observation. It obeys its context; when the context ends, it returns what it has.
type Observe func(ctx context.Context, round Round) (*big.Int, error)

// DataSource serves one source of a job. It observes once for each round, even if it is asked repeatedly.
type DataSource struct {
	observe Observe
	rounds  *Rounds
	first   *first[Round, *big.Int]
}

// NewDataSource serves observe, in the rounds that run. Close ends observations in progress.
func NewDataSource(observe Observe, rounds *Rounds, logger *slog.Logger) *DataSource {
	return &DataSource{observe: observe, rounds: rounds, first: newFirst[Round, *big.Int]("source", logger, nil)}
}

// Close ends observations in progress and waits for them.
func (s *DataSource) Close() { s.first.close() }

// Observe implements hostservicev1.DataSourceServiceServer.
func (s *DataSource) Observe(ctx context.Context,
	request *hostservicev1.ObserveRequest) (*hostservicev1.ObserveResponse, error) {
	at := request.GetTimestamp()
	if len(at.GetConfigDigest()) != 32 || at.GetRound() > 255 {
		return nil, status.Error(codes.InvalidArgument, "timestamp: wants a config_digest of 32 bytes and a round up to 255")
	}
	round := Round{ConfigDigest: [32]byte(at.GetConfigDigest()), Epoch: at.GetEpoch(), Round: uint8(at.GetRound())}
	if !s.rounds.run(round) {
		return nil, status.Errorf(codes.FailedPrecondition,
			"no observation is asked for in round %d of epoch %d of the configuration "+
				"%x now: a source is observed between the call of Observation and its answer", round.Round, round.Epoch,
			round.ConfigDigest)
	}
	value, err := s.first.get(ctx, round, "", func(ctx context.Context) (*big.Int, error) {
		value, err := s.run(ctx, round)
		switch {
		case err == nil:
			return value, nil
		case ended(err) != nil:
			return nil, ended(err)
		}
		return nil, status.Errorf(codes.FailedPrecondition, "%v", err)
	})
	if err != nil {
		return nil, err
	}
	return &hostservicev1.ObserveResponse{Value: wire.BigInt(value)}, nil
}

// run observes.
func (s *DataSource) run(ctx context.Context, round Round) (*big.Int, error) {
	value, err := s.observe(ctx, round)
	switch {
	case err != nil:
		return nil, err
	case value == nil:
		return nil, fmt.Errorf("the source gave neither a value nor an error; this is a fault of the node, please report it")
	case !fits(value):
		return nil, fmt.Errorf("the observed value of %d bits does not fit a signed integer of 24 bytes; scale it down in "+
			"the job's pipeline", value.BitLen())
	}
	return value, nil
}

// fits reports whether a value fits OCR2's int192.
func fits(value *big.Int) bool {
	if value.Sign() < 0 {
		value = new(big.Int).Not(value)
	}
	return value.BitLen() <= 191
}
