package wire_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestMethodOf(t *testing.T) {
	t.Parallel()
	tests := map[string]*wire.Method{
		"/loop.hostservice.v1.StoreService/Put": {FullName: "/loop.hostservice.v1.StoreService/Put",
			Service: "loop.hostservice.v1.StoreService", Timeout: 5 * time.Second},
		"/loop.hostservice.v1.StoreService/Read": {FullName: "/loop.hostservice.v1.StoreService/Read",
			Service: "loop.hostservice.v1.StoreService", Timeout: 5 * time.Second, Retryable: true},
		"/loop.median.v1.MedianService/CreateMedianFactory": {FullName: "/loop.median.v1.MedianService/CreateMedianFactory",
			Service: "loop.median.v1.MedianService",
			Timeout: 10 * time.Second, Retryable: true, OnPlugin: true},
		"/loop.relayer.v1.RelayerService/WatchContractConfigs": {
			FullName: "/loop.relayer.v1.RelayerService/WatchContractConfigs", Service: "loop.relayer.v1.RelayerService",
			Retryable: true, OnPlugin: true, ServerStreams: true},
		"/loop.hostservice.v1.StoreService/Gone": nil,
		"/loop.hostservice.v1.Gone/Read":         nil,
		"/loop.hostservice.v1.Entry/Read":        nil, // a message
		"nonsense":                               nil,
		"":                                       nil,
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // the second answer is the remembered one
				got, ok := wire.MethodOf(name)
				if diff := cmp.Diff(want, got); diff != "" || ok != (want != nil) {
					t.Errorf("found is %t (-want +got):\n%s", ok, diff)
				}
			}
		})
	}
}

func TestObjectServicesAreAll(t *testing.T) {
	t.Parallel()
	got := map[string]bool{}
	for _, s := range wire.ObjectServices() {
		got[string(s.FullName())] = true
	}
	for _, s := range contractServices() {
		plugin := proto.HasExtension(s.Options(), pluginv1.E_Plugin)
		if got[string(s.FullName())] == plugin {
			t.Errorf("%s is listed: %t; it is a plugin's own: %t", s.FullName(), got[string(s.FullName())], plugin)
		}
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method  string
		callers time.Duration // 0: none
		want    time.Duration // 0: none
	}{
		"the method's own":        {"/loop.hostservice.v1.StoreService/Read", 0, 5 * time.Second},
		"the caller's, shorter":   {"/loop.hostservice.v1.StoreService/Read", time.Second, time.Second},
		"the caller's, longer":    {"/loop.hostservice.v1.StoreService/Read", time.Minute, time.Minute},
		"a stream":                {"/loop.relayer.v1.RelayerService/WatchContractConfigs", 0, 0},
		"a method of no contract": {"/grpc.health.v1.Health/Check", 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.callers > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.callers)
					defer cancel()
				}
				got, cancel := wire.Deadline(ctx, test.method)
				at, ok := got.Deadline()
				if ok != (test.want > 0) || (ok && time.Until(at) != test.want) {
					t.Errorf("deadline in %s (%t); want %s", time.Until(at), ok, test.want)
				}
				cancel()
				if got.Err() == nil {
					t.Error("its cancel function does not end it")
				}
			})
		})
	}
}
