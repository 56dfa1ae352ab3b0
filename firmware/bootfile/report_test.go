package bootfile

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReport(t *testing.T) {
	dir := t.TempDir()
	boot, said := filepath.Join(dir, "holdfast.toml"), filepath.Join(dir, ErrorsName)
	if err := Report(boot, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(said); err == nil {
		t.Error("a good boot file has a list of errors")
	}
	faults := []error{errors.New("holdfast.toml:3: phones.listen: is missing\nholdfast.toml:9: x"), errors.New("trunk.pem is not there")}
	if err := Report(boot, faults); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"holdfast.toml:3: phones.listen: is missing\r\n", "holdfast.toml:9: x\r\n", "trunk.pem is not there\r\n"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%q is not in %q", want, data)
		}
	}
	if strings.Count(string(data), "\n") != strings.Count(string(data), "\r\n") {
		t.Errorf("mixed line ends: %q", data)
	}
	// The same again is not written again.
	old := time.Unix(1e9, 0)
	if err := errors.Join(os.Chtimes(said, old, old), Report(boot, faults)); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(said); err != nil || !i.ModTime().Equal(old) {
		t.Error("written again", err)
	}
	if err := Report(boot, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(said); err == nil {
		t.Error("the list stays when all is mended")
	}
	if err := Report(filepath.Join(dir, "none", "holdfast.toml"), faults); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

// On a read-only file system, in a process with mounts of its own.
func TestReadOnly(t *testing.T) {
	const inside = "HOLDFAST_BOOTFILE_MOUNT"
	if dir := os.Getenv(inside); dir == "" {
		if os.Geteuid() != 0 {
			t.Fatal("mounting needs root: run the tests as root")
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestReadOnly$")
		cmd.Env = append(os.Environ(), inside+"="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	dir := os.Getenv(inside)
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("boot", dir, "tmpfs", flags, "size=64k"),
		os.WriteFile(filepath.Join(dir, "holdfast.toml"), nil, 0o644), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY|flags, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0)
	boot := filepath.Join(dir, "holdfast.toml")
	for _, faults := range [][]error{{errors.New("wrong")}, nil} {
		if err := Report(boot, faults); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, ErrorsName)); (err == nil) != (faults != nil) {
			t.Errorf("with %v: %v", faults, err)
		}
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err != nil || s.Flags&(unix.MS_RDONLY|flags) != unix.MS_RDONLY|flags {
			t.Errorf("flags %#x afterwards: %v", s.Flags, err)
		}
		if err := os.WriteFile(boot, nil, 0o644); !errors.Is(err, unix.EROFS) {
			t.Errorf("it stays writable: %v", err)
		}
	}
}
