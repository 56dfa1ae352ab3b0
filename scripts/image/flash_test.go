// Package image has no code: its test runs the scripts beside it against made-up disks.
package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// machine makes a /sys and a /proc with one disk of each kind.
func machine(t *testing.T, files map[string]string) (sys, proc string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "sys"), filepath.Join(dir, "proc")
}

func TestFlashRefuses(t *testing.T) {
	for _, tool := range []string{"bash", "zstd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is needed: %v", tool, err)
		}
	}
	image := filepath.Join(t.TempDir(), "card.img.zst")
	if out, err := exec.Command("bash", "-c", `truncate -s 8M "$1.raw" && zstd -q -o "$1" "$1.raw"`, "-", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	base := map[string]string{"proc/self/mountinfo": "22 1 254:0 / / rw - ext4 /dev/vda rw", "proc/swaps": "Filename Type Size",
		"sys/block/zz0/removable": "1", "sys/block/zz0/dev": "8:16", "sys/block/zz0/size": "32768", "sys/block/zz0/ro": "0",
		"sys/block/zz0/zz01/dev": "8:17"}
	for _, c := range []struct {
		name, dev, want string
		change          map[string]string
	}{
		{name: "a card", dev: "/dev/zz0", want: ""},
		{name: "an SD slot", dev: "/dev/zz0", change: map[string]string{"sys/block/zz0/removable": "0", "sys/block/zz0/device/type": "SD"}},
		{name: "no device", dev: "", want: "say which card"},
		{name: "a file", dev: image, want: "is not a device"},
		{name: "no such disk", dev: "/dev/zz9", want: "is not a disk"},
		{name: "a partition", dev: "/dev/zz01", want: "the whole card is /dev/zz0"},
		{name: "a fixed disk", dev: "/dev/zz0", want: "not a removable disk", change: map[string]string{"sys/block/zz0/removable": "0"}},
		{name: "eMMC", dev: "/dev/zz0", want: "not a removable disk", change: map[string]string{"sys/block/zz0/removable": "0", "sys/block/zz0/device/type": "MMC"}},
		{name: "mounted", dev: "/dev/zz0", want: "is mounted at /", change: map[string]string{"proc/self/mountinfo": "22 1 8:16 / / rw - ext4 x rw"}},
		{name: "a partition is mounted", dev: "/dev/zz0", want: "/dev/zz01 is mounted at /media/x", change: map[string]string{"proc/self/mountinfo": "22 1 8:17 / /media/x rw - vfat x rw"}},
		{name: "swap", dev: "/dev/zz0", want: "in use as swap", change: map[string]string{"proc/swaps": "/dev/zz01 partition 1 0 -2"}},
		{name: "part of a RAID", dev: "/dev/zz0", want: "part of something else", change: map[string]string{"sys/block/zz0/holders/md0": ""}},
		{name: "write-protected", dev: "/dev/zz0", want: "write-protected", change: map[string]string{"sys/block/zz0/ro": "1"}},
		{name: "too small", dev: "/dev/zz0", want: "holds 4 MiB", change: map[string]string{"sys/block/zz0/size": "8192"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for k, v := range base {
				files[k] = v
			}
			for k, v := range c.change {
				files[k] = v
			}
			sys, proc := machine(t, files)
			cmd := exec.Command("bash", "flash.sh", c.dev, image)
			cmd.Env = append(os.Environ(), "SYS="+sys, "PROC="+proc, "DRY=1")
			out, err := cmd.CombinedOutput()
			switch {
			case c.want == "" && err != nil:
				t.Fatalf("refused: %s", out)
			case c.want != "" && err == nil:
				t.Fatalf("accepted: %s", out)
			case !strings.Contains(string(out), c.want):
				t.Fatalf("says %q, not %q", out, c.want)
			}
		})
	}
}
