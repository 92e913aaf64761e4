package hosts

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// device is the name of the network device in each namespace.
const device = "net0"

// newNamespace makes a network namespace that lives as long as the file that names it, and the processes in it. It has
// a TUN device with an address in a network of so many bits.
func newNamespace(address netip.Addr, bits int) (namespace *os.File, tun io.ReadWriteCloser, err error) {
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return fmt.Errorf("open the network namespace: %w", err)
		}
		if tun, err = openTUN(); err != nil {
			return errors.Join(err, namespace.Close())
		}
		if err := errors.Join(bringUp("lo"), setAddress(address, bits), bringUp(device)); err != nil {
			return errors.Join(err, tun.Close(), namespace.Close())
		}
		return nil
	})
	return namespace, tun, err
}

// within does something in a namespace. Sockets that it makes stay there.
func within(namespace *os.File, do func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return do()
	})
}

// onThread does something on a thread that ends with it, whatever becomes of the thread's namespace.
func onThread(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // without an Unlock, the thread ends with the goroutine
		done <- do()
	}()
	return <-done
}

func openTUN() (io.ReadWriteCloser, error) {
	// Not blocking, so that Go waits for packets without a thread, and Close ends the waiting.
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the network device %s: %w", device, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// setAddress gives the device of this thread's namespace an address in place of the one that it has.
func setAddress(address netip.Addr, bits int) error {
	mask := ^uint32(0) << (32 - bits)
	for _, set := range []struct {
		request uint
		value   []byte
	}{
		{unix.SIOCSIFADDR, address.AsSlice()},
		{unix.SIOCSIFNETMASK, []byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}},
	} {
		err := configure(device, func(socket int, request *unix.Ifreq) error {
			if err := request.SetInet4Addr(set.value); err != nil {
				return err
			}
			return unix.IoctlIfreq(socket, set.request, request)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bringUp brings a device of this thread's namespace up.
func bringUp(name string) error {
	return configure(name, func(socket int, request *unix.Ifreq) error {
		if err := unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, request); err != nil {
			return err
		}
		request.SetUint16(request.Uint16() | unix.IFF_UP)
		return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
	})
}

func configure(name string, do func(socket int, request *unix.Ifreq) error) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(socket)
		var request *unix.Ifreq
		if request, err = unix.NewIfreq(name); err == nil {
			err = do(socket, request)
		}
	}
	if err != nil {
		return fmt.Errorf("configure the network device %s: %w", name, err)
	}
	return nil
}
