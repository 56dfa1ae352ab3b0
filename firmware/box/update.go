package box

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/mode"
	"holdfast/firmware/panel"
	"holdfast/firmware/update"
)

// updates is the box's software: what is on trial is confirmed once the gates have held, and a new version is started when
// nobody needs the box.
type updates struct {
	log     *slog.Logger
	keeper  update.Keeper        // nil: the box does not run from an image
	held    func() time.Duration // how long both gates have held
	needs   func() needs
	changed func()
	restart func(bool) // the board is about to restart, or it is not after all

	mu      sync.Mutex
	status  update.Status
	fault   error // the updater does not answer
	writing bool
	now     bool // do not wait for calls
	asked   bool // the board has been told to restart
}

const (
	provenAfter = time.Minute     // that both gates have held
	settleEvery = 5 * time.Second // look whether there is something to confirm, or to restart for
	askedWithin = 30 * time.Second
)

// needs is what a restart would cost people.
type needs struct {
	emergencies, calls, pins int
	mode                     mode.Mode
}

// wait is for what a restart waits. Emergency calls are waited for always, all else unless a person has said that it does
// not matter.
func (n needs) wait(now bool) (out []string) {
	count := func(n int, one, many string) {
		switch {
		case n == 1:
			out = append(out, "1 "+one)
		case n > 1:
			out = append(out, fmt.Sprintf("%d %s", n, many))
		}
	}
	count(n.emergencies, "emergency call", "emergency calls")
	if now {
		return out
	}
	count(n.calls, "call", "calls")
	count(n.pins, "number that a PSAP may call back", "numbers that a PSAP may call back")
	if end := [...]string{mode.Resilience: "the end of the outage", mode.Drill: "the end of the drill", mode.Recovering: "the phones' way home"}[n.mode]; end != "" {
		out = append(out, end)
	}
	return out
}

// needs is who would miss the box now.
func (b *Box) needs() needs {
	n := needs{emergencies: len(b.journal.Open()), mode: b.modes.state().Mode}
	n.calls = max(0, b.calls.Count()-n.emergencies)
	for _, p := range b.Pins() {
		if !p.Running {
			n.pins++
		}
	}
	return n
}

// buildUpdates finds the updater where there is one.
func (b *Box) buildUpdates() {
	b.updates = &updates{log: b.log, needs: b.needs, changed: b.front.news, restart: b.restarting.Store,
		held: func() time.Duration { return min(b.vital.Held(), b.card.Held()) }}
	if _, err := os.Stat(releaseFile); err == nil {
		b.updates.keeper = update.NewClient(update.SocketPath)
	}
}

// run confirms and restarts until ctx ends.
func (u *updates) run(ctx context.Context) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		if u.keeper != nil {
			u.settle(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// settle does what is due.
func (u *updates) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askedWithin)
	defer cancel()
	s, err := u.keeper.Status(ctx)
	u.mu.Lock()
	if err == nil {
		u.status = s
	}
	u.fault = err
	idle, now := !u.writing && !s.Writing && !u.asked, u.now
	u.mu.Unlock()
	switch {
	case err != nil || !idle:
	case s.Switched:
		if len(u.needs().wait(now)) == 0 {
			u.log.Warn("the board restarts", "from", s.Running.String(), "to", s.State.Slot.String())
			u.reboot(ctx)
		}
	case s.Trial && s.State.Good != s.Running && u.held() >= provenAfter:
		if err := u.keeper.Confirm(ctx); err != nil {
			u.log.Error("this version is not confirmed", "version", s.Version, "err", err)
			return
		}
		u.log.Warn("this version has proven itself", "version", s.Version, "slot", s.Running.String())
	}
}

// reboot restarts the board; the watchdog is left running meanwhile: it ends a restart that hangs.
func (u *updates) reboot(ctx context.Context) error {
	u.restart(true)
	if err := u.keeper.Reboot(ctx); err != nil {
		u.restart(false)
		u.log.Error("the board does not restart", "err", err)
		return err
	}
	u.mu.Lock()
	u.asked = true
	u.mu.Unlock()
	return nil
}

// apply writes a bundle and arms the restart.
func (u *updates) apply(ctx context.Context, bundle io.Reader, o control.UpdateOrder) (string, error) {
	if u.keeper == nil {
		return "", update.ErrNoImage
	}
	u.mu.Lock()
	busy := u.writing
	u.writing = true
	u.mu.Unlock()
	if busy {
		return "", update.ErrBusy
	}
	u.changed()
	release, err := u.keeper.Apply(ctx, bundle, o.Force)
	u.mu.Lock()
	u.writing, u.now = false, err == nil && o.Now
	u.mu.Unlock()
	u.changed()
	if err != nil {
		u.log.Error("update", "err", err)
		return "", err
	}
	u.log.Warn("an update is written", "version", release.Version, "now", o.Now)
	msg := fmt.Sprintf("Version %s is written and checked.", release.Version)
	if waits := u.needs().wait(o.Now); len(waits) > 0 {
		return msg + " The box restarts after " + list(waits) + ".", nil
	}
	return msg + " The box restarts now; it takes the old version again if the new one does not prove itself.", nil
}

// Update writes a bundle and arms the restart.
func (b *Box) Update(ctx context.Context, bundle io.Reader, o control.UpdateOrder) (string, error) {
	return b.updates.apply(ctx, bundle, o)
}

// list is a list for people.
func list(words []string) string {
	out := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			out += " and "
		default:
			out += ", "
		}
		out += w
	}
	return out
}

// shown is the software as people see it.
func (u *updates) shown() control.Update {
	if u.keeper == nil {
		return control.Update{State: "none"}
	}
	u.mu.Lock()
	s, writing, now := u.status, u.writing, u.now
	u.mu.Unlock()
	out := control.Update{Slot: s.Running.String(), State: "confirmed", Health: slotHealth(s.Slots)}
	if s.State.Failed != 0 {
		out.Failed = s.State.Failed.String()
	}
	switch {
	case writing || s.Writing:
		out.State = "writing"
	case s.Switched:
		out.State, out.Next, out.Waits = "waiting", s.State.Slot.String(), u.needs().wait(now)
	case s.Trial && s.State.Good != s.Running:
		out.State = "trial"
	}
	return out
}

// panelUpdate is the same for the panel.
func (b *Box) panelUpdate() panel.Update {
	return map[string]panel.Update{"writing": panel.Writing, "waiting": panel.Waiting, "trial": panel.Trial}[b.updates.shown().State]
}

// alarms are what is wrong with the software's keeping.
func (u *updates) alarms() (out []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fault != nil {
		out = append(out, "the box cannot be updated, and what is on trial cannot be confirmed: "+u.fault.Error())
	}
	if why := u.status.Stick; why != "" {
		out = append(out, "the update on the USB stick is not taken: "+why)
	}
	if s := u.status; u.fault == nil && !s.Switched && s.State.Slot != 0 && s.State.Slot != s.Running {
		out = append(out, fmt.Sprintf("slot %s was to start and could not: it is damaged, or the card cannot be written; slot %s runs instead. An update puts it right, or a new card", s.State.Slot, s.Running))
	}
	if u.fault == nil {
		out = append(out, wornOut(u.status)...)
	}
	if f := u.status.State.Failed; f != 0 {
		out = append(out, fmt.Sprintf("the last update (slot %s) did not prove itself; the version before it runs", f))
	}
	return out
}
