package elin

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// image is a Table in the snapshot. Ages, not times of day: what passes between Export and Restore does not count, and a
// clock that is set meanwhile does no harm. So a pin may live longer than its window, by the age of the snapshot, and
// never shorter.
type image struct {
	Version int        `json:"version"`
	Pins    []imagePin `json:"pins"`
	Desk    millis     `json:"desk_for_ms,omitempty"` // calls without a pin may still be called back
}

// millis is a time span in milliseconds.
type millis int64

type imagePin struct {
	Trunk   string   `json:"trunk"`
	ELIN    string   `json:"elin"`
	Main    bool     `json:"main,omitempty"`
	Caller  Caller   `json:"caller"`
	Age     millis   `json:"age_ms"` // of the last call's beginning
	Running []string `json:"running,omitempty"`
	Ended   millis   `json:"ended_ms,omitempty"` // ago
}

// age rounds down: a pin must not be older than it is.
func age(d time.Duration) millis { return millis(max(0, d) / time.Millisecond) }

func (m millis) duration() time.Duration {
	return time.Duration(min(max(m, 0), math.MaxInt32)) * time.Millisecond
}

const imageVersion = 1

// Export writes what lives as JSON, in an order of its own: the same table at the same time gives the same bytes. It
// holds personal data and belongs in RAM only. Export anew after Pin and Ended, and once a minute while there are pins:
// that keeps the ages true.
func (t *Table) Export(now time.Time) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	img := image{Version: imageVersion, Pins: []imagePin{}, Desk: age(t.deskUntil.Sub(now) + time.Millisecond - 1)}
	var list []*pin
	for _, p := range t.pins {
		if p.live(now) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(p, q *pin) int { return p.compare(q.key) })
	for _, p := range list {
		img.Pins = append(img.Pins, imagePin{Trunk: p.trunk, ELIN: p.number, Main: p.main, Caller: p.caller,
			Age: age(now.Sub(p.began)), Running: slices.Sorted(slices.Values(p.running)), Ended: p.endedAgo(now)})
	}
	data, _ := json.Marshal(img) // strings, numbers and truth values: there is nothing to fail
	return data
}

func (p *pin) endedAgo(now time.Time) millis {
	if len(p.running) > 0 {
		return 0
	}
	return age(now.Sub(p.ended))
}

// Restore takes in what Export wrote; what is in the table already stays as it is. Calls that were running are running
// until Ended or Reconcile says otherwise. What is wrong with the data comes as an error; what is good of it is kept all
// the same.
func (t *Table) Restore(now time.Time, data []byte) error {
	var img image
	if err := json.Unmarshal(data, &img); err != nil {
		return fmt.Errorf("pins of the snapshot: %w", err)
	}
	if img.Version != imageVersion {
		return fmt.Errorf("pins of the snapshot: version %d is not known", img.Version)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if left := min(img.Desk.duration(), Window); left > 0 && t.deskUntil.Before(now.Add(left)) {
		t.deskUntil = now.Add(left)
	}
	var errs []error
	for i, p := range img.Pins {
		if err := t.restore(now, p); err != nil && len(errs) < 10 {
			errs = append(errs, fmt.Errorf("pin %d of the snapshot: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

func (t *Table) restore(now time.Time, img imagePin) error {
	if img.ELIN == "" {
		return errors.New("no number")
	}
	if len(img.Running) > maxRunning || len(img.ELIN)+len(img.Trunk) > maxIdentity {
		return errors.New("too long")
	}
	c := img.Caller.bounded()
	k := key{img.Trunk, img.ELIN, c.who()}
	if old := t.pins[k]; old != nil {
		if old.live(now) {
			return nil
		}
		t.remove(old)
	}
	if len(img.Running) == 0 && img.Ended.duration() >= Window {
		return nil
	}
	p := t.insert(now, k, c)
	if p == nil {
		t.withoutPin(now)
		return errors.New("the table is full")
	}
	p.caller, p.main = c, img.Main
	p.began, p.ended = now.Add(-img.Age.duration()), now.Add(-img.Ended.duration())
	for _, id := range img.Running {
		if id != "" && len(id) <= maxIdentity && !slices.Contains(p.running, id) {
			p.running = append(p.running, id)
			t.calls[id] = append(t.calls[id], p)
		}
	}
	return nil
}
