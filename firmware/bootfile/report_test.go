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
	"unicode/utf8"

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

// mounted runs do in a process with mounts of its own, on a file system of so many bytes.
func mounted(t *testing.T, flags uintptr, size string, do func(dir string)) {
	const inside = "HOLDFAST_BOOTFILE_MOUNT"
	if dir := os.Getenv(inside); dir != "" {
		if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("boot", dir, "tmpfs", flags, "size="+size)); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(dir, 0)
		do(dir)
		return
	}
	if os.Geteuid() != 0 {
		t.Fatal("mounting needs root: run the tests as root")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestReadOnly(t *testing.T) {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	mounted(t, flags, "64k", func(dir string) {
		boot := filepath.Join(dir, "holdfast.toml")
		if err := errors.Join(os.WriteFile(boot, nil, 0o644), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY|flags, "")); err != nil {
			t.Fatal(err)
		}
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
	})
}

// fill puts a file onto a file system that leaves no room.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 1024)); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// On a card that is full of other things the list of mistakes is there, and whole, and says that the card is full.
func TestFull(t *testing.T) {
	mounted(t, 0, "256k", func(dir string) {
		boot, said, room, filler := filepath.Join(dir, "holdfast.toml"), filepath.Join(dir, ErrorsName), filepath.Join(dir, roomName), filepath.Join(dir, "holiday.mp4")
		many := make([]error, 300)
		for i := range many {
			many[i] = errors.New(strings.Repeat("ä mistake ", 10))
		}
		reads := func(full bool, want string) {
			t.Helper()
			data, err := os.ReadFile(said)
			if err != nil || strings.HasPrefix(string(data), "The boot partition of the card is full: delete") != full || !strings.Contains(string(data), want) || !utf8.Valid(data) {
				t.Errorf("%v, %.300q", err, data)
			}
		}
		holds := func(size int64) {
			t.Helper()
			if i, err := os.Stat(room); err != nil || i.Size() != size {
				t.Errorf("%v, room: %+v", err, i)
			}
		}
		if err := errors.Join(os.WriteFile(boot, []byte("x"), 0o644), os.Mkdir(filepath.Dir(room), 0o755), os.WriteFile(room, make([]byte, roomSize), 0o644)); err != nil {
			t.Fatal(err)
		}
		for round := range 2 { // what was given up is there again
			fill(t, filler)
			if err := Report(boot, many); err != nil {
				t.Fatal(err)
			}
			reads(true, "ä mistake")
			reads(true, "... and more\r\n")
			holds(0)
			if err := Report(boot, []error{errors.New("another mistake")}); err != nil {
				t.Fatal(err)
			}
			reads(true, "another mistake")
			if err := Report(boot, many); err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				os.Remove(filler)
				if err := Report(boot, []error{errors.New("a third")}); err != nil {
					t.Fatal(err)
				}
				reads(false, "a third")
			}
			if err := errors.Join(Report(boot, nil)); err != nil {
				t.Fatal(err)
			}
			holds(roomSize)
			os.Remove(filler)
		}

		// A card from before there was such room: what fits is told, and no empty file stays.
		if err := os.RemoveAll(filepath.Dir(room)); err != nil {
			t.Fatal(err)
		}
		fill(t, filler)
		if err := Report(boot, many); !errors.Is(err, unix.ENOSPC) {
			t.Error(err)
		}
		if _, err := os.Stat(said); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("an empty list: %v", err)
		}
		if err := os.Truncate(filler, 100<<10); err != nil {
			t.Fatal(err)
		}
		if err := Report(boot, many); err != nil {
			t.Error(err)
		}
		reads(false, "ä mistake")
	})
}
