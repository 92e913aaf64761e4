// Package fault breaks a plugin on purpose: at a call that the author chooses, a handler panics, hangs, is late or
// answers garbage, or the process exits, crashes or stops. It is for tests and for an author's own builds. A plugin
// that does not import it cannot be broken by it.
//
// It knows a plugin's descriptors, and must not know their meaning.
package fault

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/sdk/go/loop"
)

// Effect is what goes wrong.
type Effect string

// Effects. Exit, Crash and Stop are the process's: inside a host's process they would be the host's.
const (
	// Exit ends the process with status 1 and no message.
	Exit Effect = "exit"
	// Crash panics outside the call, where nothing recovers: the process ends with a stack on stderr.
	Crash Effect = "crash"
	// Panic panics inside the call: the caller gets INTERNAL, and the plugin goes on.
	Panic Effect = "panic"
	// Stop stops the process like SIGSTOP: it exists but answers nothing, health checks included.
	Stop Effect = "stop"
	// Hang never answers the call, even after its deadline. The rest of the plugin works.
	Hang Effect = "hang"
	// Delay serves the call after Fault.Delay, or when the call's context ends.
	Delay Effect = "delay"
	// Garbage serves the call and sends bytes that are not a message in place of the answer. A stream sends them as its
	// first message and ends.
	Garbage Effect = "garbage"
)

// Fault is what goes wrong at which call.
type Fault struct {
	// Method is a full method name ("/loop.relayer.v1.ChainService/LatestHead"), its last part ("LatestHead"), or empty
	// for every method. Lifecycle calls belong to the SDK and never break.
	Method string
	// Call is the number of the call to the method that breaks, from 1 in each generation of the process; 0 means every
	// call.
	Call int
	// Do is what happens.
	Do Effect
	// Delay is how late the answer is. Only the effect Delay uses it.
	Delay time.Duration
}

// Key is the environment variable that Environment reads.
const Key = "LOOP_FAULT"

// Environment returns the plugin with the faults that LOOP_FAULT names, or the plugin itself where that is unset. It is
// for an author's own main, built for tests:
//
//	plugin, err := fault.Environment(relayerv1loop.RelayerPlugin(newRelayer))
//	if err != nil { … }
//	loop.Serve(plugin)
func Environment(p loop.Plugin) (loop.Plugin, error) {
	faults, err := Parse(os.Getenv(Key))
	if err != nil {
		return p, fmt.Errorf("reading %s: %w", Key, err)
	}
	return In(p, faults...), nil
}

// Parse reads faults in the form of LOOP_FAULT: "method=Observation,call=3,do=delay:2s", several separated by
// semicolons.
func Parse(text string) ([]Fault, error) {
	var faults []Fault
	for one := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		var f Fault
		for pair := range strings.SplitSeq(one, ",") {
			key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if !ok {
				return nil, fmt.Errorf("%q is not a key=value: a fault is written method=NAME,call=N,do=EFFECT", pair)
			}
			switch key {
			case "method":
				f.Method = value
			case "call":
				n, err := strconv.Atoi(value)
				if err != nil || n < 0 {
					return nil, fmt.Errorf("call=%s: a number of a call from 1 is wanted, or 0 for each", value)
				}
				f.Call = n
			case "do":
				effect, delay, timed := strings.Cut(value, ":")
				f.Do = Effect(effect)
				if timed != (f.Do == Delay) {
					return nil, fmt.Errorf("do=%s: delay, and no other effect, takes a time, such as delay:2s", value)
				}
				if timed {
					d, err := time.ParseDuration(delay)
					if err != nil || d < 0 {
						return nil, fmt.Errorf("do=%s: %q is not a time such as 2s or 150ms", value, delay)
					}
					f.Delay = d
				}
			default:
				return nil, fmt.Errorf("%q is not a key of a fault: method, call and do are", key)
			}
		}
		switch f.Do {
		case Exit, Crash, Panic, Stop, Hang, Delay, Garbage:
		default:
			return nil, fmt.Errorf("do=%s: one of exit, crash, panic, stop, hang, delay:TIME and garbage is wanted", f.Do)
		}
		faults = append(faults, f)
	}
	return faults, nil
}

// In returns the plugin with faults in it. For each call the first matching fault happens.
func In(p loop.Plugin, faults ...Fault) loop.Plugin {
	if len(faults) == 0 {
		return p
	}
	armed := make([]*armed, len(faults))
	for i, f := range faults {
		armed[i] = newArmed(f)
	}
	p.Root = broken(p.Root, armed)
	objects := make([]*grpc.ServiceDesc, len(p.Objects))
	for i, d := range p.Objects {
		objects[i] = broken(d, armed)
	}
	p.Objects = objects
	return p
}

// armed counts the calls of one fault's method.
type armed struct {
	Fault
	calls atomic.Int64
}

func newArmed(f Fault) *armed { return &armed{Fault: f} }

// due counts a call, and reports whether the fault happens to it.
func (a *armed) due(full string) bool {
	if a.Method != "" && a.Method != full && a.Method != full[strings.LastIndexByte(full, '/')+1:] {
		return false
	}
	n := a.calls.Add(1)
	return a.Call == 0 || n == int64(a.Call)
}

// broken is a service whose handlers break.
func broken(d *grpc.ServiceDesc, faults []*armed) *grpc.ServiceDesc {
	b := *d
	b.Methods = make([]grpc.MethodDesc, len(d.Methods))
	for i, m := range d.Methods {
		full := "/" + d.ServiceName + "/" + m.MethodName
		b.Methods[i] = grpc.MethodDesc{MethodName: m.MethodName,
			Handler: func(impl any, ctx context.Context, dec func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
				f := which(full, faults)
				if err := f.before(ctx, full); err != nil {
					return nil, err
				}
				reply, err := m.Handler(impl, ctx, dec, in)
				if err == nil && f != nil && f.Do == Garbage {
					spoil(reply)
				}
				return reply, err
			}}
	}
	b.Streams = make([]grpc.StreamDesc, len(d.Streams))
	for i, s := range d.Streams {
		full := "/" + d.ServiceName + "/" + s.StreamName
		handler := s.Handler
		s.Handler = func(impl any, stream grpc.ServerStream) error {
			f := which(full, faults)
			if err := f.before(stream.Context(), full); err != nil {
				return err
			}
			if f != nil && f.Do == Garbage {
				stream = spoiled{stream}
			}
			return handler(impl, stream)
		}
		b.Streams[i] = s
	}
	return &b
}

func which(full string, faults []*armed) *armed {
	var found *armed
	for _, f := range faults {
		if f.due(full) && found == nil { // every fault counts every call of its method
			found = f
		}
	}
	return found
}

// before does what a fault does instead of the call, or before it.
func (a *armed) before(ctx context.Context, full string) error {
	if a == nil {
		return nil
	}
	switch a.Do {
	case Exit:
		os.Exit(1)
	case Crash:
		go panic("fault: crash at " + full)
		select {}
	case Panic:
		panic("fault: panic at " + full)
	case Stop:
		if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
			return err
		}
		<-ctx.Done() // this thread may run on for a moment, and its answer must not slip out
		return ctx.Err()
	case Hang:
		select {}
	case Delay:
		timer := time.NewTimer(a.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	case Garbage: // the answer is spoiled, not the call
	}
	return nil
}

// spoil makes a message whose encoding ends in the middle of a field: fields that a message does not know are encoded
// as the bytes that they are.
func spoil(reply any) {
	if m, ok := reply.(proto.Message); ok {
		m.ProtoReflect().SetUnknown([]byte{0x0a, 0xff, 0xff, 0xff, 0x7f})
	}
}

// spoiled is a stream whose messages are spoiled.
type spoiled struct{ grpc.ServerStream }

// SendMsg implements grpc.ServerStream.
func (s spoiled) SendMsg(m any) error {
	spoil(m)
	return s.ServerStream.SendMsg(m)
}
