package board

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/update"
)

// variant is a version made of the image's own root.
type variant struct {
	name string
	edit func(root string) error // of the unpacked root; nil: nothing
}

// neverStarts is a version whose program ends at once; the guard of its tries is impatient, for the test's sake.
var neverStarts = variant{"never-starts", func(root string) error {
	return errorsOf(os.WriteFile(filepath.Join(root, "etc/holdfast/trial-seconds"), []byte("8\n"), 0o644),
		os.Remove(filepath.Join(root, "usr/bin/holdfast")),
		os.WriteFile(filepath.Join(root, "usr/bin/holdfast"), []byte("#!/bin/sh\necho this version does not start\nexit 1\n"), 0o755))
}}

// proper is a version that works.
var proper = variant{name: "proper"}

// watchful is one that works and reads the slots back at once.
var watchful = variant{"watchful", func(root string) error {
	return os.WriteFile(filepath.Join(root, "etc/service/updater"), []byte("#!/bin/sh\nexec /usr/bin/holdfast updater -c /boot/holdfast.toml -look-after 2s\n"), 0o755)
}}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// bundle makes a signed update of a variant; each is newer than those before.
func (r *rig) bundle(v variant) ([]byte, error) {
	r.versions++
	release, err := os.ReadFile(filepath.Join(r.o.Image, "slot", "release"))
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	now, err := update.ParseRelease(release)
	if err != nil {
		return nil, err
	}
	now.Version, now.Time = fmt.Sprintf("v9.%d.0", r.versions), time.Now().Unix()
	text := fmt.Sprintf("VERSION=%s\nCOMMIT=%s\nBOARD=%s\nSLOT_FORMAT=%d\nTIME=%d\n", now.Version, now.Commit, now.Board, now.SlotFormat, now.Time)
	squashfs, err := r.root(v, text)
	if err != nil {
		return nil, err
	}
	boot, err := os.ReadFile(filepath.Join(r.o.Image, "slot", "boot.img"))
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	var out bytes.Buffer
	if err := update.Write(&out, now, bytes.NewReader(squashfs), bytes.NewReader(boot), r.signer); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// root makes the root file system of a variant; release is its /etc/holdfast-release, "" that of the image.
func (r *rig) root(v variant, release string) ([]byte, error) {
	root := filepath.Join(r.o.Dir, "root-"+v.name)
	image := root + ".squashfs"
	if _, err := os.Stat(root); err != nil {
		if err := command("unsquashfs", "-q", "-n", "-d", root, filepath.Join(r.o.Image, "slot", "root.squashfs")); err != nil {
			return nil, err
		}
		if v.edit != nil {
			if err := v.edit(root); err != nil {
				return nil, fmt.Errorf("bundle: %w", err)
			}
		}
	}
	if release != "" {
		if err := os.WriteFile(filepath.Join(root, "etc/holdfast-release"), []byte(release), 0o644); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
	}
	if err := command("mksquashfs", root, image, "-noappend", "-all-root", "-no-xattrs", "-no-progress", "-quiet", "-comp", "zstd", "-Xcompression-level", "3"); err != nil {
		return nil, err
	}
	squashfs, err := os.ReadFile(image)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return squashfs, nil
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
