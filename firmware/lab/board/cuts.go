package board

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/lab/nbd"
	"holdfast/firmware/lab/phone"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
	"holdfast/firmware/record"
)

// cuts are losses of power, in turns while the box writes an update, call records and a site document.
func (r *rig) cuts() []script.Step {
	var out []script.Step
	for i := range r.o.Cuts {
		s := [...]script.Step{
			{Name: "during an update", Want: "it starts again: the new version if that was acknowledged, else either", Do: r.cutDuringUpdate},
			{Name: "during call records", Want: "it starts again, with every record that was on the card, and alerts that were sent but not taken come again", Do: r.cutDuringCalls},
			{Name: "after a new site document", Want: "it starts again, with the document that was in force", Do: r.cutDuringDocument},
		}[i%3]
		s.Name, s.Limit = fmt.Sprintf("Power cut %d of %d, %s", i+1, r.o.Cuts, s.Name), 2*bootLimit
		out = append(out, s)
	}
	return out
}

// updateWrites is about how many writes the disk sees in an update; a cut that is due later comes when it is over.
const updateWrites = 260

// cutDuringUpdate takes the power away with a random write of an update.
func (r *rig) cutDuringUpdate(ctx context.Context, n *script.Notes) error {
	bundle, err := r.bundle(proper)
	if err != nil {
		return err
	}
	runs, free, err := r.ready(ctx)
	if err != nil {
		return err
	}
	where, lost := r.cutOfUpdate(free)
	answer := make(chan error, 1)
	upload, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { answer <- r.put(upload, bundle) }()
	acknowledged := false
	select {
	case loss := <-lost:
		n.Saw("%s: %v", where, loss)
	case err := <-answer:
		if err != nil {
			return err
		}
		acknowledged = true
		n.Saw("written and acknowledged")
	}
	if _, err := r.cut(); err != nil {
		return err
	}
	state, _, err := r.card.State()
	if err != nil {
		return err
	}
	if err := r.starts(ctx); err != nil {
		return err
	}
	trial := r.machine.Console().Count(0, "holdfast: slot "+free+" holdfast.trial=1")
	switch {
	case acknowledged && trial != 1:
		return fmt.Errorf("an acknowledged update is lost: slot %s was tried %d times; the state was %+v", free, trial, state)
	case state.Slot == runs && trial != 0:
		return fmt.Errorf("slot %s was tried although the state named slot %s", free, runs)
	}
	n.Saw("state: slot %s, %d tries left; it started", state.Slot, state.Tries)
	return nil
}

// cutOfUpdate arms a cut: in turns with any write of an update, and round the switch, which is the write that matters most.
func (r *rig) cutOfUpdate(free string) (where string, lost <-chan nbd.Loss) {
	r.updatesCut++
	if (uint64(r.updatesCut)+r.o.Seed)%2 == 0 {
		due := 1 + r.random.IntN(updateWrites)
		return fmt.Sprintf("write %d", due), r.disk.CutAfter(due, r.random)
	}
	due := 1 + r.random.IntN(2)
	return fmt.Sprintf("write %d from the switch", due), r.disk.CutAt("slot="+free+"\x00tries=2\x00", due, r.random)
}

// onCard is the longest time that a record may take to its flush here. A record that takes longer does not count as
// acknowledged; that none did is a failure.
const onCard = 20 * time.Second

// cutDuringCalls makes calls, takes the power away at a random moment after some of their records have been flushed, and looks for
// these on the card. Each call goes to a number of its own that nobody has, so that its record can be told from others.
func (r *rig) cutDuringCalls(ctx context.Context, n *script.Notes) error {
	if _, _, err := r.ready(ctx); err != nil {
		return err
	}
	if err := r.outage(ctx); err != nil {
		return err
	}
	if _, err := r.served(ctx, "1005"); err != nil {
		return err
	}
	keys, err := r.help(ctx)
	if err != nil {
		return err
	}
	caller := r.Person("1003").Phone
	var acknowledged []string
	for range 1 + r.random.IntN(5) {
		number := r.nextNumber()
		watch := r.disk.Watch(number)
		if err := r.refused(ctx, n, number); err != nil {
			return err
		}
		if settled(ctx, watch, time.Now().Add(onCard)) {
			acknowledged = append(acknowledged, number)
		} else {
			n.Saw("the record of %s was not flushed in time", number)
		}
	}
	if len(acknowledged) == 0 {
		return errors.New("no record reached the card")
	}
	// The power goes with one of the next writes. The calls that cause them are cut off too.
	lost := r.disk.CutAfter(1+r.random.IntN(6), r.random)
	for powered := true; powered; {
		last, err := caller.Dial(r.nextNumber(), ua.DialOptions{})
		if errors.Is(err, phone.ErrNotRegistered) {
			_, err = r.served(ctx, "1003")
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		select {
		case loss := <-lost:
			n.Saw("%v", loss)
			powered = false
		case <-last.Ended():
			pause(ctx, time.Duration(r.random.IntN(50))*time.Millisecond)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if _, err := r.cut(); err != nil {
		return err
	}
	kept, err := r.records()
	if err != nil {
		return err
	}
	for _, number := range acknowledged {
		if !kept[number] {
			return fmt.Errorf("the record of %s was on the card and is lost (%d others are there)", number, len(kept))
		}
	}
	n.Saw("all %d records that were acknowledged are there", len(acknowledged))
	if err := r.starts(ctx); err != nil {
		return err
	}
	return r.again(ctx, n, keys)
}

// settled waits for a text on the card.
func settled(ctx context.Context, w *nbd.Watch, until time.Time) bool {
	for !w.Settled() {
		if ctx.Err() != nil || time.Now().After(until) {
			return false
		}
		pause(ctx, 50*time.Millisecond)
	}
	return true
}

// nextNumber is a number outside that nobody has and nobody has dialled yet, as a user dials it.
func (r *rig) nextNumber() string {
	r.dialled++
	return fmt.Sprintf("9121755%05d", 61000+r.dialled)
}

// refused makes a call that the SBC does not know a subscriber for. A phone that loses its connection before there is any answer, as
// one on a loaded machine may that takes a slow box for a silent one, registers and calls again.
func (r *rig) refused(ctx context.Context, n *script.Notes, number string) error {
	for {
		if _, err := r.served(ctx, "1003"); err != nil {
			return err
		}
		c, err := r.Person("1003").Phone.Dial(number, ua.DialOptions{})
		if errors.Is(err, phone.ErrNotRegistered) {
			continue
		}
		if err != nil {
			return err
		}
		select {
		case <-c.Ended():
		case <-c.Answered():
			return fmt.Errorf("%s answered", number)
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case c.Status() >= 300:
			return nil
		case c.Status() != 0:
			return fmt.Errorf("%s ended with %d", number, c.Status())
		}
		n.Saw("%s had to be dialled again (%s)", number, c.EndedBy())
		pause(ctx, time.Second)
	}
}

// records are the dialled numbers of the call records on the card. Lines that a cut has torn do not count.
func (r *rig) records() (map[string]bool, error) {
	r.looks++
	dir := filepath.Join(r.o.Dir, fmt.Sprintf("kept-%d", r.looks))
	if err := r.card.Kept(dir); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "records", "call*.jsonl"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no call records in %s (%v)", dir, err)
	}
	out := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("records: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			var c record.Call
			if json.Unmarshal([]byte(line), &c) == nil {
				out[c.Dialled] = true
			}
		}
	}
	return out, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
