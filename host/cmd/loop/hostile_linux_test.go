package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// target is what a hostile plugin knows of its host: more than it could find out.
type target struct {
	Host, Victim           int    // processes
	Password               string // that of the keystore
	Database, Config, Root string
	Socket                 string // of the operator's API
	TCP                    string // address of the operator's API
	Abstract               string // name of a socket
	VictimFolder           string
	VictimSocket           string
	Callbacks              string // socket on which the node serves plugins, the other one's among them
	Other                  string // a file of the node's user
}

// attempt is something that a hostile plugin tries. It succeeds without an error.
type attempt struct {
	what string
	try  func(t target) error
}

var errNothing = errors.New("nothing was there")

// hostile is a median that attacks its host once it is told how to, by a socket in its folder.
func hostile() {
	if target := os.Getenv("HOSTILE_CALLS"); target != "" { // a child of it
		time.Sleep(100 * time.Millisecond) // its parent has ended
		said := "done"
		if err := callAPI(target); err != nil {
			said = err.Error()
		}
		_ = os.WriteFile(os.Getenv("HOSTILE_SAYS"), []byte(said), 0o600)
		return
	}
	if os.Getenv("HOSTILE_FORKS") != "" {
		fork()
		return
	}
	if os.Getenv("HOSTILE_STAYS") != "" {
		time.Sleep(time.Hour)
	}
	if folder := os.Getenv("PLUGIN_UNIX_SOCKET_DIR"); folder != "" {
		if l, err := net.Listen("unix", filepath.Join(folder, "attack")); err == nil {
			go attack(l)
		} else {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	loop.Serve(fallback.Plugins()["median"].New())
}

// attack answers with what came of each attempt, a line of JSON for each.
func attack(l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	var t target
	if what, err := io.ReadAll(c); err != nil || json.Unmarshal(what, &t) != nil {
		return
	}
	out := json.NewEncoder(c)
	for _, a := range attempts() {
		said := ""
		if err := a.try(t); err != nil {
			said = err.Error()
		}
		_ = out.Encode([2]string{a.what, said})
	}
}

func proc(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }

// reads tries to read a file.
func reads(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Read(make([]byte, 64))
	if errors.Is(err, io.EOF) {
		return errNothing
	}
	return err
}

func opens(path string, flags int) error {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func dials(network, address string) error {
	c, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// callAPI asks for the node's keys as its user would.
func callAPI(socket string) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial}}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := nodev1connect.NewNodeServiceClient(client, "http://node").ListKeys(ctx, &nodev1.ListKeysRequest{})
	return err
}

// asOrphan runs this program in a session of its own and without this environment, and has its parent end.
func asOrphan(variable string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", self+" & exit 0")
	cmd.Env = []string{variable, "HOSTILE_SAYS=" + filepath.Join(own(), "said")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Run()
}

func own() string { return os.Getenv("PLUGIN_UNIX_SOCKET_DIR") }

// attempts are all that a hostile plugin tries, in the order of the table.
func attempts() []attempt {
	all := append(onMemory(), onFiles()...)
	all = append(all, onDoors()...)
	all = append(all, onProcesses()...)
	return append(all, onMachine()...)
}

func onMemory() []attempt {
	return []attempt{
		{"read the node's password in its environment", func(t target) error {
			environment, err := os.ReadFile(proc(t.Host, "environ"))
			if err == nil && !bytes.Contains(environment, []byte(t.Password)) {
				return errNothing
			}
			return err
		}},
		{"open the node's memory (/proc/PID/mem)", func(t target) error { return opens(proc(t.Host, "mem"), os.O_RDONLY) }},
		{"read the node's memory (process_vm_readv)", func(t target) error {
			b := make([]byte, 8)
			there := []unix.RemoteIovec{{Base: 0x400000, Len: 8}}
			_, err := unix.ProcessVMReadv(t.Host, []unix.Iovec{{Base: &b[0], Len: 8}}, there, 0)
			if errors.Is(err, unix.EFAULT) {
				return nil // it may, at another address
			}
			return err
		}},
		{"write the node's memory (process_vm_writev)", func(t target) error {
			b := make([]byte, 8)
			there := []unix.RemoteIovec{{Base: 0x10, Len: 8}}
			_, err := unix.ProcessVMWritev(t.Host, []unix.Iovec{{Base: &b[0], Len: 8}}, there, 0)
			if errors.Is(err, unix.EFAULT) {
				return nil // it may, at another address
			}
			return err
		}},
		{"see where the node's memory lies (/proc/PID/maps)", func(t target) error { return reads(proc(t.Host, "maps")) }},
		{"attach a debugger to the node (ptrace)", func(t target) error { return traces(t.Host) }},
		{"take a descriptor of the node's (pidfd_getfd)", func(t target) error { return takesDescriptor(t.Host) }},
		{"list what the node has open (/proc/PID/fd)", func(t target) error {
			_, err := os.ReadDir(proc(t.Host, "fd"))
			return err
		}},
		{"see the node's files by its root (/proc/PID/root)", func(t target) error {
			return reads(proc(t.Host, "root/proc/version"))
		}},
		{"read another plugin's environment", func(t target) error { return reads(proc(t.Victim, "environ")) }},
		{"open another plugin's memory", func(t target) error { return opens(proc(t.Victim, "mem"), os.O_RDWR) }},
		{"attach a debugger to another plugin", func(t target) error { return traces(t.Victim) }},
		{"take a descriptor of another plugin's", func(t target) error { return takesDescriptor(t.Victim) }},
	}
}

// traces attaches to a process from a thread. When the thread ends, the process is let go.
func traces(pid int) error {
	said := make(chan error)
	go func() {
		runtime.LockOSThread()
		said <- unix.PtraceSeize(pid)
	}()
	return <-said
}

func takesDescriptor(pid int) error {
	p, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(p)
	fd, err := unix.PidfdGetfd(p, 0, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func onFiles() []attempt {
	return []attempt{
		{"list the node's folder", func(t target) error { _, err := os.ReadDir(t.Root); return err }},
		{"read the node's database", func(t target) error { return reads(t.Database) }},
		{"write the node's database", func(t target) error { return opens(t.Database, os.O_WRONLY|os.O_APPEND) }},
		{"rename the node's database", func(t target) error {
			err := os.Rename(t.Database, t.Database+".gone")
			if err == nil {
				err = os.Rename(t.Database+".gone", t.Database)
			}
			return err
		}},
		{"truncate the node's database", func(t target) error {
			info, err := os.Stat(t.Database)
			if err != nil {
				return err
			}
			return os.Truncate(t.Database, info.Size())
		}},
		{"link the node's database into its own folder, and read it there", func(t target) error {
			link := filepath.Join(own(), "linked")
			defer os.Remove(link)
			if err := os.Link(t.Database, link); err != nil {
				return err
			}
			return reads(link)
		}},
		{"read the node's database by a symbolic link", func(t target) error {
			link := filepath.Join(own(), "symbolic")
			defer os.Remove(link)
			if err := os.Symlink(t.Database, link); err != nil {
				return err
			}
			return reads(link)
		}},
		{"change the mode of the node's database", func(t target) error { return changesMode(t.Database) }},
		{"change the times of the node's database", func(t target) error {
			before, err := os.Stat(t.Database)
			if err != nil {
				return err
			}
			then := time.Unix(1e9, 0)
			if err := os.Chtimes(t.Database, then, then); err != nil {
				return err
			}
			after, err := os.Stat(t.Database)
			if err == nil && !after.ModTime().Equal(then) {
				return errNothing // it was said to be done
			}
			return errors.Join(err, os.Chtimes(t.Database, before.ModTime(), before.ModTime()))
		}},
		{"mark the node's database (setxattr)", func(t target) error {
			if err := unix.Setxattr(t.Database, "user.hostile", []byte("x"), 0); err != nil {
				return err
			}
			if _, err := unix.Getxattr(t.Database, "user.hostile", nil); err != nil {
				return errNothing // it was said to be done
			}
			return unix.Removexattr(t.Database, "user.hostile")
		}},
		{"make a file in the node's folder", func(t target) error {
			path := filepath.Join(t.Root, "x")
			defer os.Remove(path)
			return os.WriteFile(path, nil, 0o600)
		}},
		{"put a socket in the place of the operator's", func(t target) error {
			if err := os.Rename(t.Socket, t.Socket+".gone"); err != nil {
				return err
			}
			return os.Rename(t.Socket+".gone", t.Socket)
		}},
		{"read the node's configuration", func(t target) error { return reads(t.Config) }},
		{"read another file of the node's user", func(t target) error { return reads(t.Other) }},
		{"list another plugin's folder", func(t target) error { _, err := os.ReadDir(t.VictimFolder); return err }},
		{"write to another plugin's folder", func(t target) error {
			path := filepath.Join(t.VictimFolder, "x")
			defer os.Remove(path)
			return os.WriteFile(path, nil, 0o600)
		}},
		{"write to /tmp", func(target) error {
			path := fmt.Sprintf("/tmp/hostile-%d", os.Getpid())
			defer os.Remove(path)
			return os.WriteFile(path, nil, 0o600)
		}},
		{"write to /dev/shm", func(target) error {
			path := fmt.Sprintf("/dev/shm/hostile-%d", os.Getpid())
			defer os.Remove(path)
			return os.WriteFile(path, nil, 0o600)
		}},
		{"read the kernel's log (/dev/kmsg)", func(target) error {
			return opens("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK)
		}},
		{"write a program and execute it", func(target) error {
			path := filepath.Join(own(), "dropped")
			program, err := os.ReadFile("/bin/true")
			if err == nil {
				err = os.WriteFile(path, program, 0o700)
			}
			if err == nil {
				err = exec.Command(path).Run()
			}
			return err
		}},
	}
}

// changesMode changes nothing but tells whether it may.
func changesMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o640); err != nil {
		return err
	}
	after, err := os.Stat(path)
	if err == nil && after.Mode().Perm() != 0o640 {
		return errNothing // it was said to be done
	}
	return errors.Join(err, os.Chmod(path, info.Mode()))
}

func onDoors() []attempt {
	return []attempt{
		{"call the operator's API by its socket", func(t target) error { return callAPI(t.Socket) }},
		{"the same by an orphan in a session of its own", func(t target) error {
			said := filepath.Join(own(), "said")
			if err := asOrphan("HOSTILE_CALLS=" + t.Socket); err != nil {
				return err
			}
			for range 500 {
				time.Sleep(10 * time.Millisecond)
				if text, err := os.ReadFile(said); err == nil && len(text) > 0 {
					if string(text) == "done" {
						return nil
					}
					return errors.New(string(text))
				}
			}
			return errNothing
		}},
		{"connect to the operator's API by TCP", func(t target) error { return dials("tcp", t.TCP) }},
		{"the same by MPTCP", func(t target) error { return connects(t.TCP, unix.IPPROTO_MPTCP, 0) }},
		{"the same by the first send (MSG_FASTOPEN)", func(t target) error { return connects(t.TCP, 0, unix.MSG_FASTOPEN) }},
		{"connect to an abstract socket of the node's user", func(t target) error { return dials("unix", "@"+t.Abstract) }},
		{"connect to another plugin's socket, which mutual TLS guards", func(t target) error {
			return dials("unix", t.VictimSocket)
		}},
		{"call the node as another plugin, with a certificate of its own making", func(t target) error {
			return speaks(t.Callbacks)
		}},
		{"call another plugin as the node, with a certificate of its own making", func(t target) error {
			return speaks(t.VictimSocket)
		}},
		{"send packets of its own making (AF_PACKET)", func(target) error { return sockets(unix.AF_PACKET, unix.SOCK_RAW) }},
		{"speak to the machine's hypervisor (AF_VSOCK)", func(target) error {
			return sockets(unix.AF_VSOCK, unix.SOCK_STREAM)
		}},
		{"listen on a TCP port", func(target) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			return l.Close()
		}},
		{"send by UDP", func(t target) error {
			c, err := net.Dial("udp", t.TCP)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("x"))
			return err
		}},
	}
}

// speaks makes a connection whose other end knows this one by its certificate.
func speaks(socket string) error {
	pair, err := wire.NewKeyPair()
	if err != nil {
		return err
	}
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "unix", socket, &tls.Config{
		Certificates: []tls.Certificate{pair.TLS}, InsecureSkipVerify: true, NextProtos: []string{"h2"},
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1)) // what refuses a certificate says so after the caller has shaken hands
	return err
}

func sockets(family, kind int) error {
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// connects connects by a socket of another protocol, or by sending.
func connects(address string, protocol, flags int) error {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	peer := &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	if flags != 0 {
		return unix.Sendto(fd, []byte("GET / HTTP/1.0\r\n\r\n"), flags, peer)
	}
	return unix.Connect(fd, peer)
}
