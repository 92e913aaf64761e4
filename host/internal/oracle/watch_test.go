package oracle

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// watched is a relayer whose stream tests drive.
type watched struct {
	opened  []time.Time
	refuse  int // how many openings fail
	streams chan *watchStream
}

// WatchContractConfigs implements Watcher.
func (w *watched) WatchContractConfigs(ctx context.Context, _ *relayerv1.WatchContractConfigsRequest,
	_ ...grpc.CallOption) (grpc.ServerStreamingClient[relayerv1.WatchContractConfigsResponse], error) {
	w.opened = append(w.opened, time.Now())
	if w.refuse--; w.refuse >= 0 {
		return nil, errors.New("the plugin is quarantined")
	}
	s := &watchStream{ctx: ctx, changes: make(chan string)}
	w.streams <- s
	return s, nil
}

type watchStream struct {
	grpc.ServerStreamingClient[relayerv1.WatchContractConfigsResponse]
	ctx     context.Context
	changes chan string
}

// Recv implements grpc.ServerStreamingClient.
func (s *watchStream) Recv() (*relayerv1.WatchContractConfigsResponse, error) {
	select {
	case provider, ok := <-s.changes:
		if !ok {
			return nil, io.EOF
		}
		return &relayerv1.WatchContractConfigsResponse{Provider: provider}, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLogger(t)
		relayer := &watched{refuse: 3, streams: make(chan *watchStream, 10)}
		w := NewWatch(relayer, log)
		first, second := w.follow("first"), w.follow("second")
		got := func(ch <-chan struct{}) bool {
			synctest.Wait()
			select {
			case _, ok := <-ch:
				if !ok {
					t.Fatal("a channel of libocr's was closed")
				}
				return true
			default:
				return false
			}
		}
		stream := <-relayer.streams
		if n := len(relayer.opened); n != 4 {
			t.Errorf("opened %d times; want 4", n)
		}
		for i := 1; i < len(relayer.opened); i++ {
			if pause := relayer.opened[i].Sub(relayer.opened[i-1]); pause < firstReopen/2 || pause > longestReopen*2 {
				t.Errorf("pause %d is %s", i, pause)
			}
		}
		if !got(first) || !got(second) {
			t.Error("the opening of a stream is a possible change for all")
		}
		for range 5 { // more than a channel holds, and nobody looks
			stream.changes <- "first"
		}
		stream.changes <- "unknown"
		if !got(first) || got(first) || got(second) {
			t.Error("five changes of one contract must be one signal for its job alone")
		}
		w.forget("second")
		close(stream.changes) // the plugin's process ends
		<-relayer.streams
		if !got(first) || got(second) {
			t.Error("a stream that was opened again signals those that still follow")
		}
		w.Close()
		if got(first) {
			t.Error("the end of the watch signals something")
		}
	})
}
