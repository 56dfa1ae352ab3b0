package netcfg

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"holdfast/firmware/config"
)

// patience is for a loaded machine; nothing takes that long.
const patience = 60 * time.Second

// inside marks the process that a test runs in.
const inside = "HOLDFAST_IN_NAMESPACE"

// alone runs the test once more in a process with an own network, which ends with it: nothing is left over. It reports
// whether this is that process. Without root the process is root of a namespace of its own.
func alone(t *testing.T) bool {
	t.Parallel()
	if os.Getenv(inside) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread() // Pdeathsig is of the thread
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in an own network (needs root, or user namespaces): %v\n%s", err, out)
	}
	return false
}

// lan is the other end of the box's cables: a machine in a network of its own.
type lan struct {
	t     *testing.T
	there netns.NsHandle
	peer  *netlink.Handle
}

// newLAN makes cables, each from ours to theirs.
func newLAN(t *testing.T, cables ...[2]string) *lan {
	t.Helper()
	machine := exec.Command("cat") // its network lives as long as its input is open
	hold, err := machine.StdinPipe()
	must(t, err)
	machine.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	must(t, machine.Start())
	t.Cleanup(func() { hold.Close(); machine.Wait() })
	l := &lan{t: t}
	l.there, err = netns.GetFromPid(machine.Process.Pid)
	must(t, err)
	l.peer, err = netlink.NewHandleAt(l.there)
	must(t, err)
	for _, c := range cables {
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: c[0]}, PeerName: c[1]}))
		far, err := netlink.LinkByName(c[1])
		must(t, err)
		must(t, netlink.LinkSetNsFd(far, int(l.there)))
		l.cable(c[1], true)
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lan) link(name string) netlink.Link {
	l.t.Helper()
	x, err := l.peer.LinkByName(name)
	must(l.t, err)
	return x
}

// cable plugs the far end in or pulls it.
func (l *lan) cable(name string, in bool) {
	l.t.Helper()
	if in {
		must(l.t, l.peer.LinkSetUp(l.link(name)))
	} else {
		must(l.t, l.peer.LinkSetDown(l.link(name)))
	}
}

func (l *lan) add(name, p string) {
	l.t.Helper()
	must(l.t, l.peer.AddrAdd(l.link(name), &netlink.Addr{IPNet: netOf(prefix(p))}))
}

func (l *lan) remove(name, p string) {
	l.t.Helper()
	must(l.t, l.peer.AddrDel(l.link(name), &netlink.Addr{IPNet: netOf(prefix(p))}))
}

func (l *lan) mac(name string) string { return l.link(name).Attrs().HardwareAddr.String() }

// do runs f on a thread in the other machine's network; sockets that it opens stay there.
func (l *lan) do(f func() error) {
	l.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := netns.Set(l.there)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	must(l.t, <-done)
}

// listen opens the other machine's ear for ARP.
func (l *lan) listen(name string) *wire {
	l.t.Helper()
	var w *wire
	l.do(func() (err error) { w, err = openWire(name); return err })
	l.t.Cleanup(w.close)
	return w
}

// hears waits for an ARP packet.
func hears(t *testing.T, w *wire, what string, is func(arp) bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		p, err := w.receive(deadline)
		if err != nil {
			t.Fatalf("%s: not heard: %v", what, err)
		}
		if is(p) {
			return
		}
	}
}

// reaches lets the other machine connect to an address of the box, where somebody listens.
func (l *lan) reaches(a string) {
	l.t.Helper()
	ear, err := net.Listen("tcp4", a+":0")
	must(l.t, err)
	defer ear.Close()
	l.do(func() error {
		c, err := net.DialTimeout("tcp4", ear.Addr().String(), patience)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// running is a manager at work.
type running struct {
	*Manager
	t    *testing.T
	dir  string
	log  *lines
	stop func()
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, n config.Network) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), log: &lines{}}
	r.Manager = New(n, Options{Dir: r.dir, ResolvConf: filepath.Join(r.dir, "resolv.conf"), Tick: 500 * time.Millisecond, Log: slog.New(slog.NewTextHandler(r.log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); must(t, <-done) })
	t.Cleanup(r.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.log)
		}
	})
	return r
}

// until waits for a state.
func (r *running) until(what string, is func(State) bool) State {
	r.t.Helper()
	var s State
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if s, err = ReadState(r.dir); err == nil && is(s) {
			return s
		}
	}
	r.t.Fatalf("%s: not within %s; last state %+v", what, patience, s)
	return s
}

func (r *running) has(address string) State {
	r.t.Helper()
	return r.until("address "+address, func(s State) bool { return s.Ports[0].Address == address && len(s.Faults) == 0 })
}

// route asks the kernel which way packets to an address go.
func route(t *testing.T, to string) netip.Addr {
	t.Helper()
	list, err := netlink.RouteGet(net.ParseIP(to))
	if err != nil || len(list) == 0 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(list[0].Gw.To4())
	return a
}

func addressesOf(t *testing.T, name string) (out []string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	list, err := netlink.AddrList(l, netlink.FAMILY_V4)
	must(t, err)
	for _, a := range list {
		out = append(out, a.IPNet.String())
	}
	slices.Sort(out)
	return out
}

func alarm(s State, text string) bool {
	return slices.ContainsFunc(s.Alarms(s.At), func(a string) bool { return strings.Contains(a, text) })
}
