package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"mount -t proc proc /proc # umount", "mount"},
		{"PATH=/bin\nA=b C=d sleep 5; sync & reboot -f", "sleep sync reboot"},
		{"a || b && c | d\n! e", "a b c d e"},
		{"if a; then b; elif c; then d; else e; fi; while f; do g; done; until h; do i; done", "a b c d e f g h i"},
		{"for x in one two; do a $x; done\nfor f in /dev/x*; do if [ -e \"$f\" ]; then set -- \"$@\" \"$f\"; fi; done", "a [ set"},
		{"case $x in *a=1*) b ;; c | d) e f;; esac; g", "b e g"},
		{"case $disk in *[0-9]) part=${disk}p ;; *) part=$disk ;; esac", ""},
		{"say() { echo \"holdfast: $*\"; }\nsay hello || say 'mount it'", "echo"},
		{`x=$(cat /etc/modules | sort) y="$(dd if="$disk" bs=1 2>/dev/null)"`, "cat sort dd"},
		{`[ "$(id -u)" = 0 ] || exit 1`, "id [ exit"},
		{"a >/dev/null 2>&1 <in; exec >/dev/console 2>&1\nexec \"/etc/service/$1\"\nexec /usr/bin/holdfast run", "a /usr/bin/holdfast"},
		{"2>x a", "a"},
		{": >/run/slot/trial", ":"},
		{"read -r cmdline </proc/cmdline", "read"},
		{"tries=$((tries - 1))\na \\\n  b", "a"},
		{"while IFS='=' read -r k v; do a; done </etc/x", "read a"},
		{"( a; b )\n{ c; }", "a b c"},
		{"cat x >/dev/null & # y", "cat"},
		{"chroot \"${a#*b}\" 'c d' \"e $(f) g\"", "f chroot"},
	} {
		got, err := parse(c.script)
		if err != nil {
			t.Errorf("%s: %v", c.script, err)
			continue
		}
		have := make(map[string]bool)
		for _, n := range got {
			have[n] = true
		}
		for _, n := range strings.Fields(c.want) {
			if !have[n] {
				t.Errorf("%s: %q has no %s", c.script, got, n)
			}
		}
		if len(got) != len(strings.Fields(c.want)) {
			t.Errorf("%s: %q, want %s", c.script, got, c.want)
		}
	}
	for _, bad := range []string{"cat <<END\nx\nEND", "a `b`", "\"a `b`\"", "a 'b", `a "b`, "x=$(a", "case x in", "case x", "case x in a) b", "case x in a) b esac", "a )", "${a", "$((a"} {
		if got, err := parse(bad); err == nil {
			t.Errorf("%s: %q", bad, got)
		}
	}
}

// image is a root as make image fills it, without the programs' content.
func image(t *testing.T, from, applets string, more ...string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(applets)
	if err != nil {
		t.Fatal(err)
	}
	names := more
	for line := range strings.Lines(string(list)) {
		if !strings.HasPrefix(line, "#") {
			names = append(names, strings.Fields(line)...)
		}
	}
	for _, n := range names {
		file := filepath.Join(root, n)
		if !strings.Contains(n, "/") {
			file = filepath.Join(root, "bin", n)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("bin", filepath.Join(root, "sbin")); err != nil {
		t.Fatal(err)
	}
	return root
}

// The scripts of the real image, with its lists of applets; and with one name less.
func TestImage(t *testing.T) {
	const common = "../../../board/common/"
	for _, part := range []struct {
		from, applets string
		programs      []string
		runs          []string
	}{
		{common + "rootfs", common + "applets", []string{"usr/bin/holdfast", "e2fsck.static"}, []string{"e2fsck.static", "mount", "modprobe", "syslogd", "reboot", "killall", "logger", "sysctl", "ip"}},
		{common + "initrd", common + "initrd/applets", nil, []string{"switch_root", "dd", "usleep", "modprobe", "umount", "ln"}},
	} {
		root := image(t, part.from, part.applets, part.programs...)
		if err := check(root, []string{"reboot", "/sbin/modprobe"}); err != nil {
			t.Errorf("%s: %v", part.from, err)
		}
		for _, n := range part.runs {
			file := filepath.Join(root, "bin", n)
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := check(root, []string{"reboot", "/sbin/modprobe"}); err == nil || !strings.Contains(err.Error(), n+", which is not in the image") {
				t.Errorf("%s without %s: %v", part.from, n, err)
			}
			if err := os.WriteFile(file, nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := check(t.TempDir(), nil); err == nil {
		t.Error("a root without scripts is good")
	}
}
