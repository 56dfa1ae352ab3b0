package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/firmware/admin/quality"
	"holdfast/firmware/control"
	"holdfast/firmware/record"
)

// How often calls are looked at, for how long a plot reaches back, and how many ended calls are remembered.
const (
	sampleEvery = 5 * time.Second
	samplesKept = 60
	endedKept   = 200
)

// Point is how one direction of a call was in the last moments.
type Point struct {
	At       time.Time `json:"at"`
	Loss     float64   `json:"loss"` // fraction, 0 to 1
	JitterMS float64   `json:"jitter_ms"`
	MOS      float64   `json:"mos"` // estimated (package quality); 0: nothing was heard
}

// Direction is what one party of a call says and the other hears.
type Direction struct {
	From   string  `json:"from"` // caller or callee
	Points []Point `json:"points"`
}

// Last is the newest point; the zero Point if there is none.
func (d Direction) Last() Point {
	if len(d.Points) == 0 {
		return Point{}
	}
	return d.Points[len(d.Points)-1]
}

// history samples the calls' quality and remembers ended calls.
type history struct {
	mu     sync.Mutex
	tracks map[string]*track
	ended  []record.Call // newest last
	turn   uint64
}

type track struct {
	last       []Stream
	directions [2]Direction
	turn       uint64
}

func newHistory() *history { return &history{tracks: make(map[string]*track)} }

// sample looks at the calls until ctx ends.
func (s *Server) sample(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		codecs := make(map[string]string)
		for _, c := range s.o.Box.Status().Calls {
			codecs[c.ID] = c.Codec
		}
		s.history.add(s.now(), s.o.Box.Streams(), codecs)
	}
}

// add takes what all streams have come to. Streams of a call come in the order in which its parties joined, the caller first.
func (h *history) add(now time.Time, streams []Stream, codecs map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn++
	byCall := make(map[string][]Stream)
	for _, s := range streams {
		byCall[s.Call] = append(byCall[s.Call], s)
	}
	for id, list := range byCall {
		t := h.tracks[id]
		if t == nil {
			t = &track{directions: [2]Direction{{From: "caller"}, {From: "callee"}}}
			h.tracks[id] = t
		}
		t.turn = h.turn
		t.add(now, list, codecs[id])
	}
	for id, t := range h.tracks {
		if t.turn != h.turn {
			delete(h.tracks, id)
		}
	}
}

func (t *track) add(now time.Time, list []Stream, codec string) {
	for i := range min(len(list), len(t.directions)) {
		var before Stream
		if i < len(t.last) && t.last[i].Packets <= list[i].Packets && t.last[i].Lost <= list[i].Lost {
			before = t.last[i] // else another phone has taken the place: its count begins anew
		}
		p := Point{At: now, JitterMS: record.Milliseconds(list[i].Jitter)}
		got, lost := list[i].Packets-before.Packets, list[i].Lost-before.Lost
		if got > 0 {
			path := quality.Path{Codec: codec, Jitter: list[i].Jitter, Delay: list[i].RTT / 2, Loss: float64(lost) / float64(got+lost)}
			if len(list) == len(t.directions) { // the way on to the other party
				far := list[1-i]
				path.Loss = 1 - (1-path.Loss)*(1-min(max(far.PeerLost, 0), 1))
				path.Delay += far.RTT / 2
			}
			p.Loss, p.MOS = path.Loss, quality.MOS(path)
		}
		d := &t.directions[i]
		d.Points = append(d.Points, p)
		if n := len(d.Points) - samplesKept; n > 0 {
			d.Points = slices.Delete(d.Points, 0, n)
		}
	}
	t.last = list
}

// of is a copy of what is known of a call.
func (h *history) of(call string) []Direction {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tracks[call]
	if t == nil {
		return []Direction{}
	}
	out := []Direction{}
	for _, d := range t.directions {
		if len(d.Points) > 0 {
			out = append(out, Direction{d.From, slices.Clone(d.Points)})
		}
	}
	return out
}

// Ended takes the record of a call that is over.
func (s *Server) Ended(c record.Call) {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	s.history.ended = append(s.history.ended, c)
	if n := len(s.history.ended) - endedKept; n > 0 {
		s.history.ended = slices.Delete(s.history.ended, 0, n)
	}
}

// recent are the last calls that have ended, the newest first.
func (h *history) recent(n int) []record.Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := slices.Clone(h.ended[max(0, len(h.ended)-n):])
	slices.Reverse(out)
	return out
}

func (h *history) find(call string) (record.Call, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range slices.Backward(h.ended) {
		if c.ID == call {
			return c, true
		}
	}
	return record.Call{}, false
}

// CallQuality is a running call with how it sounds.
type CallQuality struct {
	control.Call
	Directions []Direction `json:"directions"`
}

// Worst is the lower of the two last scores; 0 where nothing was heard yet.
func (c CallQuality) Worst() float64 {
	worst := 0.0
	for _, d := range c.Directions {
		if m := d.Last().MOS; m > 0 && (worst == 0 || m < worst) {
			worst = m
		}
	}
	return worst
}
