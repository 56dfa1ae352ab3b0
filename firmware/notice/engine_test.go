package notice

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/snapshot"
	"holdfast/hal"
	"holdfast/hal/sim"
	"holdfast/sip/site"
)

// phones are a Ringer and a Messenger whose users do as they are told.
type phones struct {
	mu     sync.Mutex
	rung   []Call
	texts  []string
	away   map[string]bool // users without a phone
	spared []string        // users of whose phones one gets no text, and which
	ended  int
	answer map[string]func(ctx context.Context, on func(Event)) error // by user; nil: it rings until it is given up
	refuse error                                                      // of texts
}

func (p *phones) Ring(ctx context.Context, c Call, on func(Event)) error {
	p.mu.Lock()
	p.rung = append(p.rung, c)
	answer := p.answer[c.User]
	p.mu.Unlock()
	if p.away[c.User] {
		return ErrNobodyThere
	}
	on(Ringing)
	defer func() { p.mu.Lock(); p.ended++; p.mu.Unlock() }()
	if answer != nil {
		return answer(ctx, on)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(c.RingFor):
		return errors.New("nobody answered")
	}
}

func (p *phones) Message(_ context.Context, user string, but *emergency.Phone, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.texts = append(p.texts, user+": "+text); but != nil {
		p.spared = append(p.spared, user+" "+but.Instance)
	}
	return p.refuse
}

func (p *phones) seen() (rung []Call, texts []string, ended int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.rung), slices.Clone(p.texts), p.ended
}

// world is an engine with a simulated board and phones.
type world struct {
	*testing.T
	phones        *phones
	light, buzzer *sim.LED
	journal       *emergency.Journal
	engine        *Engine
	stop          func()
}

func document(t *testing.T) *site.Site {
	t.Helper()
	s, err := site.Load(site.Example())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(t *testing.T, path string, p *phones) *world {
	t.Helper()
	f, _, err := snapshot.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	j, err := emergency.New(emergency.Options{Snapshot: f})
	if err != nil {
		t.Fatal(err)
	}
	s := document(t)
	w := &world{T: t, phones: p, light: new(sim.LED), buzzer: new(sim.LED), journal: j}
	w.engine, err = New(Options{Journal: j, Site: func() *site.Site { return s }, Ringer: p, Messenger: p, Light: w.light, Buzzer: w.buzzer})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.engine.Run(ctx); close(ended) }()
	w.stop = func() { cancel(); <-ended; f.Close() }
	return w
}

func (w *world) begin(id string, test bool) {
	w.Helper()
	number := "911"
	if test {
		number = "933"
	}
	w.must(w.journal.Begin(emergency.Facts{ID: id, Dialled: number, Number: number, Test: test, Place: "Second floor",
		Caller: emergency.Caller{User: "u204", Name: "Guest", Number: "2204", Display: "Room 204"}}))
	w.must(w.journal.Add(id, emergency.Step{Kind: emergency.Invite, Trunk: "sbc-a", ELIN: "+12175559000", Address: "100 Main St"}))
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) kinds(id string) (out []string) {
	e, _ := w.journal.Get(id)
	for _, s := range e.Steps {
		out = append(out, strings.TrimSpace(string(s.Kind)+" "+s.Who))
	}
	return out
}

func TestAcknowledgedByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(chan struct{})
		p := &phones{answer: map[string]func(context.Context, func(Event)) error{
			"reception": func(ctx context.Context, on func(Event)) error {
				time.Sleep(5 * time.Second)
				on(Taken)
				time.Sleep(5 * time.Second)
				on(Acknowledged)
				select { // it hears the end of the announcement
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(3 * time.Second):
					close(said)
					return nil
				}
			}}}
		w := start(t, filepath.Join(t.TempDir(), "s"), p)
		defer w.stop()
		w.begin("c1", false)
		synctest.Wait()
		rung, texts, _ := p.seen()
		if len(rung) != 1 || rung[0] != (Call{ID: "c1", User: "reception", Display: "911 ROOM 204", Number: "911", RingFor: 25 * time.Second}) || len(texts) != 0 {
			t.Errorf("%+v %v", rung, texts)
		}
		if w.light.Now() != hal.Fast || w.buzzer.Now() != hal.Fast {
			t.Error("light or buzzer is off")
		}
		time.Sleep(time.Second)
		if _, texts, _ := p.seen(); len(texts) != 1 || !strings.Contains(texts[0], "Callback number: +12175559000") {
			t.Errorf("%v", texts)
		}
		w.engine.Silence("button")
		synctest.Wait()
		if w.light.Now() != hal.Fast || w.buzzer.Now() != hal.Off || len(w.journal.Unnoticed()) != 1 {
			t.Error("the button does not only silence the buzzer")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		e, _ := w.journal.Get("c1")
		if e.Acknowledged == nil || e.Acknowledged.By != "Reception (1000)" || e.Acknowledged.How != emergency.ByKey || w.light.Now() != hal.Off {
			t.Errorf("%+v", e.Acknowledged)
		}
		<-said // its call was not cut off
		time.Sleep(time.Hour)
		if rung, _, _ := p.seen(); len(rung) != 1 {
			t.Errorf("rang %d times", len(rung))
		}
		want := []string{"recognised", "invite", "notice-rung reception", "notice-message reception", "silenced", "notice-seen reception", "acknowledged Reception (1000)"}
		got := w.kinds("c1")
		slices.Sort(got) // the phone may ring before the INVITE step is noted
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
}

// TestDeskCallsForHelp: the only front desk calls 911 itself: its other phones ring and get the text, and only that which calls is
// left alone; of a caller whose phone nobody knows any may be it.
func TestDeskCallsForHelp(t *testing.T) {
	for _, phone := range []emergency.Phone{{Instance: "urn:uuid:1", Contact: "sip:1000@10.0.0.9"}, {}} {
		synctest.Test(t, func(t *testing.T) {
			p := &phones{}
			w := start(t, filepath.Join(t.TempDir(), "s"), p)
			defer w.stop()
			w.must(w.journal.Begin(emergency.Facts{ID: "c1", Number: "911", Caller: emergency.Caller{User: "reception", Name: "Reception", Phone: phone}}))
			w.begin("c2", false) // another's, at the same time
			time.Sleep(2 * time.Minute)
			rung, _, _ := p.seen()
			for _, c := range rung {
				if mine := c.ID == "c1"; c.User != "reception" || (c.But != nil) != mine || mine && *c.But != phone {
					t.Errorf("%+v", c)
				}
			}
			if len(rung) < 2 || rung[0].ID == rung[1].ID || !slices.Equal(p.spared, []string{"reception " + phone.Instance}) {
				t.Errorf("rang %v, texts spare %q", rung, p.spared)
			}
			if got := w.kinds("c1"); !slices.Contains(got, "notice-rung reception") || !slices.Contains(got, "notice-message reception") {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestRepeatsUntilCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &phones{refuse: ErrNoTexts}
		w := start(t, filepath.Join(t.TempDir(), "s"), p)
		defer w.stop()
		w.begin("c1", false)
		w.begin("c2", false)
		time.Sleep(10 * time.Minute) // 25 s of ringing each, in turn
		rung, texts, _ := p.seen()
		if n := len(rung); n < 24 || n > 25 || rung[0].ID == rung[1].ID || len(texts) != 2 {
			t.Errorf("rang %d times, %d texts", n, len(texts))
		}
		if got := w.kinds("c1"); len(got) != 5 { // recognised, invite, rung, no texts, not answered: each once
			t.Errorf("%v", got)
		}
		if _, err := w.engine.Acknowledge(" \x00 ", emergency.ByCommand, ""); err == nil {
			t.Error("acknowledged by nobody")
		}
		if _, err := w.engine.Acknowledge("Maria", emergency.ByCommand, "c3"); !errors.Is(err, ErrNothing) {
			t.Errorf("%v", err)
		}
		first, err := w.engine.Acknowledge(" Maria \t\x1b Lopez", emergency.ByCommand, "c1")
		if err != nil || len(first) != 1 || first[0].ID != "c1" {
			t.Errorf("%v %v", first, err)
		}
		if first, err = w.engine.Acknowledge("Otto", emergency.ByCommand, ""); err != nil || len(first) != 1 || first[0].ID != "c2" {
			t.Errorf("%v %v", first, err)
		}
		if _, err = w.engine.Acknowledge("Pia", emergency.ByCommand, ""); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "911 ROOM 204 was acknowledged by Otto at ") {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		rung, _, ended := p.seen()
		if ended != len(rung) || w.buzzer.Now() != hal.Off {
			t.Errorf("%d of %d notice calls are over", ended, len(rung))
		}
		time.Sleep(time.Hour)
		if again, _, _ := p.seen(); len(again) != len(rung) {
			t.Error("rings on after the acknowledgement")
		}
		if e, _ := w.journal.Get("c1"); e.Acknowledged.By != "Maria Lopez" {
			t.Errorf("%+v", e.Acknowledged)
		}
	})
}

// TestGoesOnAfterRestart: what nobody has acknowledged is told in the next life; what was is not.
func TestGoesOnAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, path, &phones{})
		w.begin("told", false)
		w.begin("open", false)
		w.must(w.journal.Acknowledge("told", "Maria", emergency.ByCommand))
		synctest.Wait()
		w.stop()
		if _, _, ended := w.phones.seen(); ended == 0 {
			t.Error("its calls are not ended")
		}
		p := &phones{}
		w = start(t, path, p)
		defer w.stop()
		synctest.Wait()
		if rung, _, _ := p.seen(); len(rung) != 1 || rung[0].ID != "open" || w.light.Now() != hal.Fast {
			t.Errorf("%+v", rung)
		}
	})
}

func TestTestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &phones{}
		w := start(t, filepath.Join(t.TempDir(), "s"), p)
		defer w.stop()
		w.begin("c1", true)
		time.Sleep(time.Second)
		rung, texts, _ := p.seen()
		if len(rung) != 1 || !rung[0].Test || rung[0].Display != "TEST 933 ROOM 204" || len(texts) != 1 || !strings.Contains(texts[0], "This is a test") || w.light.Now() != hal.Double {
			t.Errorf("%+v %v", rung, texts)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if e, _ := w.journal.Get("c1"); !e.NoticeOver || e.Acknowledged != nil || w.light.Now() != hal.Off {
			t.Errorf("%+v", e)
		}
		time.Sleep(time.Minute)
		rung, _, ended := p.seen()
		if len(rung) > 3 || ended != len(rung) {
			t.Errorf("%d notice calls, %d over", len(rung), ended)
		}
	})
}

// TestNobodyToRing: the caller's is the only phone of the only front desk; the box itself still shows it, and the record says that
// nobody's phone rang.
func TestNobodyToRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &phones{away: map[string]bool{"reception": true}}
		w := start(t, filepath.Join(t.TempDir(), "s"), p)
		defer w.stop()
		w.must(w.journal.Begin(emergency.Facts{ID: "c1", Number: "911", Caller: emergency.Caller{User: "reception"}}))
		time.Sleep(time.Minute)
		got := w.kinds("c1")
		if w.buzzer.Now() != hal.Fast || slices.Contains(got, "notice-rung reception") || !slices.Contains(got, "notice-failed reception") {
			t.Errorf("%v", got)
		}
	})
}

// TestCallDoesNotGetOut: people are told more, at once.
func TestCallDoesNotGetOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &phones{}
		w := start(t, filepath.Join(t.TempDir(), "s"), p)
		defer w.stop()
		w.begin("c1", false)
		time.Sleep(2 * time.Second)
		w.must(w.journal.Add("c1", emergency.Step{Kind: emergency.NoTrunk}))
		synctest.Wait()
		_, texts, _ := p.seen()
		if len(texts) != 2 || strings.Contains(texts[0], "another phone") || !strings.Contains(texts[1], "The call did not get out: call for help from another phone.") {
			t.Errorf("%q", texts)
		}
		time.Sleep(time.Hour)
		if _, texts, _ = p.seen(); len(texts) != 2 {
			t.Errorf("%d texts", len(texts))
		}
	})
}

func TestText(t *testing.T) {
	chicago, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	e := emergency.Emergency{Facts: emergency.Facts{Number: "911", At: time.Date(2026, 3, 1, 20, 2, 0, 0, time.UTC), Place: "Second floor", Address: "100 Main St",
		Caller: emergency.Caller{Name: "Guest", Number: "2204", Display: "Room 204"}}, ELIN: "+12175559000"}
	const want = "911 ROOM 204 called at 14:02 CST by Guest, 2204. Place: Second floor. Address given: 100 Main St. Callback number: +12175559000. To acknowledge, take the ringing call and press 1."
	if got := Text(e, chicago); got != want {
		t.Error(got)
	}
	e.Ended, e.Steps = e.At.Add(time.Minute), []emergency.Step{{Kind: emergency.Restart}, {Kind: emergency.Restart}}
	if got := Text(e, chicago); strings.Count(got, "The call was cut off.") != 1 {
		t.Error(got)
	}
	if got := Text(emergency.Emergency{Facts: emergency.Facts{Number: "933", Test: true}}, time.UTC); !strings.Contains(got, "TEST 933 UNKNOWN PHONE called at") {
		t.Error(got)
	}
}

func TestNoPhonesAtAll(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("works without a journal")
	}
	if err := (nobody{}).Ring(t.Context(), Call{}, nil); err == nil {
		t.Error("nobody rang")
	}
}
