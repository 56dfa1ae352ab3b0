package board

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/lab/demo"
	"holdfast/firmware/lab/script"
)

// voice is the VLAN of the phones.
const voice = 42

// tagged is a branch whose phones are in a VLAN.
func (r *rig) tagged() []script.Step {
	return []script.Step{{
		Name: "The phones are in a VLAN", Want: "calls in it; the box's address answers there and nowhere else, the fallback without a tag", Limit: 2 * bootLimit,
		Do: r.inVLAN,
	}}
}

func (r *rig) inVLAN(ctx context.Context, n *script.Notes) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	good, err := os.ReadFile(filepath.Join(r.Dir, "holdfast.toml"))
	if err != nil {
		return fmt.Errorf("boot file: %w", err)
	}
	changed := strings.Replace(string(good), "[network]\n", fmt.Sprintf("[network]\nvlan = %d\n", voice), 1)
	if err := errors.Join(r.card.PutText("holdfast.toml", changed), r.CutCloud()); err != nil {
		return err
	}
	r.vlan = voice
	defer func() { r.vlan = 0 }()
	if err := r.starts(ctx); err != nil {
		return err
	}
	for _, e := range []string{"1003", "1004"} {
		if _, err := r.served(ctx, e); err != nil {
			return err
		}
	}
	if err := demo.Talk(ctx, n, r.Branch, "1003", "1004"); err != nil {
		return err
	}
	stranger, linkLocal := netip.MustParseAddr("10.77.0.250"), netip.MustParseAddr("169.254.7.7")
	for _, q := range []struct {
		id       uint16
		address  netip.Addr
		from     netip.Addr
		answered bool
	}{{voice, Box, stranger, true}, {0, Box, stranger, false}, {voice + 1, Box, stranger, false}, {0, fallback, linkLocal, true}} {
		if got := r.wire.Ask(ctx, q.id, q.address, q.from, 3*time.Second); got != q.answered {
			return fmt.Errorf("%v asked for in VLAN %d (0: no tag) by ARP: answered %t", q.address, q.id, got)
		}
	}
	counts := r.wire.Counts()
	if counts.Member == 0 || counts.Foreign != 0 {
		return fmt.Errorf("frames of the box: %+v", counts)
	}
	n.Saw("%d frames with tag %d, %d without (the fallback address)", counts.Member, voice, counts.Untagged)
	_, err = r.cut()
	return errors.Join(err, r.card.PutText("holdfast.toml", string(good)))
}
