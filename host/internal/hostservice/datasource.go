package hostservice

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

var _ hostservicev1.DataSourceServiceServer = (*DataSource)(nil)

const (
	// roundsKept is how many answers a source remembers. Repeats come within a plugin's restart, seconds at most, and even
	// the fastest feeds make some twenty rounds a second.
	roundsKept = 500
	// maxObservation bounds an observation of a caller without a deadline; it is the method's own default.
	maxObservation = 30 * time.Second
	// maxReturnTime is what an observation leaves of its caller's time, and at most an eighth of it: a pipeline whose time is
	// over still returns what it has, which must travel back before the caller's deadline to count.
	maxReturnTime = 100 * time.Millisecond
)

// Round is OCR2's logical time of an observation.
type Round struct {
	ConfigDigest [32]byte
	Epoch        uint32
	Round        uint8
}

// Observe makes one observation. It honours its context; at the context's end it returns what it has.
type Observe func(ctx context.Context, round Round) (*big.Int, error)

// DataSource serves one source of a job. It observes once for each round, whoever asks how often: a repeat returns the first
// answer, and one that comes while the first is under way waits for it.
type DataSource struct {
	observe Observe
	logger  *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	rounds map[Round]*observation
	order  []Round // of rounds, oldest first
	closed bool
}

// observation is one round's: under way until done is closed.
type observation struct {
	done  chan struct{}
	value *big.Int
	err   error
}

// NewDataSource serves observe. Close ends what is under way.
func NewDataSource(observe Observe, logger *slog.Logger) *DataSource {
	s := &DataSource{observe: observe, logger: logger, rounds: map[Round]*observation{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close ends observations under way and waits for them.
func (s *DataSource) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
}

// Observe implements hostservicev1.DataSourceServiceServer.
func (s *DataSource) Observe(ctx context.Context, request *hostservicev1.ObserveRequest) (*hostservicev1.ObserveResponse, error) {
	at := request.GetTimestamp()
	if len(at.GetConfigDigest()) != 32 || at.GetRound() > 255 {
		return nil, status.Error(codes.InvalidArgument, "timestamp: wants a config_digest of 32 bytes and a round up to 255")
	}
	o, err := s.join(ctx, Round{ConfigDigest: [32]byte(at.GetConfigDigest()), Epoch: at.GetEpoch(), Round: uint8(at.GetRound())})
	if err != nil {
		return nil, err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	switch {
	case o.err == nil:
		return &hostservicev1.ObserveResponse{Value: wire.BigInt(o.value)}, nil
	case ended(o.err) != nil:
		return nil, ended(o.err)
	default:
		return nil, status.Errorf(codes.FailedPrecondition, "%v", o.err)
	}
}

// join returns the round's observation and begins it if there is none. An observation outlives the caller that began it, up to
// that caller's deadline: when a plugin dies in the middle, the repeat in its next life must find the same answer.
func (s *DataSource) join(ctx context.Context, round Round) (*observation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.rounds[round]; o != nil {
		return o, nil
	}
	if s.closed {
		return nil, status.Error(codes.Unavailable, "the job of this source has ended")
	}
	o := &observation{done: make(chan struct{})}
	s.rounds[round] = o
	s.order = append(s.order, round)
	if len(s.order) > roundsKept {
		delete(s.rounds, s.order[0])
		s.order = append(s.order[:0], s.order[1:]...)
	}
	limit := maxObservation
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	limit -= min(maxReturnTime, limit/8)
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, limit)
		defer cancel()
		value, err := s.run(ctx, round)
		s.mu.Lock()
		defer s.mu.Unlock()
		o.value, o.err = value, err
		if err != nil && s.rounds[round] == o {
			// An error is no observation: a repeat may still make one. The place in the order stays, and does no harm.
			delete(s.rounds, round)
		}
		close(o.done)
	})
	return o, nil
}

// run observes. A panic becomes an error: nothing above recovers, and a source must not end the node.
func (s *DataSource) run(ctx context.Context, round Round) (value *big.Int, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			s.logger.Error("a data source panicked", "panic", fault, "stack", string(debug.Stack()))
			value, err = nil, fmt.Errorf("the source panicked: %.256s; this is a fault of the node, please report it", fmt.Sprint(fault))
		}
	}()
	value, err = s.observe(ctx, round)
	switch {
	case err != nil:
		return nil, err
	case value == nil:
		return nil, fmt.Errorf("the source gave neither a value nor an error; this is a fault of the node, please report it")
	case !fits(value):
		return nil, fmt.Errorf("the observed value of %d bits does not fit a signed integer of 24 bytes; scale it down in the job's pipeline", value.BitLen())
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
