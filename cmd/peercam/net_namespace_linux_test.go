package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/sys/unix"
)

// namespace is a network of its own. It has no name, and so ends by itself with
// the last process in it, however a test ends.
type namespace struct{ file *os.File }

// newNamespace makes a namespace that has nothing but a loopback. Its error is
// a fs.ErrPermission where the OS does not let us.
func newNamespace() (*namespace, error) {
	runtime.LockOSThread()
	home, err := ownNamespace()
	if err != nil {
		return nil, err
	}
	defer home.close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	defer home.stay()
	n, err := ownNamespace()
	if err != nil {
		return nil, err
	}
	if err := ip("link set lo up"); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func ownNamespace() (*namespace, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace: %w", err)
	}
	return &namespace{f}, nil
}

func (n *namespace) close() error { return n.file.Close() }

// stay moves a locked thread into the namespace and unlocks it.
func (n *namespace) stay() {
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		panic(fmt.Sprintf("returning to the network namespace: %v", err)) // all that follows would be in the wrong one
	}
	runtime.UnlockOSThread()
}

// within calls do in the namespace: the sockets that do opens and the processes
// that it starts are of it, but not those of goroutines that it starts.
func (n *namespace) within(do func() error) error {
	runtime.LockOSThread()
	home, err := ownNamespace()
	if err != nil {
		return err
	}
	defer home.close()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	defer home.stay()
	return do()
}

// device makes a TUN device with an address (a.b.c.d/n): it is where all goes
// that the namespace sends elsewhere. Each read or write is one IP packet.
func (n *namespace) device(address string) (*os.File, error) {
	const path, name = "/dev/net/tun", "shaped0"
	fd := -1
	err := n.within(func() (err error) {
		if fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			return fmt.Errorf("opening %s: %w", path, err)
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return fmt.Errorf("making a TUN device: %w", err)
		}
		return errors.Join(
			ip("addr add "+address+" dev "+name), ip("link set "+name+" up"), ip("route add default dev "+name))
	})
	if fd < 0 {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path) // not before there is a device, or the poller refuses it
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s(the command is part of iproute2)", args, err, out)
	}
	return nil
}

// browser starts a browser in the namespace. It is steered through a pipe,
// which crosses namespaces.
func (n *namespace) browser(t testing.TB, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	ctx, stop, err := launch(append(options, chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
		// chromedp starts it on a thread of its own, which `within` does not reach.
		nsenter, err := exec.LookPath("nsenter")
		if err != nil {
			cmd.Err = fmt.Errorf("%w (it is part of util-linux)", err)
			return
		}
		where := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), n.file.Fd())
		cmd.Args = append([]string{nsenter, where, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = nsenter
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return ctx
}

// newSpace is a namespace for a test.
func newSpace(t *testing.T) *namespace {
	t.Helper()
	n, err := newNamespace()
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("LOUD: not tried, only root may make the networks that this test is about")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.close() })
	return n
}
