package subject

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Environment is what a host passes to a process in its environment.
type Environment struct {
	// Cookie is the kind's magic cookie; empty if none is set.
	Cookie string
	// Versions are the protocol versions that the host speaks, as go-plugin lists them.
	Versions string
	// Anonymous leaves out the host's certificate.
	Anonymous bool
}

// Normal returns the environment that a correct host gives.
func Normal(k wire.Kind) Environment {
	return Environment{Cookie: k.Cookie, Versions: strconv.Itoa(k.ProtocolVersion)}
}

// Handshake is the line in which a process says where it serves.
type Handshake struct {
	Line        string
	Version     int
	Address     string // as gRPC dials it
	Certificate *x509.Certificate
	// Took is the time since the start.
	Took time.Duration
}

// Process is a plugin's process.
type Process struct {
	host    *wire.KeyPair
	folder  string
	started time.Time
	timeout time.Duration
	cmd     *exec.Cmd
	stdin   *os.File
	pipes   []*os.File // of stdout and stderr
	first   chan string
	exited  chan struct{} // the process has ended
	silent  chan struct{} // and so has everything that it started
	killing sync.Once

	mu        sync.Mutex
	handshake *Handshake
	stderr    []string
	stdout    []string
}

// Launch starts a process. Its errors say that the process could not be started.
func Launch(ctx context.Context, s Settings, e Environment) (*Process, error) {
	pair, err := wire.NewKeyPair()
	if err != nil {
		return nil, err
	}
	folder, err := newFolder()
	if err != nil {
		return nil, err
	}
	p := &Process{host: pair, folder: folder, timeout: s.StartTimeout, first: make(chan string, 1),
		exited: make(chan struct{}), silent: make(chan struct{})}
	// Not bound to ctx: cases end processes in ways of their own, and Kill follows each.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), s.Command[0], s.Command[1:]...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), wire.LogLevelKey + "=" + s.LogLevel.String(),
		"PLUGIN_MIN_PORT=10000", "PLUGIN_MAX_PORT=25000", "PLUGIN_UNIX_SOCKET_DIR=" + folder, "LOOP_MARK=" + rand.Text(),
		"PLUGIN_PROTOCOL_VERSIONS=" + e.Versions,
	}, s.Env...)
	if !e.Anonymous {
		p.cmd.Env = append(p.cmd.Env, "PLUGIN_CLIENT_CERT="+string(pair.CertificatePEM))
	}
	if e.Cookie != "" {
		p.cmd.Env = append(p.cmd.Env, wire.CookieKey+"="+e.Cookie)
	}
	if err := p.start(); err != nil {
		_ = os.RemoveAll(folder)
		return nil, fmt.Errorf("starting %q failed: %w; check the command", strings.Join(s.Command, " "), err)
	}
	if s.Launched != nil {
		s.Launched(p)
	}
	return p, nil
}

func (p *Process) start() error {
	var ends [6]*os.File
	for i := 0; i < len(ends); i += 2 {
		r, w, err := os.Pipe()
		if err != nil {
			for _, f := range ends[:i] {
				_ = f.Close()
			}
			return err
		}
		ends[i], ends[i+1] = r, w
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = ends[0], ends[3], ends[5]
	p.stdin, p.pipes = ends[1], []*os.File{ends[2], ends[4]}
	p.started = time.Now()
	err := p.cmd.Start()
	for _, f := range []*os.File{ends[0], ends[3], ends[5]} {
		_ = f.Close() // the child has its own
	}
	if err != nil {
		for _, f := range []*os.File{ends[1], ends[2], ends[4]} {
			_ = f.Close()
		}
		return err
	}
	var readers sync.WaitGroup
	readers.Go(func() {
		defer close(p.first)
		read(p.pipes[0], func(line string) {
			p.mu.Lock()
			p.stdout = append(p.stdout, line)
			n := len(p.stdout)
			p.mu.Unlock()
			if n == 1 {
				p.first <- line
			}
		})
	})
	readers.Go(func() {
		read(p.pipes[1], func(line string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.stderr = append(p.stderr, line)
		})
	})
	go func() {
		_ = p.cmd.Wait() // ProcessState says how it ended
		close(p.exited)
	}()
	go func() {
		readers.Wait()
		<-p.exited
		close(p.silent)
	}()
	return nil
}

func read(r io.Reader, take func(string)) {
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			take(line)
		}
		if err != nil {
			return
		}
	}
}

// Handshake waits for the handshake line and reads it.
func (p *Process) Handshake(ctx context.Context) (*Handshake, error) {
	p.mu.Lock()
	known := p.handshake
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	var line string
	var ok bool
	select {
	case line, ok = <-p.first:
	case <-time.After(time.Until(p.started.Add(p.timeout))):
		return nil, fmt.Errorf("the plugin printed no handshake line within %s", p.timeout)
	case <-ctx.Done():
		return nil, fmt.Errorf("the plugin had printed no handshake line %s after its start, when the case's time was over",
			time.Since(p.started).Round(time.Millisecond))
	}
	if !ok {
		<-p.exited
		return nil, fmt.Errorf("the plugin ended before its handshake (%s)", p.Exit())
	}
	h, err := parse(line)
	if err != nil {
		return nil, err
	}
	h.Took = time.Since(p.started)
	p.mu.Lock()
	p.handshake = h
	p.mu.Unlock()
	return h, nil
}

// parse reads 1|version|unix|path|grpc|certificate.
func parse(line string) (*Handshake, error) {
	shown := line
	if len(shown) > 60 {
		shown = shown[:60] + "…"
	}
	fields := strings.Split(line, "|")
	if len(fields) < 5 || fields[0] != "1" {
		return nil, fmt.Errorf("the plugin printed %q as its first line; want go-plugin's handshake, "+
			"1|VERSION|NETWORK|ADDRESS|grpc|CERTIFICATE", shown)
	}
	h := &Handshake{Line: line}
	var err error
	if h.Version, err = strconv.Atoi(fields[1]); err != nil {
		return nil, fmt.Errorf("the handshake line's protocol version is %q; want a number", fields[1])
	}
	switch fields[2] {
	case "unix":
		h.Address = "unix:" + fields[3]
	case "tcp":
		h.Address = "passthrough:///" + fields[3]
	default:
		return nil, fmt.Errorf("the handshake line's network is %q; want unix", fields[2])
	}
	if fields[4] != "grpc" {
		return nil, fmt.Errorf("the handshake line's protocol is %q; want grpc", fields[4])
	}
	if len(fields) < 6 || fields[5] == "" {
		return nil, errors.New("the handshake line has no certificate: the plugin offers no TLS")
	}
	if strings.HasSuffix(fields[5], "=") {
		return nil, errors.New("the handshake line's certificate ends with the padding =; " +
			"want raw base64, for nodes refuse any other")
	}
	der, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err == nil {
		h.Certificate, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return nil, fmt.Errorf("the handshake line's certificate is not DER in unpadded base64: %w", err)
	}
	return h, nil
}

// Dial connects to the plugin, with a certificate or without. Call Handshake first.
func (p *Process) Dial(own *tls.Certificate) (*grpc.ClientConn, error) {
	p.mu.Lock()
	h := p.handshake
	p.mu.Unlock()
	return dial(h.Address, h.Certificate, own)
}

// Address is the address of the plugin, as gRPC dials it.
func (p *Process) Address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handshake.Address
}

// Certificate is the plugin's certificate.
func (p *Process) Certificate() *x509.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handshake.Certificate
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Silent is closed when the process has ended and no process that it started holds its stdout and stderr.
func (p *Process) Silent() <-chan struct{} { return p.silent }

// Exit says how the process ended, once Exited is closed.
func (p *Process) Exit() string { return p.cmd.ProcessState.String() }

// ExitCode is the exit status of the process; -1 if a signal ended it.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Stderr returns the lines so far.
func (p *Process) Stderr() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.stderr)
}

// Stdout returns the lines so far, including the handshake.
func (p *Process) Stdout() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.stdout)
}

// Signal sends a signal to the process's group.
func (p *Process) Signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// CloseStdin closes the pipe that a host never writes to.
func (p *Process) CloseStdin() { _ = p.stdin.Close() }

// abandon ends every pipe.
func (p *Process) abandon() {
	_ = p.stdin.Close()
	for _, f := range p.pipes {
		_ = f.Close()
	}
}

// Kill ends the process's group, and waits for its end. It may be called more than once: the number of a group that
// ended long ago may be another's.
func (p *Process) Kill() {
	p.killing.Do(func() { p.Signal(syscall.SIGKILL) }) // ESRCH when nothing is left of the group
	<-p.exited
	select { // the rest of its output
	case <-p.silent:
	case <-time.After(5 * time.Second): // a process that left the group may hold the output
	}
	p.abandon()
	<-p.silent
	_ = os.RemoveAll(p.folder)
}
