package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"holdfast/firmware/mode"
)

// incident is one outage or drill while it is collected, and until its report is safe.
type incident struct {
	id     string
	events []event
	seen   map[string]int // phones by user: only what is new is an event
	bytes  int            // of the events as JSON
	lost   int            // events that found no room

	file    *os.File // of the journal; nil: to be opened
	written int      // events that are in it
	synced  time.Time
	dirty   bool
}

// idFormat of incidents: the time of their beginning, in UTC. It is a file name too.
const idFormat = "20060102T150405.000Z"

const journalSuffix = ".journal"

func newIncident(at time.Time) *incident {
	return &incident{id: at.UTC().Format(idFormat), seen: make(map[string]int)}
}

// resumed is an incident as its journal has it.
func resumed(id string, events []event) *incident {
	i := newIncident(time.Time{})
	i.id, i.events, i.written = id, events, len(events)
	for _, e := range events {
		if e.Phone != nil {
			i.seen[e.Phone.User] = max(i.seen[e.Phone.User], e.Phone.Phones)
		}
		text, _ := json.Marshal(e) // it was read as JSON
		i.bytes += len(text)
	}
	return i
}

// add takes an event; what says how the incident went always finds room.
func (i *incident) add(e event) {
	if p := e.Phone; p != nil {
		if i.seen[p.User] >= p.Phones {
			return
		}
		i.seen[p.User] = p.Phones
	}
	text, err := json.Marshal(e)
	if err != nil || e.Change == nil && !e.Close && !e.Restart && (len(i.events) >= mostEvents || i.bytes+len(text) > mostBytes) {
		i.lost++
		return
	}
	i.bytes += len(text)
	i.events = append(i.events, e)
}

// over tells whether the incident has ended.
func (i *incident) over() bool {
	for n := len(i.events) - 1; n >= 0; n-- {
		if e := i.events[n]; e.Close || e.Change != nil {
			return e.Close || e.Change.To == mode.Normal
		}
	}
	return false
}

// write brings the journal up to n events, and to the card when that matters: changes at once, the rest within a second.
func (i *incident) write(dir string, events []event, now time.Time) error {
	if i.file == nil {
		if err := i.open(dir); err != nil {
			return err
		}
	}
	urgent := false
	for ; i.written < len(events); i.written++ {
		e := events[i.written]
		text, err := json.Marshal(e)
		if err != nil {
			continue // it was counted when it came
		}
		if _, err := i.file.Write(append(text, '\n')); err != nil {
			i.close()
			return fmt.Errorf("journal: %w", err)
		}
		urgent = urgent || e.Call == nil && e.Phone == nil
		i.dirty = true
	}
	if i.dirty && (urgent || now.Sub(i.synced) >= time.Second) {
		if err := i.file.Sync(); err != nil {
			i.close()
			return fmt.Errorf("journal: %w", err)
		}
		i.synced, i.dirty = now, false
	}
	return nil
}

// open goes on with the journal; what a crash has torn at its end is ended.
func (i *incident) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, i.id+journalSuffix), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if size, err := f.Seek(0, 2); err == nil && size > 0 {
		_, err = f.Write([]byte{'\n'})
		if err != nil {
			f.Close()
			return fmt.Errorf("journal: %w", err)
		}
	}
	i.file = f
	return nil
}

func (i *incident) close() {
	if i.file != nil {
		i.file.Close()
		i.file = nil
	}
}
