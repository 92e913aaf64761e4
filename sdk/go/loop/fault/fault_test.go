package fault_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/fault"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// TestMain is also the main of an author's own build, in which the environment may break the plugin.
func TestMain(m *testing.M) {
	if os.Getenv(wire.CookieKey) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	plugin, err := fault.Environment(relayerv1loop.RelayerPlugin(newRelayer))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	loop.Serve(plugin)
}

type relayer struct {
	relayerv1.UnimplementedRelayerServiceServer
}

func newRelayer(*loop.Host) relayerv1loop.RelayerService { return relayer{} }

func (relayer) CreateChain(context.Context, *relayerv1.CreateChainRequest,
	relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return chain{}, &relayerv1.CreateChainResponse{}, nil
}

func (relayer) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	s grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	return s.Send(&relayerv1.WatchContractConfigsResponse{Provider: "x", ConfigDigest: make([]byte, 32)})
}

// chain answers one method; the others are not called.
type chain struct{ relayerv1loop.Chain }

func (chain) LatestHead(context.Context, *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	return &relayerv1.LatestHeadResponse{Number: 1, Timestamp: timestamppb.Now()}, nil
}

type nothing struct {
	hostservicev1.UnimplementedKeystoreServiceServer
	hostservicev1.UnimplementedStoreServiceServer
}

// TestEffects breaks the second call of a chain's LatestHead, as an author would, and says what the host sees of it.
func TestEffects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do        string
		inProcess bool
		code      codes.Code
		text      string // of the error
		restarts  uint64
		exit      string // of the last generation
	}{
		// The second and, repeated in the next generation, the first call there: the plugin heals under the caller.
		"exit": {do: "exit", code: codes.OK, restarts: 1, exit: "exit status 1"},
		"crash": {do: "crash", code: codes.OK, restarts: 1,
			exit: "panic: fault: crash at /loop.relayer.v1.ChainService/LatestHead"},
		"stop":    {do: "stop", code: codes.OK, restarts: 1, exit: "did not answer its health check"},
		"panic":   {do: "panic", code: codes.Internal, text: "panicked: fault: panic"},
		"hang":    {do: "hang", code: codes.DeadlineExceeded},
		"delay":   {do: "delay:10ms", code: codes.OK},
		"late":    {do: "delay:1h", code: codes.DeadlineExceeded},
		"garbage": {do: "garbage", code: codes.Internal, text: "cannot parse"},
		"within":  {do: "panic", inProcess: true, code: codes.Internal, text: "panicked: fault: panic"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			health := loophost.Settings{HealthInterval: 100 * time.Millisecond}
			if test.do != "stop" { // what a busy machine keeps from answering goes on
				health.HealthTimeout = time.Minute
			}
			r, err := loophost.New(health)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(context.Background()) })
			text := "method=LatestHead,call=2,do=" + test.do
			s := loophost.PluginSettings{Name: "fake", Command: []string{os.Args[0]}, Env: []string{fault.Key + "=" + text}}
			if test.inProcess {
				faults, err := fault.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				plugin := fault.In(relayerv1loop.RelayerPlugin(newRelayer), faults...)
				s = loophost.PluginSettings{Name: "fake", InProcess: &plugin}
			}
			p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
			if err != nil {
				t.Fatal(err)
			}
			c := p.CreateChain(&relayerv1.CreateChainRequest{ChainId: "1"}, relayerv1loophost.CreateChainLoans{
				Keystore: hostservicev1loophost.ExportKeystore(r, nothing{}),
				Store:    hostservicev1loophost.ExportStore(r, nothing{}),
			})
			if _, err := c.LatestHead(t.Context(), &relayerv1.LatestHeadRequest{}); err != nil {
				t.Fatalf("the first call: %v", err)
			}
			ctx := t.Context()
			if test.code == codes.DeadlineExceeded {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				ctx = short
			}
			if _, err := c.LatestHead(ctx, &relayerv1.LatestHeadRequest{}); status.Code(err) != test.code ||
				!strings.Contains(fmt.Sprint(err), test.text) {
				t.Errorf("the second call: %v", err)
			}
			if st := p.Status(); st.Restarts != test.restarts || !strings.Contains(st.LastExit, test.exit) {
				t.Errorf("%d restarts, the last generation: %s", st.Restarts, st.LastExit)
			}
		})
	}
}

// TestGarbageInAStream ends the stream.
func TestGarbageInAStream(t *testing.T) {
	t.Parallel()
	r, err := loophost.New(loophost.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, loophost.PluginSettings{
		Name: "fake", Command: []string{os.Args[0]}, Env: []string{fault.Key + "=do=garbage"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.WatchContractConfigs(t.Context(), &relayerv1.WatchContractConfigsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); status.Code(err) != codes.Internal {
		t.Errorf("%v, %v", m, err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, test := range map[string]struct {
		want []fault.Fault
		err  string
	}{
		"":                        {},
		"do=exit":                 {want: []fault.Fault{{Do: fault.Exit}}},
		"method=A,call=3,do=hang": {want: []fault.Fault{{Method: "A", Call: 3, Do: fault.Hang}}},
		"method=/a.B/C,do=delay:2s; do=panic": {want: []fault.Fault{
			{Method: "/a.B/C", Do: fault.Delay, Delay: 2 * time.Second}, {Do: fault.Panic}}},
		"method=A":   {err: "do=: one of exit, crash"},
		"do=explode": {err: "do=explode: one of exit, crash"},
		"do=delay":   {err: "takes a time, such as delay:2s"},
		"do=delay:x": {err: `"x" is not a time`},
		"do=exit:2s": {err: "and no other effect, takes a time"},
		"call=-1":    {err: "a number of a call from 1"},
		"what=1":     {err: `"what" is not a key of a fault`},
		"exit":       {err: `"exit" is not a key=value`},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := fault.Parse(text)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want an error that says %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
