package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// enterVariable tells a child that Command made what it is.
const enterVariable = "LOOP_DEPLOY_ENTER"

// Command returns the process, ready to be started. The calling program must call Enter at the beginning of main.
func (p Process) Command(ctx context.Context) (*exec.Cmd, error) {
	if _, _, err := owner(p.User); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = []string{enterVariable + "=" + string(encoded)}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC |
			syscall.CLONE_NEWUTS,
	}
	return cmd, nil
}

// Enter becomes the process, if this program was started by Command for it. Otherwise it returns at once.
func Enter() {
	encoded, entering := os.LookupEnv(enterVariable)
	if !entering {
		return
	}
	var p Process
	err := json.Unmarshal([]byte(encoded), &p)
	if err == nil {
		err = p.become()
	}
	fmt.Fprintf(os.Stderr, "starting a process in the root folder %s: %v\n", p.Root, err)
	os.Exit(125)
}

// become returns only with an error.
func (p *Process) become() error {
	uid, gid, err := owner(p.User)
	if err != nil {
		return err
	}
	if err := p.mount(); err != nil {
		return err
	}
	if err := loopback(); err != nil {
		return fmt.Errorf("start the loopback: %w", err)
	}
	if err := errors.Join(unix.Chroot(p.Root), unix.Chdir("/")); err != nil {
		return fmt.Errorf("change the root folder: %w", err)
	}
	if p.Dir != "" {
		if err := unix.Chdir(p.Dir); err != nil {
			return fmt.Errorf("change the folder to %s: %w", p.Dir, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forgo privileges: %w", err)
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(gid), syscall.Setuid(uid)); err != nil {
		return fmt.Errorf("become user %d: %w", uid, err)
	}
	os.Clearenv()
	for _, pair := range p.Env {
		if key, value, ok := strings.Cut(pair, "="); ok {
			if err := os.Setenv(key, value); err != nil {
				return err
			}
		}
	}
	program, err := exec.LookPath(p.Args[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("execute %s: %w", program, syscall.Exec(program, p.Args, p.Env))
}

func (p *Process) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("leave the machine's mounts: %w", err)
	}
	// A root folder is changed to read-only as a mount, and therefore is made one.
	if err := unix.Mount(p.Root, p.Root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the root folder: %w", err)
	}
	mounts := []Mount{{Target: "/dev"}}
	for _, device := range []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"} {
		mounts = append(mounts, Mount{device, device})
	}
	for _, m := range append(mounts, p.Mounts...) {
		if err := m.in(p.Root); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
	}
	if err := unix.Mount("proc", filepath.Join(p.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC,
		""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if !p.ReadOnly {
		return nil
	}
	if err := unix.Mount("", p.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make the root folder read-only: %w", err)
	}
	return nil
}

// in mounts it beneath root, where it makes what is not there.
func (m Mount) in(root string) error {
	target := filepath.Join(root, m.Target)
	if m.Source == "" {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		return unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID, "mode=1777")
	}
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		var file *os.File
		if file, err = os.OpenFile(target, os.O_CREATE, 0o644); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return err
	}
	return unix.Mount(m.Source, target, "", unix.MS_BIND|unix.MS_REC, "")
}

// loopback starts the interface lo, which a new network has but does not use.
func loopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}
