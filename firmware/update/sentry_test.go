package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// squash is a root as mksquashfs leaves it, as far as anybody looks here: used bytes, padded.
func squash(used int) []byte {
	b := bytes.Repeat([]byte("root "), used/5+1)[:used]
	copy(b, squashMagic)
	binary.LittleEndian.PutUint64(b[squashBytes:], uint64(used))
	return append(b, make([]byte, (sealSize-used%sealSize)%sealSize)...)
}

// sealed is a root with its seal, written down here a second time.
func sealed(used int) []byte {
	b := squash(used)
	seal := make([]byte, 4096)
	copy(seal, fmt.Sprintf("holdfast-root 1 %d %x\n", len(b), sha256.Sum256(b)))
	return append(b, seal...)
}

// image is a boot file as mkimage makes it, as far as anybody looks here.
func image(size int) []byte {
	b := bytes.Repeat([]byte("boot "), size/5+1)[:size]
	clear(b[:64])
	be := binary.BigEndian
	be.PutUint32(b, 0x27051956)
	be.PutUint32(b[12:], uint32(size-64))
	be.PutUint32(b[24:], crc32.ChecksumIEEE(b[64:]))
	be.PutUint32(b[4:], crc32.ChecksumIEEE(b[:64]))
	return b
}

const wholeUsed = 70<<10 + 13

// wholeCard is a card whose slots can be checked.
func wholeCard(t testing.TB) (*Card, *disk) {
	c, d := newCard(t, 1)
	for _, s := range []Slot{A, B} {
		d.put(c.rootPath(s), sealed(wholeUsed), rootRoom)
		d.put(c.bootPath(s), image(bootSize), bootRoom)
	}
	return c, d
}

func unpaced(context.Context, int) error { return nil }

func TestExamine(t *testing.T) {
	root, boot := "dev/slot-a", "boot/slot-a/boot.img"
	flip := func(path string, at int) func(*disk) {
		return func(d *disk) { d.files[path].seen[at] ^= 4 }
	}
	for name, x := range map[string]struct {
		change  func(*disk)
		verdict Verdict
		why     string
	}{
		"as it was written":            {func(*disk) {}, Whole, ""},
		"what is behind the seal":      {flip(root, rootRoom-1), Whole, ""},
		"what is behind the boot file": {flip(boot, bootRoom-1), Whole, ""},
		"a bit of the root":            {flip(root, wholeUsed/2), Damaged, "root.squashfs is not what was written"},
		"its last bit":                 {flip(root, wholeUsed-1), Damaged, "root.squashfs is not what was written"},
		"its padding":                  {flip(root, wholeUsed+1), Damaged, "root.squashfs is not what was written"},
		"its magic":                    {flip(root, 0), Damaged, "root.squashfs is no file system"},
		"its length, beyond the card":  {flip(root, squashBytes+7), Damaged, "root.squashfs is no file system"},
		"its length, nothing":          {func(d *disk) { clear(d.files[root].seen[squashBytes:][:8]) }, Damaged, "root.squashfs is no file system"},
		"the seal's sum":               {flip(root, len(squash(wholeUsed))+len(sealMagic)+12), Damaged, "root.squashfs is not what was written"},
		"the seal's length":            {flip(root, len(squash(wholeUsed))+len(sealMagic)+1), Damaged, "the seal of root.squashfs cannot be read"},
		"the seal's end":               {func(d *disk) { clear(d.files[root].seen[len(squash(wholeUsed))+60:]) }, Damaged, "the seal of root.squashfs cannot be read"},
		"nothing at all":               {func(d *disk) { clear(d.files[root].seen) }, Damaged, "root.squashfs is no file system"},
		"a root without a seal":        {func(d *disk) { d.put(root, squash(wholeUsed), rootRoom) }, Unchecked, "it has no seal"},
		"a root without room for one":  {func(d *disk) { d.put(root, squash(rootRoom-3), rootRoom) }, Unchecked, "it has no seal"},
		"no slot":                      {func(d *disk) { delete(d.files, root) }, Unchecked, "no such file"},
		"a bit of the boot file":       {flip(boot, bootSize/2), Damaged, "boot.img is not what was written"},
		"its last":                     {flip(boot, bootSize-1), Damaged, "boot.img is not what was written"},
		"its name":                     {flip(boot, 40), Damaged, "boot.img has no sound head"},
		"its head, as an update begun": {func(d *disk) { clear(d.files[boot].seen[:bootHead]) }, Damaged, "boot.img has no sound head"},
		"its length": {func(d *disk) {
			b := d.files[boot].seen
			binary.BigEndian.PutUint32(b[12:], bootRoom)
			clear(b[4:8])
			binary.BigEndian.PutUint32(b[4:], crc32.ChecksumIEEE(b[:64]))
		}, Damaged, "boot.img has no sound head"},
		"damaged, and a root without a seal": {func(d *disk) { d.put(root, squash(wholeUsed), rootRoom); d.files[boot].seen[99] ^= 1 }, Damaged, "boot.img is not what was written"},
		"no file that can be opened":         {func(d *disk) { d.dead = true }, Unchecked, "the power is gone"},
	} {
		c, d := wholeCard(t)
		x.change(d)
		if h := c.examine(t.Context(), A, unpaced); h.Verdict != x.verdict || !strings.Contains(h.Why, x.why) || (x.why == "") != (h.Why == "") || h.At.IsZero() {
			t.Errorf("%s: %+v", name, h)
		}
		if h := c.examine(t.Context(), B, unpaced); h.Verdict != Whole && !d.dead {
			t.Errorf("%s: of slot b it says %+v", name, h)
		}
	}
}

// dim is a file that gives an error, or something wrong, back for one read.
type dim struct {
	file
	left *int
	err  error
}

func (f dim) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.file.ReadAt(b, at)
	if *f.left--; *f.left == 0 {
		if f.err != nil {
			return 0, f.err
		}
		b[n-1] ^= 1
	}
	return n, err
}

// TestExamineTwice: one bad read is no damage, a place that is bad for good is.
func TestExamineTwice(t *testing.T) {
	for _, err := range []error{nil, errors.New("input/output error")} {
		c, d := wholeCard(t)
		left := 5
		c.open = func(path string, write bool) (file, error) {
			f, e := d.open(path, write)
			return dim{f, &left, err}, e
		}
		if h := c.examine(t.Context(), A, unpaced); h.Verdict != Whole {
			t.Errorf("one bad read (%v): %+v", err, h)
		}
	}
	c, d := wholeCard(t)
	c.open = func(path string, write bool) (file, error) {
		f, e := d.open(path, write)
		left := 4 // of each look
		return dim{f, &left, errors.New("input/output error")}, e
	}
	if h := c.examine(t.Context(), A, unpaced); h.Verdict != Damaged || h.Why != "root.squashfs cannot be read: input/output error" {
		t.Errorf("a place that cannot be read: %+v", h)
	}
}

// TestSentry: the first look after a while, the next a day later, at the pace that it was given, until it is told to end.
func TestSentry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, d := wholeCard(t)
		c.doubt = make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		s := &Sentry{Card: c, Log: slog.New(slog.DiscardHandler), After: 5 * time.Minute, Every: 24 * time.Hour, Rate: 1 << 10}
		ended := make(chan error)
		began := time.Now()
		go func() { ended <- s.Run(ctx) }()
		are := func(a, b Verdict) {
			t.Helper()
			synctest.Wait()
			if now := c.Status().Slots; now.A.Verdict != a || now.B.Verdict != b {
				t.Errorf("after %v: %+v", time.Since(began), now)
			}
		}
		one := time.Duration(len(squash(wholeUsed))+bootSize-bootHeader) * time.Second >> 10 // a slot
		wear := func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.files["dev/slot-a"].seen[1000] ^= 1
		}
		time.Sleep(5*time.Minute + one - time.Second)
		are(Unchecked, Unchecked)
		time.Sleep(2 * time.Second)
		are(Whole, Unchecked)
		time.Sleep(one)
		are(Whole, Whole)
		if at := c.Status().Slots.A.At; at.Sub(began) != 5*time.Minute+one {
			t.Errorf("looked at after %v", at.Sub(began))
		}
		wear()
		time.Sleep(23 * time.Hour)
		are(Whole, Whole)
		time.Sleep(2 * time.Hour)
		are(Damaged, Whole)
		wear()
		time.Sleep(25 * time.Hour)
		are(Whole, Whole)

		// An update that is written is whole at once; one that is cut off is looked at.
		if _, err := c.Apply(ctx, bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
			t.Fatal(err)
		}
		are(Whole, Whole)
		if back, err := c.GiveUp(); err != nil || !back {
			t.Fatal(back, err)
		}
		half := bundle(t, v2, ours)
		if _, err := c.Apply(ctx, bytes.NewReader(half[:len(half)/2]), trusted, nil); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		are(Whole, Unchecked)
		time.Sleep(10 * time.Minute)
		are(Whole, Damaged)

		time.Sleep(24*time.Hour - time.Minute) // in the middle of a look
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestSentryGivesWay: an update does not wait for a look, and what a look finds of a slot that is written meanwhile counts for nothing.
func TestSentryGivesWay(t *testing.T) {
	c, d := wholeCard(t)
	d.files["dev/slot-b"].seen[1000] ^= 1
	once := false
	s := &Sentry{Card: c, Log: slog.New(slog.DiscardHandler), Rate: 1 << 30}
	c.open = func(path string, write bool) (file, error) {
		if path == "dev/slot-b" && !write && !once {
			once = true
			if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
				t.Error(err)
			}
		}
		return d.open(path, write)
	}
	if s.look(t.Context()) || !once {
		t.Error("a look that an update was in the way of counts")
	}
	if now := c.Status().Slots; now.A.Verdict != Whole || now.B.Verdict != Whole {
		t.Errorf("%+v", now)
	}
	c.writing.Lock()
	if s.look(t.Context()) {
		t.Error("it looks while an update is being written")
	}
	c.writing.Unlock()
}

// TestSeal: what the image's build puts behind a root is what the box reads.
func TestSeal(t *testing.T) {
	for _, used := range []int{wholeUsed, 17 * sealSize} {
		name := filepath.Join(t.TempDir(), RootFile)
		if err := os.WriteFile(name, squash(used)[:used], 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("bash", "-ec", `. ../../scripts/image/parts.sh; seal "$0"`, name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, sealed(used)) {
			t.Errorf("%d bytes used: %v, %d bytes, want %d", used, err, len(got), len(sealed(used)))
		}
	}
}

func FuzzReadSeal(f *testing.F) {
	f.Add(sealed(wholeUsed))
	f.Add(squash(100))
	f.Add([]byte("hsqs"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newDisk(1)
		d.put("root", b, len(b))
		h, _ := d.open("root", false)
		if want, err := readSeal(h); err == nil && (want.Size <= 0 || want.Size+sealSize > int64(len(b))) {
			t.Errorf("%+v of %d bytes", want, len(b))
		}
	})
}
