package process

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin/runner"

	"github.com/loop-plugins/loop/sdk/go/loophost/cgroup"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// longestLine is how much of a line of stdout is looked at. go-plugin's own scanner stalls on lines over 64 KiB.
const longestLine = 4 << 10

// runner is go-plugin's view of the process. It owns the process's pipes: go-plugin reads copies that end when the
// process has, not when the last grandchild lets go of them.
type runner struct {
	settings Settings
	folder   string    // of its sockets
	mark     string    // in its environment, by which its descendants are found
	stray    io.Writer // what the plugin prints outside its log

	cmd     *exec.Cmd // only take, Start and watch use it, one after the other
	program *program  // set before the start; closed at the end
	staged  confine.Started
	group   *cgroup.Group // set before the start; closed at the end

	mu        sync.Mutex
	process   int // the process's id, which is its group's too; 0 before the start
	family    *family
	killed    bool
	doing     string // when its time to start was over
	handshake string
	exit      Exit
	done      chan struct{}

	tail           *tail
	stdin          *os.File
	stdoutR        *io.PipeReader
	stdoutW        *io.PipeWriter
	quietR         *io.PipeReader
	quietW         *io.PipeWriter
	stdout, stderr *os.File
}

var _ goplugin.Runner = (*runner)(nil)

// startError is a process that could not be started at all.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }

// cause is an error of exec's or os's without the path, which the sentence around it names.
func cause(err error) error {
	var lookup *exec.Error
	if errors.As(err, &lookup) {
		err = lookup.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err
}

func newRunner(s Settings, folder string) *runner {
	r := &runner{settings: s, folder: folder, mark: rand.Text(), done: make(chan struct{}), tail: &tail{}}
	r.stray = newLogWriter(s.Logger, slog.LevelInfo)
	r.stdoutR, r.stdoutW = io.Pipe()
	r.quietR, r.quietW = io.Pipe()
	return r
}

// socketDirKey names the variable that tells a plugin its folder for sockets.
const socketDirKey = "PLUGIN_UNIX_SOCKET_DIR"

// markKey names the variable that holds a process's mark, which its descendants inherit. It is random, unlike the
// folder's name: another plugin that guessed it could start processes for which this one is blamed, and killed.
const markKey = "LOOP_MARK"

// take is go-plugin's RunnerFunc: it receives the environment of the handshake.
func (r *runner) take(_ hclog.Logger, spec *exec.Cmd, _ string) (goplugin.Runner, error) {
	p, err := openProgram(r.settings.Command)
	if p == nil {
		return nil, err
	}
	r.cmd = &exec.Cmd{Path: p.path, Args: slices.Clone(r.settings.Command), SysProcAttr: attributes()}
	if pinned := r.settings.SHA256; len(pinned) > 0 {
		if err != nil {
			err = &pinError{fmt.Errorf("opening the files of the command for their checksums: %w", err)}
		} else if err = p.check(r.settings.Checksums, pinned); err == nil {
			err = p.startFrom(r.cmd)
		}
		if err != nil {
			p.close()
			return nil, err
		}
	}
	r.mu.Lock()
	r.program = p
	r.mu.Unlock()
	r.cmd.Env = append(r.cmd.Env, "PATH="+os.Getenv("PATH"), "TMPDIR="+r.settings.Confinement.Temporary(r.folder))
	r.cmd.Env = append(r.cmd.Env, r.settings.Env...)
	r.cmd.Env = append(r.cmd.Env, spec.Env...)
	// go-plugin names a folder below ours, whose path is 21 bytes longer than a socket's may become.
	r.cmd.Env = append(r.cmd.Env, socketDirKey+"="+r.folder, markKey+"="+r.mark,
		"PLUGIN_CLIENT_CERT="+string(r.settings.Host.CertificatePEM))
	launch := confine.Launch{Cmd: r.cmd, Command: r.settings.Command, Program: p.path, Pinned: len(r.cmd.ExtraFiles),
		Folder: r.folder}
	if r.staged, err = r.settings.Confinement.Prepare(launch); err != nil {
		p.close()
		return nil, &startError{err}
	}
	r.settings.Trace.Done("its files and their checksums")
	return r, nil
}

// Start implements runner.Runner.
func (r *runner) Start(context.Context) error {
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close() // the child has its own
		}
	}()
	stdin, hold, err := pipe()
	if err != nil {
		return err
	}
	theirs = append(theirs, stdin)
	stdout, out, err := pipe()
	if err != nil {
		_ = hold.Close()
		return err
	}
	theirs = append(theirs, out)
	stderr, errs, err := pipe()
	if err != nil {
		_ = hold.Close()
		_ = stdout.Close()
		return err
	}
	theirs = append(theirs, errs)
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = stdin, out, errs
	r.stdin, r.stdout, r.stderr = hold, stdout, stderr
	if r.group, err = r.settings.Starter.groups.New(r.settings.Name, r.settings.Limits); err != nil {
		// Other means bound and end the process too, as on machines without groups.
		r.settings.Logger.Info("the process has no control group of its own", "reason", err)
	}
	r.group.Take(r.cmd.SysProcAttr)
	if err = r.settings.Starter.start(r.cmd); err != nil {
		_ = r.group.Close() // a group without processes can be removed
		_ = r.staged()      // no process was started that could report anything
		for _, f := range []*os.File{hold, stdout, stderr} {
			_ = f.Close()
		}
		r.program.close()
		r.closePipes()
		close(r.done)
		return &startError{whyNot(r.program.path, err)} // the command's own path may be one that only the child has
	}
	family := newFamily(r.cmd.Process.Pid, r.mark, r.settings.Starter)
	r.settings.Starter.knows(r.cmd.Process.Pid, family)
	r.mu.Lock()
	r.process, r.family = r.cmd.Process.Pid, family
	killed := r.killed
	r.mu.Unlock()
	if killed { // before there was a process to kill
		r.signal(syscall.SIGKILL)
	}
	var readers sync.WaitGroup
	readers.Go(r.readStdout)
	readers.Go(func() { readLog(&remains{File: r.stderr}, r.settings.Logger, r.tail) })
	go r.watch(&readers)
	if err := r.staged(); err != nil {
		r.kill()
		return &startError{whyNot(r.program.path, err)}
	}
	if len(r.settings.SHA256) > 0 {
		if err := r.program.unchanged(); err != nil {
			return err
		}
	}
	r.settings.Trace.Done("the process, confined, to its program")
	return nil
}

func pipe() (read, write *os.File, err error) {
	if read, write, err = os.Pipe(); err != nil {
		return nil, nil, &startError{err}
	}
	return read, write, nil
}

// checksums are the checksums of the files that the process was started from.
func (r *runner) checksums() ([]Checksum, error) {
	r.mu.Lock()
	p := r.program
	r.mu.Unlock()
	if p == nil {
		return nil, nil
	}
	all, err := p.checksums(r.settings.Checksums)
	if _, ended := r.exited(); ended || errors.Is(err, os.ErrClosed) {
		return nil, nil
	}
	return all, err
}

func (r *runner) outdated() bool {
	r.mu.Lock()
	p := r.program
	r.mu.Unlock()
	return p.outdated(r.settings.Command)
}

// watch waits for the process from the start, so that an exit is seen at once, whoever holds its pipes.
func (r *runner) watch(readers *sync.WaitGroup) {
	err := wait(r.cmd, func() {
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) // grandchildren; ESRCH when there are none
		r.group.Kill()                                        // those that left the process group
		r.kin().kill()                                        // the same, where there are no control groups
	})
	reason := r.describe(err)
	if err := r.group.Close(); err != nil {
		r.settings.Logger.Warn("the control group of a plugin could not be removed", "error", err)
	}
	r.settings.Starter.forget(r.cmd.Process.Pid)
	_ = r.stdin.Close()
	r.program.close()
	// What the process wrote before its end is in the pipes still; a process that left the group may hold them open.
	drain(r.stdout, r.stderr)
	readers.Wait()
	_ = r.stdout.Close()
	_ = r.stderr.Close()
	r.mu.Lock()
	r.exit = Exit{Reason: reason, Stderr: r.tail.lines()}
	r.mu.Unlock()
	// go-plugin learns of the end from the pipes; whoever it tells must find the exit.
	close(r.done)
	r.closePipes()
}

func (r *runner) closePipes() {
	_ = r.stdoutW.Close()
	_ = r.quietW.Close()
}

func (r *runner) describe(err error) string {
	switch {
	case err == nil:
		return "exit status 0"
	case r.group.OutOfMemory():
		return fmt.Sprintf("killed by the kernel at its limit of %d MiB of memory", r.settings.Limits.Memory>>20)
	}
	return err.Error()
}

// readStdout passes the first line on to go-plugin and keeps the rest out of its scanner.
func (r *runner) readStdout() {
	b := bufio.NewReaderSize(&remains{File: r.stdout}, longestLine)
	for {
		line, err := b.ReadSlice('\n')
		text := strings.TrimSpace(string(line))
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			_, err = b.ReadSlice('\n')
		}
		if text != "" {
			r.mu.Lock()
			first := r.handshake == ""
			if first {
				r.handshake = text
			}
			r.mu.Unlock()
			if first {
				r.settings.Trace.Done("its handshake")
				if _, werr := io.WriteString(r.stdoutW, text+"\n"); werr != nil {
					return
				}
			} else {
				_, _ = io.WriteString(r.stray, text+"\n")
			}
		}
		if err != nil {
			return
		}
	}
}

// handshakeProblem says what is wrong with the handshake line, if there is one and something is wrong.
func (r *runner) handshakeProblem(k wire.Kind) string {
	r.mu.Lock()
	line := r.handshake
	r.mu.Unlock()
	if line == "" {
		return ""
	}
	shown := line
	if len(shown) > 80 {
		shown = shown[:80] + "…"
	}
	fields := strings.Split(line, "|")
	if len(fields) < 5 {
		return fmt.Sprintf("printed %q where a plugin prints its handshake: it is not a LOOP plugin", shown)
	}
	_, bad := strconv.Atoi(fields[0])
	version, err := strconv.Atoi(fields[1])
	switch {
	case bad != nil || err != nil:
		return fmt.Sprintf("printed %q where a plugin prints its handshake: it is not a LOOP plugin", shown)
	case version != k.ProtocolVersion:
		return fmt.Sprintf("speaks version %d of the %s protocol and this host speaks version %d: install builds that match",
			version, k.Name, k.ProtocolVersion)
	}
	if fields[4] != "grpc" {
		return fmt.Sprintf("speaks %.32q and not grpc: it is not a LOOP plugin", fields[4])
	}
	if len(fields) < 6 || len(fields[5]) <= 50 { // go-plugin takes no shorter field for a certificate
		return "offers no TLS: a plugin must make a certificate for PLUGIN_CLIENT_CERT's owner"
	}
	return ""
}

func (r *runner) shookHands() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handshake != ""
}

func (r *runner) exited() (Exit, bool) {
	select {
	case <-r.done:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.exit, true
	default:
		return Exit{}, false
	}
}

func (r *runner) wasKilled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.killed
}

func (r *runner) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

func (r *runner) kin() *family {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.family
}

// address is where the plugin serves, as a target of gRPC's.
func (r *runner) address() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fields := strings.Split(r.handshake, "|"); len(fields) > 3 {
		return fields[2] + ":" + fields[3]
	}
	return ""
}

// certificate is the plugin's, in DER, as its handshake has it. go-plugin has refused one that does not parse.
func (r *runner) certificate() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	fields := strings.Split(r.handshake, "|")
	if len(fields) < 6 {
		return nil
	}
	der, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil {
		return nil
	}
	return der
}

func (r *runner) signal(s syscall.Signal) {
	if pid := r.pid(); pid > 0 {
		select {
		case <-r.done: // the id may be another's by now
		default:
			_ = syscall.Kill(-pid, s)
		}
	}
}

// kill ends the group and waits until nothing is left of it.
func (r *runner) kill() {
	if _, ended := r.exited(); ended {
		return
	}
	r.mu.Lock()
	r.killed = true
	pid := r.process
	r.mu.Unlock()
	if pid == 0 {
		return // Start, if it is still called, sees killed
	}
	r.signal(syscall.SIGKILL)
	<-r.done
}

// Diagnose implements runner.Runner.
func (*runner) Diagnose(context.Context) string { return "" }

// Stdout implements runner.Runner.
func (r *runner) Stdout() io.ReadCloser { return r.stdoutR }

// Stderr implements runner.Runner. It returns no bytes, and ends with the process. Our own parser reads the real
// stderr, because go-plugin's panics on {"@message":1}.
func (r *runner) Stderr() io.ReadCloser { return r.quietR }

// Name implements runner.Runner.
func (r *runner) Name() string { return r.settings.Command[0] }

// ID implements runner.Runner.
func (r *runner) ID() string {
	if pid := r.pid(); pid > 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// Wait implements runner.Runner.
func (r *runner) Wait(context.Context) error {
	<-r.done
	return nil
}

// Kill implements runner.Runner.
func (r *runner) Kill(context.Context) error {
	r.kill()
	return nil
}

// PluginToHost implements runner.Runner.
func (*runner) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (*runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
