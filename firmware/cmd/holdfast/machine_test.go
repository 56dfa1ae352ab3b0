package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/firmware/clock"
	"holdfast/firmware/control"
	"holdfast/firmware/netcfg"
)

// asProgram makes the test's binary behave as the program.
const asProgram = "HOLDFAST_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// machine is a machine with a network of its own, where root starts programs; they end with the test.
type machine struct {
	t   *testing.T
	pid int
	far *machine // at the other end of its cable
}

// newMachine makes one with a cable, eth0, to another machine that has 10.77.0.1.
func newMachine(t *testing.T) *machine {
	t.Helper()
	t.Parallel() // each has its own
	if os.Geteuid() != 0 {
		t.Fatal("a network of its own needs root: run the tests as root")
	}
	hold := exec.Command("cat")
	in, err := hold.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	hold.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); hold.Wait() })
	far := &machine{t: t}
	m := &machine{t, hold.Process.Pid, far}
	other := exec.Command("cat")
	in2, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in2.Close(); other.Wait() })
	far.pid = other.Process.Pid
	m.run("ip", "link", "set", "lo", "up")
	m.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
	m.run("ip", "link", "set", "far0", "netns", fmt.Sprint(far.pid))
	far.run("ip", "link", "set", "far0", "up")
	far.run("ip", "addr", "add", "10.77.0.1/24", "dev", "far0")
	return m
}

func (m *machine) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", m.pid), "--"}, args...)...)
}

func (m *machine) run(args ...string) {
	m.t.Helper()
	if out, err := m.command(args...).CombinedOutput(); err != nil {
		m.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// program is one that runs on the machine.
type program struct {
	*exec.Cmd
	out lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func (m *machine) start(args ...string) *program {
	m.t.Helper()
	p := &program{Cmd: m.command(append([]string{os.Args[0]}, args...)...)}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stdout, p.Stderr = &p.out, &p.out
	p.started(m.t)
	return p
}

// started runs it until the test ends.
func (p *program) started(t *testing.T) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(time.Minute, func() { p.Process.Kill() })
		p.Wait()
		late.Stop()
		if t.Failed() {
			t.Logf("%v:\n%s", p.Args, p.out.String())
		}
	})
}

// rights are what the kernel says of a running program: user and effective capabilities.
func (p *program) rights() (uid, caps string) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "Uid:":
			uid = f[1]
		case len(f) > 1 && f[0] == "CapEff:":
			caps = f[1]
		}
	}
	return uid, caps
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// onMachine is a boot file for the machine, and the folders that it names, which belong to the box's user.
func onMachine(t *testing.T, user int) (boot, run, net string) {
	t.Helper()
	boot = bootFolder(t)
	dir := filepath.Dir(boot)
	data, run, net := filepath.Join(dir, "data"), filepath.Join(dir, "run"), filepath.Join(dir, "net")
	text, err := os.ReadFile(boot)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("10.0.0.", "10.77.0.", "10.0.1.5:5061", "10.77.0.5:5062", "media_address = \"10.0.1.5\"", "", "/var/lib/holdfast", data, "/run/holdfast", run,
		"interval = \"10h\"", "", "vlan = 20", "", "ntp.example.com", "10.77.0.3").Replace(string(text))
	head, rest, _ := strings.Cut(changed, "[network.sbc]")
	_, tail, _ := strings.Cut(rest, "[time]")
	changed = head + "[time]" + tail
	for _, section := range []string{"[portal]", "[webhook]", "[site]"} { // only a file, unsigned
		before, after, _ := strings.Cut(changed, section)
		_, after, _ = strings.Cut(after, "\n[")
		changed = before + "[" + after
	}
	changed += "\n[site]\nfile = \"site.json\"\nallow_unsigned = true\n"
	if err := os.WriteFile(boot, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{data, run} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err == nil {
			err = os.Chown(path, user, user)
		}
		return err
	})
	err = errors.Join(err, os.Chmod(boot, 0o644)) // as on the FAT partition: everybody may read it
	for d := dir; err == nil && d != "/" && d != "/tmp"; d = filepath.Dir(d) {
		err = os.Chmod(d, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return boot, run, net
}

// The box as its image starts it: a helper of root's with three capabilities, a daemon that is nobody with two; the daemon
// is there before its address is.
func TestTwoProgramsOfAMachine(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := newMachine(t)
	const user = 12345
	boot, dir, net := onMachine(t, user)
	daemon := m.start("run", "-c", boot, "-user", fmt.Sprint(user))
	client := control.NewClient(filepath.Join(dir, control.SocketName))
	var status control.Status
	eventually(t, "the daemon", func() (ok bool) {
		var err error
		status, err = client.Status(t.Context())
		return err == nil
	})
	if a := strings.Join(status.Alarms, "\n"); !strings.Contains(a, "10.77.0.5 is no address of this machine now") {
		t.Errorf("alarms: %s", a)
	}
	if uid, caps := daemon.rights(); uid != fmt.Sprint(user) || caps != "0000000000800400" {
		t.Errorf("the daemon runs as %s with %s", uid, caps)
	}
	helper := m.start("netcfg", "-c", boot, "-dir", net)
	eventually(t, "the address", func() bool {
		s, err := netcfg.ReadState(net)
		return err == nil && s.Ports[0].Address == "10.77.0.5/24" && s.Ports[0].Fallback != ""
	})
	if uid, caps := helper.rights(); uid != "0" || caps != "0000000002003000" {
		t.Errorf("the helper runs as %s with %s", uid, caps)
	}
	eventually(t, "the clock's state", func() bool {
		s, err := clock.ReadState(net)
		return err == nil && !s.Known && s.Error != ""
	})
	eventually(t, "a phone's way in", func() bool {
		return m.command("bash", "-c", "exec 3<>/dev/tcp/10.77.0.5/5061").Run() == nil
	})
	if status, err := client.Status(t.Context()); err != nil || strings.Contains(strings.Join(status.Alarms, "\n"), "no address of this machine") {
		t.Errorf("%v %q", err, status.Alarms)
	}
	ask := `exec 3<>/dev/udp/10.77.0.5/53; printf '\0\7\1\0\0\1\0\0\0\0\0\0\3box\4test\0\0\1\0\1' >&3; timeout 5 head -c 42 <&3 | od -An -tx1 | tr -d ' \n'`
	eventually(t, "an answer for the box's own name", func() bool {
		out, err := m.far.command("bash", "-c", ask).Output()
		return err == nil && strings.HasSuffix(string(out), "00040a4d0005") // four bytes: 10.77.0.5
	})
	if err := daemon.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the daemon is gone: %v", err)
	}
	if kept := clock.Floor(filepath.Join(filepath.Dir(boot), "data"), time.Now().Add(-24*time.Hour)); time.Since(kept) > time.Hour {
		t.Errorf("the card has %s as the last known time", kept)
	}
}

// A boot file with a mistake: the list of errors beside it, the network as it says, and a page that tells why.
func TestMistakeInBootFile(t *testing.T) {
	m := newMachine(t)
	boot, _, net := onMachine(t, 0)
	text, err := os.ReadFile(boot)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(boot, bytes.Replace(text, []byte("missed = 3"), []byte("missed = \"three\""), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	m.start("netcfg", "-c", boot, "-dir", net)
	said := filepath.Join(filepath.Dir(boot), "holdfast-errors.txt")
	eventually(t, "the list of errors", func() bool {
		data, err := os.ReadFile(said)
		return err == nil && strings.Contains(string(data), "cloud.missed: \"three\" is not a whole number")
	})
	eventually(t, "the address", func() bool {
		s, err := netcfg.ReadState(net)
		return err == nil && s.Ports[0].Address == "10.77.0.5/24"
	})
	daemon := m.start("run", "-c", boot, "-user", "12345", "-rescue", ":80")
	eventually(t, "the page", func() bool {
		out, err := m.command("bash", "-c", `exec 3<>/dev/tcp/10.77.0.5/80; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3`).CombinedOutput()
		return err == nil && strings.Contains(string(out), "503 "+http.StatusText(http.StatusServiceUnavailable)) && strings.Contains(string(out), "cloud.missed: &#34;three&#34;")
	})
	if err := os.WriteFile(boot, text, 0o644); err != nil { // mended: the program ends, and init starts it anew
		t.Fatal(err)
	}
	daemon.Wait()
	if !daemon.ProcessState.Exited() || daemon.ProcessState.ExitCode() != 1 {
		t.Errorf("the daemon: %s", daemon.ProcessState)
	}
	m.start("netcfg", "-c", boot, "-dir", net)
	eventually(t, "the list gone", func() bool { _, err := os.Stat(said); return os.IsNotExist(err) })
}

// With a card that cannot be written and a RAM disk that is full the box starts all the same, and says so.
func TestHurtStorage(t *testing.T) {
	for name, hurt := range map[string]struct{ mount, alarm string }{
		"card read-only, RAM disk full": {`mount -t tmpfs -o size=4k,nr_inodes=64 none "$RUN"; head -c 100000 /dev/zero >"$RUN/full" || true; mount -t tmpfs -o ro none "$DATA"`,
			"nothing new survives a power cut"},
		"card full":     {`mount -t tmpfs -o size=4k,nr_inodes=64 none "$DATA"; head -c 100000 /dev/zero >"$DATA/full" || true`, "nothing new survives a power cut"},
		"no card":       {`rmdir "$DATA"; echo >"$DATA"`, "records and documents are in RAM only"},
		"no RAM disk":   {`rmdir "$RUN"; echo >"$RUN"`, "registrations are kept in /dev/shm/holdfast-0-run"},
		"nothing hurts": {`true`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			boot, run, _ := onMachine(t, 0)
			data := filepath.Join(filepath.Dir(boot), "data")
			script := `mount -t tmpfs none /dev/shm; ` + hurt.mount + `; exec "$0" run -c "$BOOT"`
			p := &program{Cmd: m.command("unshare", "-m", "sh", "-c", script, os.Args[0])}
			p.Env = append(os.Environ(), asProgram+"=1", "BOOT="+boot, "RUN="+run, "DATA="+data)
			p.Stdout, p.Stderr = &p.out, &p.out
			p.started(t)
			if name == "no RAM disk" { // nobody can ask it
				eventually(t, "the start", func() bool {
					return strings.Contains(p.out.String(), "holdfast is up") && strings.Contains(p.out.String(), hurt.alarm)
				})
				return
			}
			var out []byte
			eventually(t, "the status", func() (ok bool) {
				ask := exec.Command("nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", p.Process.Pid), "--", os.Args[0], "status", "--json", "--socket", filepath.Join(run, control.SocketName))
				ask.Env = append(os.Environ(), asProgram+"=1")
				var err error
				out, err = ask.Output()
				return err == nil
			})
			var s control.Status
			if err := json.Unmarshal(out, &s); err != nil || s.Site.Serial != 7 {
				t.Errorf("%v: %s", err, out)
			}
			alarms := strings.Join(s.Alarms, "\n")
			if !strings.Contains(alarms, hurt.alarm) || hurt.alarm == "" && (strings.Contains(alarms, "data_dir") || strings.Contains(alarms, "run_dir")) {
				t.Errorf("alarms: %s", alarms)
			}
		})
	}
}
