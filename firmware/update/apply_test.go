package update

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	ours    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	foreign = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	trusted = Order{Key: ours.Public().(ed25519.PublicKey)}

	v1 = Release{Version: "v1.0.0", Commit: "aaa", Board: "rpi4", SlotFormat: 1}
	v2 = Release{Version: "v1.1.0", Commit: "bbb", Board: "rpi4", SlotFormat: 1}
)

// Sizes of the test card, and of what is in it: more than one flush each.
const (
	rootRoom, bootRoom = 100 << 10, 60 << 10
	rootSize, bootSize = 90<<10 + 77, 50<<10 + 33
)

// content of a file of a version; a boot file's head says what it is.
func content(r Release, name string, size int) []byte {
	text := []byte(r.Version + " " + name + " ")
	return bytes.Repeat(text, size/len(text)+1)[:size]
}

func bundle(t testing.TB, r Release, key ed25519.PrivateKey) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r, bytes.NewReader(content(r, RootFile, rootSize)), bytes.NewReader(content(r, BootFile, bootSize)), key); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// newCard is a box that runs v1 from slot a.
func newCard(t testing.TB, seed uint64) (*Card, *disk) {
	d := newDisk(seed)
	for _, s := range []Slot{A, B} {
		d.put("dev/slot-"+s.String(), content(v1, RootFile, rootSize), rootRoom)
		d.put("boot/slot-"+s.String()+"/boot.img", content(v1, BootFile, bootSize), bootRoom)
	}
	d.put("boot/state/0", State{Seq: 1, Slot: A, Good: A}.encode(), stateSize)
	d.put("boot/state/1", State{Seq: 2, Slot: A, Good: A}.encode(), stateSize)
	return cardOf(t, d, A, false, v1), d
}

func cardOf(t testing.TB, d *disk, runs Slot, trial bool, r Release) *Card {
	return &Card{Boot: "boot", Slots: "dev", Marks: t.TempDir(), Running: runs, Trial: trial, Now: r, chunk: 4 << 10, flush: 16 << 10, open: d.open,
		unlock: func() (func() error, error) { return func() error { return nil }, nil }}
}

// holds says which version is whole in a slot: what its boot file starts, and the root that belongs to it.
func holds(d *disk, s Slot) (string, bool) {
	for _, r := range []Release{v1, v2} {
		boot := d.files["boot/slot-"+s.String()+"/boot.img"].seen
		if bytes.Equal(boot[:bootSize], content(r, BootFile, bootSize)) {
			root := d.files["dev/slot-"+s.String()].seen
			return r.Version, bytes.Equal(root[:rootSize], content(r, RootFile, rootSize))
		}
	}
	return "", true // its checksum is wrong, so it does not start
}

func bootable(t *testing.T, d *disk) func(Slot) bool {
	return func(s Slot) bool {
		version, whole := holds(d, s)
		if !whole {
			t.Errorf("slot %s would start %s on a root that is not its own", s, version)
		}
		return version != ""
	}
}

func TestUpdate(t *testing.T) {
	c, d := newCard(t, 1)
	var last Progress
	steps := 0
	m, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, func(p Progress) {
		if p.Done < last.Done || p.Total != rootSize+bootSize {
			t.Errorf("%+v after %+v", p, last)
		}
		last, steps = p, steps+1
	})
	if err != nil || m.Release != v2 || last != (Progress{rootSize + bootSize, rootSize + bootSize, true}) || steps < 10 {
		t.Fatalf("%v %+v %+v", err, m, last)
	}
	if s := c.State(); s != (State{Seq: 3, Slot: B, Good: A, Tries: 2}) {
		t.Fatalf("%+v", s)
	}
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); !errors.Is(err, ErrOnTrial) {
		t.Errorf("a second update before the restart: %v", err)
	}
	slot, trial := bootScript(t, d, bootable(t, d))
	if slot != B || !trial {
		t.Fatalf("slot %s, trial %v", slot, trial)
	}
	c = cardOf(t, d, slot, trial, v2)
	if err := c.Confirm(); err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s != (State{Seq: 5, Slot: B, Good: B}) {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(filepath.Join(c.Marks, "confirmed")); err != nil {
		t.Error(err)
	}
	if err := c.Confirm(); err != nil || c.State().Seq != 5 {
		t.Errorf("confirmed twice: %v, %+v", err, c.State())
	}
	if slot, trial := bootScript(t, d, bootable(t, d)); slot != B || trial {
		t.Errorf("afterwards: slot %s, trial %v", slot, trial)
	}
}

// TestFallback: what is not confirmed is tried twice, and then it is the old version again.
func TestFallback(t *testing.T) {
	c, d := newCard(t, 1)
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
		t.Fatal(err)
	}
	var boots []string
	for range 4 {
		slot, trial := bootScript(t, d, bootable(t, d))
		boots = append(boots, fmt.Sprint(slot, trial))
	}
	if fmt.Sprint(boots) != "[b true b true a false a false]" {
		t.Error(boots)
	}
	c = cardOf(t, d, A, false, v1)
	if s := c.State(); s.Failed != B || s.Slot != A || s.Good != A {
		t.Errorf("%+v", s)
	}
	if err := c.Confirm(); err != nil || c.State().Failed != B {
		t.Errorf("there is no trial to confirm: %v %+v", err, c.State())
	}
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
		t.Errorf("another attempt: %v", err)
	}
}

// TestGoodSlotDamaged: the other one boots, no switch is due, and the next update comes back to what runs if it fails.
func TestGoodSlotDamaged(t *testing.T) {
	c, d := newCard(t, 1)
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
		t.Fatal(err)
	}
	if !c.Status().Switched {
		t.Error("an update that waits for its start is no switch")
	}
	slot, trial := bootScript(t, d, bootable(t, d))
	c = cardOf(t, d, slot, trial, v2)
	if c.Status().Switched {
		t.Error("a try is a switch")
	}
	if err := c.Confirm(); err != nil {
		t.Fatal(err)
	}
	d.files["boot/slot-b/boot.img"].seen[bootSize/2] ^= 1 // worn out
	for range 3 {
		slot, trial = bootScript(t, d, bootable(t, d))
		if slot != A || trial {
			t.Fatalf("slot %s, trial %v", slot, trial)
		}
		c = cardOf(t, d, slot, trial, v1)
		if s := c.Status(); s.Switched || s.State.Slot != B || c.Confirm() != nil {
			t.Errorf("it would start again for ever: %+v", s)
		}
	}
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
		t.Fatalf("it cannot be mended: %v", err)
	}
	if s := c.Status(); !s.Switched || s.State.Slot != B || s.State.Good != A {
		t.Errorf("%+v", s)
	}
	for n, want := range []string{"b true", "b true", "a false"} {
		slot, trial := bootScript(t, d, bootable(t, d))
		if got := fmt.Sprint(slot, trial); got != want {
			t.Errorf("start %d: %s, want %s", n+1, got, want)
		}
	}
}

// TestGoodSlotDamagedPowerCuts: what mends the slot may be cut anywhere; until it is acknowledged what runs boots, and afterwards as a try.
func TestGoodSlotDamagedPowerCuts(t *testing.T) {
	b := bundle(t, v2, ours)
	damaged := func(seed uint64) (*Card, *disk) {
		_, d := newCard(t, seed)
		d.files["boot/slot-a/boot.img"].seen[0] ^= 1
		d.files["boot/slot-a/boot.img"].kept[0] ^= 1
		return cardOf(t, d, B, false, v1), d
	}
	c, d := damaged(0)
	if _, err := c.Apply(t.Context(), bytes.NewReader(b), trusted, nil); err != nil {
		t.Fatal(err)
	}
	for cut := range d.ops + 1 {
		c, d := damaged(uint64(cut))
		d.left = cut
		_, err := c.Apply(t.Context(), bytes.NewReader(b), trusted, nil)
		d.powerUp()
		slot, trial := bootScript(t, d, bootable(t, d))
		if version, whole := holds(d, slot); !whole || version == "" {
			t.Fatalf("cut at %d: slot %s boots %q, whole %v", cut, slot, version, whole)
		}
		switch {
		case err == nil && (slot != A || !trial):
			t.Errorf("cut at %d: an acknowledged update boots slot %s, trial %v", cut, slot, trial)
		case err != nil && slot == A && !trial:
			t.Errorf("cut at %d: a version that nobody has tried counts as good", cut)
		}
	}
}

// TestFailedUntended: what did not prove itself is not taken again by itself, and still when a person asks.
func TestFailedUntended(t *testing.T) {
	c, d := newCard(t, 1)
	apply := func(r Release, untended bool) error {
		o := trusted
		o.Untended = untended
		_, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, r, ours)), o, nil)
		return err
	}
	if err := apply(v2, true); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		bootScript(t, d, bootable(t, d))
	}
	c = cardOf(t, d, A, false, v1)
	if err := apply(v2, true); !errors.Is(err, ErrFailed) || c.State().Failed != B {
		t.Errorf("%v, %+v", err, c.State())
	}
	v3 := v2
	v3.Version = "v1.2.0"
	if err := apply(v3, true); err != nil {
		t.Errorf("another version: %v", err)
	}
	for range 3 {
		bootScript(t, d, func(Slot) bool { return true })
	}
	c = cardOf(t, d, A, false, v1)
	if err := apply(v3, false); err != nil {
		t.Errorf("a person asks for it: %v", err)
	}
}

func TestGiveUp(t *testing.T) {
	c, d := newCard(t, 1)
	if back, err := c.GiveUp(); back || err != nil || c.State().Seq != 2 {
		t.Errorf("nothing to give up: %v %v", back, err)
	}
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
		t.Fatal(err)
	}
	if back, err := c.GiveUp(); !back || err != nil || c.State() != (State{Seq: 4, Slot: A, Good: A}) {
		t.Errorf("before the restart: %v %v %+v", back, err, c.State())
	}
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
		t.Fatal(err)
	}
	slot, trial := bootScript(t, d, bootable(t, d))
	c = cardOf(t, d, slot, trial, v2)
	if back, err := c.GiveUp(); !back || err != nil || c.State() != (State{Seq: 7, Slot: A, Good: A, Failed: B}) {
		t.Errorf("on trial: %v %v %+v", back, err, c.State())
	}
	if err := c.Confirm(); err == nil {
		t.Error("confirmed what was given up")
	}
	if slot, _ := bootScript(t, d, bootable(t, d)); slot != A {
		t.Errorf("slot %s boots", slot)
	}
}

func TestRefused(t *testing.T) {
	good := bundle(t, v2, ours)
	with := func(change func(*Release)) []byte {
		r := v2
		change(&r)
		return bundle(t, r, ours)
	}
	flipped := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	manifest := bytes.IndexByte(good[len(magic):], '\n') + len(magic) + 1
	files := bytes.IndexByte(good[manifest:], '\n') + manifest + 1
	for _, c := range []struct {
		name   string
		bundle []byte
		order  Order
		want   string
		writes bool // to the slot that does not run
	}{
		{"empty", nil, trusted, "no update bundle", false},
		{"something else", []byte("<html>"), trusted, "no update bundle", false},
		{"endless line", append([]byte(magic), bytes.Repeat([]byte("a"), 1<<20)...), trusted, "no update bundle", false},
		{"foreign key", bundle(t, v2, foreign), trusted, "not signed by a key", false},
		{"no key", good, Order{}, "not signed by a key", false},
		{"foreign key, by force", bundle(t, v2, foreign), Order{Key: trusted.Key, Force: true}, "not signed by a key", false},
		{"signature changed", append(append([]byte(magic), bytes.Repeat([]byte("A"), 86)...), good[len(magic)+86:]...), trusted, "not signed by a key", false},
		{"manifest flipped", flipped(manifest + 20), trusted, "not signed by a key", false},
		{"cut in the manifest", good[:manifest+20], trusted, "no update bundle", false},
		{"other board", with(func(r *Release) { r.Board = "rpi5" }), Order{Key: trusted.Key, Force: true}, "is for board rpi5, this is a rpi4", false},
		{"the same", bundle(t, v1, ours), trusted, "v1.0.0 runs already: it is taken by force only", false},
		{"older", with(func(r *Release) { r.Version = "v0.9.0" }), trusted, "v0.9.0 is not newer than v1.0.0", false},
		{"no order", with(func(r *Release) { r.Version = "abcdef" }), trusted, "cannot be told", false},
		{"root flipped", flipped(files + 1000), trusted, "the bundle is damaged: root.squashfs", true},
		{"boot flipped", flipped(len(good) - 1), trusted, "the bundle is damaged: boot.img", true},
		{"boot's head flipped", flipped(files + rootSize + 1), trusted, "the bundle is damaged: boot.img", true},
		{"cut in the root", good[:files+rootSize/2], trusted, "it ends in the middle", true},
		{"cut in the boot file", good[:len(good)-1], trusted, "it ends in the middle", true},
		{"too long", append(bytes.Clone(good), 0), trusted, "more than the manifest names", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			card, d := newCard(t, 1)
			_, err := card.Apply(t.Context(), bytes.NewReader(c.bundle), c.order, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if s := card.State(); s != (State{Seq: 2, Slot: A, Good: A}) {
				t.Errorf("the state became %+v", s)
			}
			if version, whole := holds(d, A); version != v1.Version || !whole {
				t.Errorf("the slot that runs holds %q, %v", version, whole)
			}
			if (d.ops > 0) != c.writes {
				t.Errorf("%d writes", d.ops)
			}
			if version, _ := holds(d, B); c.writes && version != "" {
				t.Errorf("the other slot would start %s", version)
			}
		})
	}
}

func TestForced(t *testing.T) {
	for _, r := range []Release{v1, {Version: "v0.9.0", Board: "rpi4", SlotFormat: 1}, {Version: "abcdef", Board: "rpi4", SlotFormat: 1}} {
		c, _ := newCard(t, 1)
		if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, r, ours)), Order{Key: trusted.Key, Force: true}, nil); err != nil || c.State().Slot != B {
			t.Errorf("%s: %v", r.Version, err)
		}
	}
}

func TestNoRoom(t *testing.T) {
	for _, path := range []string{"dev/slot-b", "boot/slot-b/boot.img"} {
		c, d := newCard(t, 1)
		d.put(path, nil, 10<<10)
		if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err == nil || !strings.Contains(err.Error(), "does not fit") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestStopped: an update that is stopped is no update, and one at a time is enough.
func TestStopped(t *testing.T) {
	c, _ := newCard(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Apply(ctx, bytes.NewReader(bundle(t, v2, ours)), trusted, func(p Progress) {
		if p.Done > rootSize/2 {
			cancel()
		}
		if _, err := c.Apply(ctx, bytes.NewReader(nil), trusted, nil); !errors.Is(err, ErrBusy) {
			t.Errorf("a second update meanwhile: %v", err)
		}
		if err := cardOf(t, newDisk(1), A, false, v1).Confirm(); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, context.Canceled) || c.State().Slot != A {
		t.Errorf("%v", err)
	}
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestDiskFaults: a card that refuses writes, or loses them, is noticed.
func TestDiskFaults(t *testing.T) {
	c, d := newCard(t, 1)
	d.fault = errors.New("input/output error")
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Error(err)
	}
	c, d = newCard(t, 1)
	_, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, func(p Progress) {
		if p.Checking {
			d.files["dev/slot-b"].seen[50<<10] ^= 1
		}
	})
	if err == nil || !strings.Contains(err.Error(), "does not keep what is written") || c.State().Slot != A {
		t.Error(err)
	}
}

// TestPowerCuts: the power goes at every write and every flush of an update and of its confirmation. The box boots
// each time, a whole version, and what was acknowledged stays.
func TestPowerCuts(t *testing.T) {
	b := bundle(t, v2, ours)
	count := func() (apply, all int) {
		c, d := newCard(t, 0)
		if _, err := c.Apply(t.Context(), bytes.NewReader(b), trusted, nil); err != nil {
			t.Fatal(err)
		}
		apply = d.ops
		slot, trial := bootScript(t, d, bootable(t, d))
		if err := cardOf(t, d, slot, trial, v2).Confirm(); err != nil {
			t.Fatal(err)
		}
		return apply, d.ops
	}
	const seeds = 10
	apply, all := count()
	booted := make(map[string]int)
	for cut := range all + 1 {
		for seed := range uint64(seeds) {
			c, d := newCard(t, uint64(cut)*10+seed)
			d.left = cut
			_, err := c.Apply(t.Context(), bytes.NewReader(b), trusted, nil)
			acknowledged, confirmed := err == nil, false
			if acknowledged != (cut >= apply) {
				t.Fatalf("cut at %d of %d: %v", cut, apply, err)
			}
			slot, trial := A, false
			if acknowledged {
				// The boot script writes too, and may be cut: it is a machine without power then.
				if c := (&Card{Boot: "boot", Slots: "dev", open: d.open}); true {
					s, _ := c.readState()
					s.Tries--
					if err := c.writeState(s); err == nil {
						confirmed = cardOf(t, d, s.Slot, true, v2).Confirm() == nil
					}
				}
			}
			d.powerUp()
			slot, trial = bootScript(t, d, bootable(t, d))
			version, whole := holds(d, slot)
			if !whole || version == "" {
				t.Fatalf("cut at %d, seed %d: slot %s boots %q, whole %v", cut, seed, slot, version, whole)
			}
			switch {
			case acknowledged && slot != B:
				t.Fatalf("cut at %d, seed %d: an acknowledged update is lost", cut, seed)
			case confirmed && trial:
				t.Fatalf("cut at %d, seed %d: an acknowledged confirmation is lost", cut, seed)
			case !acknowledged && slot == A && trial:
				t.Fatalf("cut at %d, seed %d: the old version on trial", cut, seed)
			}
			booted[version]++
			// And it goes on from there: the same update, or the next.
			next := cardOf(t, d, slot, trial, map[string]Release{v1.Version: v1, v2.Version: v2}[version])
			if err := next.Confirm(); err != nil {
				t.Fatal(err)
			}
			if s := next.State(); s.Slot != slot || s.Good != slot {
				t.Fatalf("cut at %d, seed %d: %+v", cut, seed, s)
			}
			if slot == A {
				if _, err := next.Apply(t.Context(), bytes.NewReader(b), trusted, nil); err != nil {
					t.Fatalf("cut at %d, seed %d: %v", cut, seed, err)
				}
			}
		}
	}
	t.Logf("%d cuts at each of %d writes and flushes; booted: %v", seeds, all, booted)
	if booted[v1.Version] == 0 || booted[v2.Version] == 0 {
		t.Errorf("%v", booted)
	}
}
