package board

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/card"
	"holdfast/firmware/lab/demo"
	"holdfast/firmware/lab/qemu"
	"holdfast/firmware/lab/script"
)

// obedient is a version that does what it is told on the serial line. The real one has no shell on any console.
var obedient = variant{"obedient", func(root string) error {
	inittab, err := os.ReadFile(filepath.Join(root, "etc/inittab"))
	return errorsOf(err, os.WriteFile(filepath.Join(root, "etc/inittab"), append(inittab, "::respawn:/etc/init.d/lab\n"...), 0o644),
		os.WriteFile(filepath.Join(root, "etc/init.d/lab"), []byte(lab), 0o755))
}}

// lab is its program. The box is the process whose second word is run; the pattern does not match the one that looks for it.
const lab = `#!/bin/sh
PATH=/bin:/sbin
exec </dev/console >/dev/console 2>&1
box() { grep -la 'holdfast.[r]un' /proc/[0-9]*/cmdline 2>/dev/null | sed 's,/proc/,,; s,/.*,,' | head -n 1; }
while read -r order; do
	case $order in
	*kill*)
		old=$(box)
		read -r from _ </proc/uptime
		kill -9 "$old"
		new=$old
		while [ -z "$new" ] || [ "$new" = "$old" ]; do
			usleep 20000
			new=$(box)
		done
		read -r to _ </proc/uptime
		echo "lab: gone at $from, again at $to."
		;;
	*stop*)
		kill -STOP "$(box)"
		echo "lab: the box hangs."
		;;
	esac
done
`

// faults are a program that dies, a box that hangs, a lock-out, noise on the serial line.
func (r *rig) faults() []script.Step {
	return []script.Step{
		{
			Name: "The program is killed in an outage", Want: "init starts it again, phones are served as before", Limit: 2 * bootLimit,
			Do: r.killed,
		},
		{
			Name: "The box hangs", Want: "the watchdog starts the machine anew, phones are served again", Limit: 2 * bootLimit,
			Do: r.hangs,
		},
		{
			Name: "Reset held at power-up, and noise on the serial line", Want: "U-Boot goes on; power fast for 10 s, then last good and the boot file's accounts", Limit: 2 * bootLimit,
			Do: r.reset,
		},
	}
}

// obey puts the obedient version into slot a and starts it in an outage.
func (r *rig) obey(ctx context.Context) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	root, err := r.root(obedient, "")
	if err != nil {
		return err
	}
	boot, err := os.ReadFile(filepath.Join(r.o.Image, "slot", "boot.img"))
	if err != nil {
		return fmt.Errorf("boot file: %w", err)
	}
	if err := errors.Join(r.card.WriteRoot(card.SlotA, root), r.card.PutBootFile("a", boot), r.settle("a"), r.CutCloud()); err != nil {
		return err
	}
	if err := r.starts(ctx); err != nil {
		return err
	}
	_, err = r.served(ctx, "1003")
	return err
}

func (r *rig) killed(ctx context.Context, n *script.Notes) error {
	if err := r.obey(ctx); err != nil {
		return err
	}
	if _, err := r.served(ctx, "1004"); err != nil {
		return err
	}
	console := r.machine.Console()
	began := console.Mark()
	if err := r.machine.Type("kill\n"); err != nil {
		return err
	}
	from, err := console.Wait(ctx, began, "lab: gone at ")
	if err != nil {
		return err
	}
	to, err := console.Wait(ctx, from, ".\r\n")
	if err != nil {
		return err
	}
	var gone, again float64
	if _, err := fmt.Sscanf(strings.TrimSuffix(console.Text(from, to), ".\r\n"), "%f, again at %f", &gone, &again); err != nil {
		return fmt.Errorf("%q: %w", console.Text(from, to), err)
	}
	n.Measure("started again after", again-gone, "s")
	if r.mark, err = console.Wait(ctx, to, "holdfast is up"); err != nil {
		return err
	}
	if _, err := console.Wait(ctx, r.mark-200, "mode=resilience"); err != nil {
		return fmt.Errorf("it does not go on in the outage: %w", err)
	}
	for _, e := range []string{"1003", "1004"} {
		if _, err := r.served(ctx, e); err != nil {
			return err
		}
	}
	return demo.Talk(ctx, n, r.Branch, "1003", "1004")
}

func (r *rig) hangs(ctx context.Context, n *script.Notes) error {
	if r.machine == nil {
		if err := r.obey(ctx); err != nil {
			return err
		}
	}
	console := r.machine.Console()
	r.mark = console.Mark()
	if err := r.machine.Type("stop\n"); err != nil {
		return err
	}
	var err error
	if r.mark, err = console.Wait(ctx, r.mark, "lab: the box hangs."); err != nil {
		return err
	}
	hung := time.Now()
	if r.mark, err = console.Wait(ctx, r.mark, "U-Boot 20"); err != nil {
		return fmt.Errorf("the watchdog does not reset the machine: %w", err)
	}
	n.Seconds("reset after", time.Since(hung))
	if err := r.up(ctx); err != nil {
		return err
	}
	return r.until(ctx, func(context.Context) error {
		where, since := r.Person("1003").Phone.Place()
		if where != branch.BoxPlace || since.Before(hung) {
			return fmt.Errorf("phone 1003 is at %q since %v", where, since)
		}
		n.Seconds("a phone is served again after", since.Sub(hung))
		return nil
	})
}

func (r *rig) reset(ctx context.Context, n *script.Notes) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	if err := errors.Join(r.MendCloud(), r.on(), r.machine.Set(qemu.ButtonReset, true)); err != nil {
		return err
	}
	console := r.machine.Console()
	for at := 0; ; { // until U-Boot has handed over
		if err := r.machine.Type("noise\r\n"); err != nil {
			return err
		}
		soon, stop := context.WithTimeout(ctx, 50*time.Millisecond)
		_, err := console.Wait(soon, at, "Starting kernel")
		stop()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return err
		}
	}
	n.Saw("U-Boot does not listen")
	if err := r.up(ctx); err != nil {
		return err
	}
	if err := r.lights(ctx, n, want{qemu.LEDPower, "fast"}); err != nil {
		return err
	}
	var err error
	if r.mark, err = console.Wait(ctx, r.mark, "reset button was held"); err != nil {
		return err
	}
	if err := r.machine.Set(qemu.ButtonReset, false); err != nil {
		return err
	}
	if err := r.up(ctx); err != nil {
		return err
	}
	return r.until(ctx, func(ctx context.Context) error {
		code, text, err := r.ask(ctx, http.MethodGet, "/status", nil)
		if err == nil && code != http.StatusUnauthorized {
			err = errors.New("an account from before is still good: " + strconv.Itoa(code) + " " + text)
		}
		return err
	})
}
