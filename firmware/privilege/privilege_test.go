package privilege

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test's process plays two parts more: it gives its rights up, and then says what is left of them.
const part = "HOLDFAST_PRIVILEGE_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(part) {
	case "":
		os.Exit(m.Run())
	case "daemon":
		drop(Become{User: "12345", Keep: []int{NetBind, Nice}})
	case "helper":
		drop(Become{Keep: []int{NetAdmin, NetRaw, SetTime}})
	case "root again":
		drop(Become{User: "0"})
	case "nobody knows":
		drop(Become{User: "no-such-user"})
	case "report":
		report()
	}
}

func drop(b Become) {
	os.Setenv(part, "report")
	err := b.Exec("/proc/self/exe", os.Args, os.Environ())
	fmt.Println("not dropped:", err)
	os.Exit(3)
}

// report prints the kernel's own words, and what works.
func report() {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Println(err)
	}
	for line := range strings.Lines(string(status)) {
		for _, want := range []string{"Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:"} {
			if strings.HasPrefix(line, want) {
				fmt.Println(strings.Join(strings.Fields(line), " "))
			}
		}
	}
	l, err := net.Listen("tcp4", ":443")
	fmt.Println("port 443:", err == nil)
	if err == nil {
		l.Close()
	}
	fmt.Println("nice:", unix.Setpriority(unix.PRIO_PROCESS, 0, -1) == nil)
	fmt.Println("root's file:", os.WriteFile(os.Getenv("HOLDFAST_ROOTS_FILE"), nil, 0o600) == nil)
	fmt.Println("mount:", unix.Mount("none", "/tmp", "tmpfs", 0, "") == nil)
	fmt.Println("become root:", syscall.Setuid(0) == nil && os.Getuid() == 0)
	var core unix.Rlimit
	fmt.Println("core:", unix.Getrlimit(unix.RLIMIT_CORE, &core) == nil && core.Max != 0)
}

// run is root's process in a user, network and mount namespace of its own: ports and priority are nobody else's.
func run(t *testing.T, as string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), part+"="+as, "HOLDFAST_ROOTS_FILE="+dir+"/file")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		t.Fatal("giving rights up needs root: run the tests as root")
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestDaemon(t *testing.T) {
	got := run(t, "daemon")
	caps := fmt.Sprintf("%016x", uint64(1)<<NetBind|uint64(1)<<Nice)
	for _, want := range []string{"Uid: 12345 12345 12345 12345", "Gid: 12345 12345 12345 12345", "Groups:\n", "NoNewPrivs: 1",
		"CapInh: " + caps, "CapPrm: " + caps, "CapEff: " + caps, "CapBnd: " + caps, "CapAmb: " + caps,
		"port 443: true", "nice: true", "root's file: false", "mount: false", "become root: false", "core: false"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestHelper(t *testing.T) {
	got := run(t, "helper")
	caps := fmt.Sprintf("%016x", uint64(1)<<NetAdmin|uint64(1)<<NetRaw|uint64(1)<<SetTime)
	for _, want := range []string{"Uid: 0 0 0 0", "NoNewPrivs: 1", "CapPrm: " + caps, "CapEff: " + caps, "CapBnd: " + caps,
		"mount: false", "port 443: false", "nice: false", "core: false"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestRefused(t *testing.T) {
	for as, want := range map[string]string{"root again": "user 0 is root", "nobody knows": "user no-such-user"} {
		if got := run(t, as); !strings.Contains(got, "not dropped") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", as, got)
		}
	}
}
