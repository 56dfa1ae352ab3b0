package admin

import (
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/record"
	"holdfast/sip/trace"
)

func TestHistory(t *testing.T) {
	h := newHistory()
	codecs := map[string]string{"c": "PCMU"}
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * sampleEvery) }
	two := func(p1, l1, p2, l2 uint64) []Stream {
		return []Stream{{Call: "c", Packets: p1, Lost: l1, RTT: 20 * time.Millisecond}, {Call: "c", Packets: p2, Lost: l2, PeerLost: 0.5}}
	}
	h.add(at(0), two(250, 0, 250, 0), codecs)
	h.add(at(1), two(490, 10, 500, 0), codecs) // 10 of 250 lost, and half of the rest on the way to the callee
	h.add(at(2), two(490, 10, 750, 0), codecs) // the caller is silent
	h.add(at(3), two(100, 0, 1000, 0), codecs) // another phone speaks for the caller
	d := h.of("c")
	if len(d) != 2 || d[0].From != "caller" || d[1].From != "callee" || len(d[0].Points) != 4 {
		t.Fatalf("%+v", d)
	}
	p := d[0].Points
	if want := 1 - 0.96*0.5; math.Abs(p[1].Loss-want) > 1e-9 || p[1].MOS > 2 {
		t.Errorf("loss %v, score %v, want a loss of %v", p[1].Loss, p[1].MOS, want)
	}
	if p[2].MOS != 0 || p[3].MOS == 0 || d[1].Points[1].Loss != 0 || d[1].Points[1].MOS < 4.3 {
		t.Errorf("%+v", d)
	}
	for i := range 2 * samplesKept {
		h.add(at(4+i), two(uint64(1000+i), 0, 2000, 0), codecs)
	}
	if n := len(h.of("c")[0].Points); n != samplesKept {
		t.Errorf("%d points are kept", n)
	}
	h.add(at(500), nil, nil)
	if len(h.of("c")) != 0 || len(h.tracks) != 0 {
		t.Error("a call that has ended is still there")
	}
	h.add(at(501), []Stream{{Call: "one", Packets: 5}, {Call: "three", Packets: 1}, {Call: "three", Packets: 1}, {Call: "three", Packets: 1}}, nil)
	if len(h.of("one")) != 1 || len(h.of("three")) != 2 {
		t.Error("calls with one side or three")
	}
}

func TestEndedAreBounded(t *testing.T) {
	s := &Server{history: newHistory()}
	for i := range endedKept + 5 {
		s.Ended(record.Call{ID: string(rune('a' + i%3)), Status: i})
	}
	if got := s.history.recent(1000); len(got) != endedKept || got[0].Status != endedKept+4 {
		t.Errorf("%d, the newest %d", len(got), got[0].Status)
	}
	if c, ok := s.history.find("a"); !ok || c.Status < endedKept {
		t.Errorf("%+v", c)
	}
}

// wellFormed parses XML to its end.
func wellFormed(t *testing.T, what, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("%s: %v\n%.400s", what, err, text)
			return
		}
	}
}

// TestPictures: whatever is drawn is well-formed, and numbers are numbers.
func TestPictures(t *testing.T) {
	for name, points := range map[string][]Point{"none": nil, "one": {{MOS: 4}}, "silence": {{}, {}}, "a gap": {{MOS: 4}, {}, {MOS: 3, Loss: 0.2, JitterMS: 100}}, "out of range": {{MOS: -1}, {MOS: 9, JitterMS: 1e6}}, "full": make([]Point, samplesKept)} {
		list := []Direction{{"caller", points}, {"callee", points}}
		for what, picture := range map[string]string{"spark": string(spark(points)), "mos": string(plot("mos", list)), "loss": string(plot("loss", list)), "jitter": string(plot("jitter", list))} {
			wellFormed(t, name+" "+what, picture)
			if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
				t.Errorf("%s %s: %.300s", name, what, picture)
			}
		}
	}
	for name, events := range map[string][]control.ModeEvent{
		"none": nil, "days ago": {{At: epoch.Add(-48 * time.Hour), From: "normal", To: "drill"}}, "now": {{At: epoch, From: "normal", To: "resilience"}},
		"in the future": {{At: epoch.Add(time.Hour), From: "normal", To: "resilience"}}, "unknown": {{At: epoch, From: "x", To: "y"}},
	} {
		for _, up := range []time.Duration{0, time.Minute, 3 * time.Hour, 100 * time.Hour} {
			v := &view{snapshot: &snapshot{Now: epoch, Status: control.Status{Started: epoch.Add(-up), Events: events, Mode: control.Mode{Name: "normal"}}}}
			b := v.Band()
			wellFormed(t, name, string(b.Picture))
			if strings.Contains(string(b.Picture), `="-`) || len(b.Marks) != 5 {
				t.Errorf("%s, %v: %s", name, up, b.Picture)
			}
		}
	}
	many := trace.Ladder{Call: evil}
	for range 3 {
		many.Participants = append(many.Participants, trace.Participant{Name: evil, Address: evil})
	}
	for i := range 2 * ladderRows {
		many.Arrows = append(many.Arrows, trace.Arrow{At: epoch, From: i % 3, To: (i + 1) % 3, Label: evil, Note: evil, Status: 100 * (i % 7)})
	}
	for name, l := range map[string]trace.Ladder{"empty": {}, "many": many} {
		picture := string(drawLadder(l))
		wellFormed(t, "ladder "+name, picture)
		if n := strings.Count(picture, `class="shaft"`); n > ladderRows {
			t.Errorf("%d rows", n)
		}
	}
}

// TestTail: the last lines are kept, of level info and above, and no flood fills the memory.
func TestTail(t *testing.T) {
	tail := &Tail{}
	log := slog.New(tail.Handler(slog.DiscardHandler)).With("box", "b")
	log.Debug("not this")
	log.Info("this", "text", "a\nb")
	if lines := tail.Lines(10); len(lines) != 1 || !strings.Contains(lines[0], `text="a\nb"`) || !strings.Contains(lines[0], "box=b") {
		t.Errorf("%q", lines)
	}
	for range 2 * tailLines {
		log.Warn(strings.Repeat("x", 3*tailLine))
	}
	lines, sum := tail.Lines(1<<20), 0
	for _, l := range lines {
		sum += len(l)
	}
	if len(lines) > tailLines || sum > tailBytes || len(lines) == 0 {
		t.Errorf("%d lines, %d bytes", len(lines), sum)
	}
	if n := len(tail.Lines(3)); n != 3 {
		t.Errorf("%d lines of 3", n)
	}
}
