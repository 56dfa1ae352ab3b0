// Package board is the story of the real image on an emulated board: it starts from its card through U-Boot, phones outside register
// and call through it, its lights and buttons work, versions that do not work are left again, and the power goes at bad moments.
//
// The machine is package qemu's, its disk nbd's, its card card's; branch and demo are the world around it.
package board

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/card"
	"holdfast/firmware/lab/nbd"
	"holdfast/firmware/lab/qemu"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/vlan"
)

// Options of a run.
type Options struct {
	Image string   // folder that make image has filled
	Dir   string   // for everything that is made
	Cuts  int      // power cuts
	Seed  uint64   // of what is random
	Parts []string // of the story, in this order; see Lanes
}

// rig is the board on the bench, and the world around it.
type rig struct {
	*branch.Branch
	o       Options
	random  *rand.Rand
	card    *card.Card
	disk    *nbd.Disk // nil: the machine is off
	machine *qemu.Machine
	mark    int           // place on the console where this start began
	first   time.Duration // from power to the first accepted REGISTER
	boots   int
	dialled int // numbers that nobody has
	looks   int // at the card's data

	updatesCut int // power cuts during updates

	vlan uint16       // of the next start's wire; 0: none
	wire *vlan.Switch // nil: the machine is on the tap itself

	versions int                // of bundles that were made
	signer   ed25519.PrivateKey // of bundles
	token    string             // for the box's API
	alerts   *alerts
}

// bootLimit is far more than a start takes here: software emulation on a loaded machine.
const bootLimit = 5 * time.Minute

// more is what the boot file has beyond that of a box on loopback.
func more(signer ed25519.PublicKey, alerts string) string {
	return fmt.Sprintf("\n[network]\naddress = %q\n\n[update]\npublic_key = %q\n\n[webhook]\nurl = %q\nsecret_file = %q\nroots = \"roots.crt\"\n",
		Box.String()+prefix, base64.StdEncoding.EncodeToString(signer), alerts, secretFile)
}

func newRig(o Options) (*rig, error) {
	if err := lan(); err != nil {
		return nil, err
	}
	r := &rig{o: o, random: rand.New(rand.NewPCG(o.Seed, 0))}
	public, secret, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	r.signer = secret
	var l net.Listener
	if r.alerts, l, err = newAlerts(); err != nil {
		return nil, err
	}
	if r.Branch, err = branch.Around(o.Dir, ground, more(public, r.alerts.url)); err != nil {
		l.Close()
		return nil, err
	}
	mine, err := r.Certificate("alerts.example", netip.MustParseAddr(host))
	if err == nil {
		r.alerts.serve(l, mine)
		err = writeSecret(o.Dir)
	}
	if err != nil {
		l.Close()
		r.close()
		return nil, err
	}
	if r.card, err = card.Copy(filepath.Join(o.Image, "card.img"), filepath.Join(o.Dir, "card.img")); err != nil {
		r.close()
		return nil, err
	}
	files := []string{filepath.Join(o.Dir, secretFile)}
	for _, f := range r.Files() {
		files = append(files, filepath.Join(o.Dir, f))
	}
	accounts := filepath.Join(o.Dir, "accounts.json")
	if r.token, err = account.Open(accounts, nil).AddToken("lab", account.All, time.Hour); err != nil {
		r.close()
		return nil, err
	}
	if err := errors.Join(r.card.Put(files...), r.card.PutText("log-to-console", ""), r.card.Keep(accounts)); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// on switches the power on.
func (r *rig) on() (err error) {
	if r.disk, err = nbd.Open(r.card.File); err != nil {
		return err
	}
	cfg := qemu.Config{Dir: r.o.Dir, UBoot: filepath.Join(r.o.Image, "u-boot.bin"), Disk: r.disk, MAC: boxMAC, Netdev: "tap,id=lan,ifname=" + tap + ",script=no,downscript=no"}
	if r.vlan != 0 {
		if r.wire, err = vlan.Open(tap, r.o.Dir, r.vlan); err == nil {
			cfg.Netdev = r.wire.Netdev()
		}
	}
	if err == nil {
		r.machine, err = qemu.Start(cfg)
	}
	if err != nil {
		err = errors.Join(err, r.unplug(), r.disk.Close())
		r.disk = nil
		return err
	}
	r.mark, r.boots = 0, r.boots+1
	return nil
}

// unplug takes the switch out of the wire.
func (r *rig) unplug() error {
	if r.wire == nil {
		return nil
	}
	err := r.wire.Close()
	r.wire = nil
	return err
}

// cut takes the power away, and with it what the card had not made permanent.
func (r *rig) cut() (nbd.Loss, error) {
	if r.machine == nil {
		return nbd.Loss{}, nil
	}
	loss, err := r.disk.Cut(r.random)
	r.machine.PowerOff()
	err = errors.Join(err, r.unplug(), r.disk.Close())
	r.machine, r.disk = nil, nil
	return loss, err
}

// starts switches the power on and waits until the box says that it is up.
func (r *rig) starts(ctx context.Context) error {
	if err := r.on(); err != nil {
		return err
	}
	return r.up(ctx)
}

// up waits until the box says so, and goes on behind it.
func (r *rig) up(ctx context.Context) (err error) {
	r.mark, err = r.machine.Console().Wait(ctx, r.mark, "holdfast is up")
	return err
}

// settle makes a slot the one that starts; the machine is off.
func (r *rig) settle(slot string) error {
	return r.card.SetState(card.State{Slot: slot, Good: slot, Failed: "0"})
}

// served waits until a phone is registered at the box.
func (r *rig) served(ctx context.Context, extension string) (time.Time, error) {
	return r.Person(extension).Phone.WaitAt(ctx, branch.BoxPlace)
}

func (r *rig) close() {
	r.cut()
	r.alerts.server.Close()
	if r.Branch != nil {
		r.Branch.Close()
	}
}

// parts are the names of the story's parts.
var parts = map[string]func(*rig) []script.Step{"life": (*rig).life, "mistakes": (*rig).mistakes, "slots": (*rig).slots, "updates": (*rig).updates,
	"cuts": (*rig).cuts, "faults": (*rig).faults, "worn": (*rig).worn, "vlan": (*rig).tagged}

// Lanes are the whole story as parts that need nothing of each other: each lane may have a machine and a network of its own. The first
// lane's first step measures a start, which should not be disturbed.
func Lanes() [][]string {
	return [][]string{{"life", "mistakes", "vlan", "faults"}, {"updates", "worn"}, {"slots", "cuts"}}
}

// Run tells a story of some parts. The first figure is the time from power to the first accepted REGISTER, 0 when there was none.
func Run(ctx context.Context, o Options, w script.Watcher) (verdicts []script.Verdict, first time.Duration, err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, 0, fmt.Errorf("board: %w", err)
	}
	r, err := newRig(o)
	if err != nil {
		return nil, 0, err
	}
	defer r.close()
	var all []script.Step
	for _, name := range o.Parts {
		part, ok := parts[name]
		if !ok {
			return nil, 0, fmt.Errorf("board: the story has no part %q", name)
		}
		all = append(all, part(r)...)
	}
	for i := range all {
		if all[i].Limit == 0 {
			all[i].Limit = bootLimit
		}
	}
	verdicts = script.Run(ctx, all, w)
	return verdicts, r.first, nil
}
