package box

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/sip/b2bua"
	"holdfast/sip/elin"
)

// pins are the table of ELINs and its copy in RAM, a file of its own: the image of a full table is larger than what the
// snapshot takes as one value, and half of one is worth nothing.
type pins struct {
	table *elin.Table
	path  string
	log   *slog.Logger

	mu           sync.Mutex
	free         sync.Cond // of mu: a save is over
	busy         bool      // one at a time, so that none overtakes a newer one
	asked, saved uint64    // the changes so far, and those that are in the copy
}

// openPins brings back the pins of the program's last life. What is wrong with them costs no call.
func openPins(dir string, log *slog.Logger) *pins {
	p := &pins{table: elin.New(elin.Options{}), path: filepath.Join(dir, "pins"), log: log}
	p.free.L = &p.mu
	data, err := os.ReadFile(p.path)
	if err == nil {
		err = p.table.Restore(time.Now(), data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Error("some pins of emergency callers are lost", "err", err)
	}
	return p
}

// save writes the copy; when it returns a kill of the program loses no pin of before it. Those who come while one is being
// written share the next: fifty calls at once wait for two copies, not for fifty.
func (p *pins) save() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	for mine := p.asked; p.saved < mine; {
		if p.busy {
			p.free.Wait()
			continue
		}
		p.busy = true
		all := p.asked
		p.mu.Unlock()
		p.write()
		p.mu.Lock()
		p.busy, p.saved = false, all
		p.free.Broadcast()
	}
}

// write leaves the old copy or the new, whenever the program is killed.
func (p *pins) write() {
	temporary := p.path + ".new"
	err := os.WriteFile(temporary, p.table.Export(time.Now()), 0o600)
	if err == nil {
		err = os.Rename(temporary, p.path)
	}
	if err != nil {
		p.log.Error("a crash would lose pins of emergency callers", "err", err)
	}
}

// list is for people.
func (p *pins) list() []control.Pin {
	out := []control.Pin{}
	for _, x := range p.table.Pins(time.Now()) {
		caller := x.Caller.Display
		switch {
		case caller == "" && x.Caller.Number == "":
			if caller = "unknown phone at " + x.Caller.Source; x.Caller.Binding != "" {
				caller += ", which says it is " + x.Caller.Binding
			}
		case caller == "":
			caller = x.Caller.Number
		case x.Caller.Number != "":
			caller += ", " + x.Caller.Number
		}
		out = append(out, control.Pin{Trunk: x.Trunk, ELIN: x.ELIN, Main: x.Main, Caller: caller, Place: x.Caller.Place, Test: x.Caller.Test,
			Began: x.Began, Running: x.Running, Expires: x.Expires})
	}
	return out
}

// emergencyStep puts what an emergency call does into its record, before the call goes on.
func (b *Box) emergencyStep(e b2bua.EmergencyEvent) {
	if e.Call == "" {
		b.log.Error("a callback to a number that nobody is pinned to", "number", e.ELIN, "alarm", e.Text)
		b.unclaimed.Store(&e)
		return
	}
	var err error
	if e.Facts != nil {
		err = b.journal.Begin(emergencyFacts(e))
	} else {
		err = b.journal.Add(e.Call, emergency.Step{At: e.At, Kind: emergency.Kind(e.Kind), Trunk: e.Trunk, ELIN: e.ELIN, Address: e.Address,
			Status: e.Status, Who: e.Who, How: e.How, Text: e.Text})
	}
	if err != nil {
		b.log.Error("a step of an emergency call", "call", e.Call, "step", string(e.Kind), "err", err)
	}
}

func emergencyFacts(e b2bua.EmergencyEvent) emergency.Facts {
	f := emergency.Facts{ID: e.Call, At: e.At, Dialled: e.Facts.Dialled, Number: e.Facts.Number, Test: e.Facts.Test,
		Caller: emergency.Caller{Device: e.Facts.Device, Source: e.Facts.Source, Phone: emergency.Phone{Instance: e.Facts.Instance, Contact: e.Facts.Binding}}}
	if u := e.Facts.User; u != nil {
		f.Caller.User, f.Caller.Name, f.Caller.Number = u.ID, u.Name, u.Extension
	}
	if z := e.Facts.Place.Zone; z != nil {
		f.Place = z.Name
	}
	civic, whole := e.Facts.Place.Civic("")
	if f.Caller.Display = civic.Room; f.Caller.Display != "" {
		f.Caller.Display = "Room " + f.Caller.Display
	}
	if whole {
		f.Address = civic.String()
	}
	return f
}
