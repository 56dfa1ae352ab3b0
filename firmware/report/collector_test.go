package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/mode"
	"holdfast/firmware/outbox"
	"holdfast/firmware/record"
	"holdfast/sip/site"
)

// post is an outbox in RAM that can be broken.
type post struct {
	mu   sync.Mutex
	err  error
	got  []Delivery
	keys []string
}

func (p *post) Append(_ context.Context, kind string, payload []byte) (outbox.ID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return outbox.ID{}, p.err
	}
	var d Delivery
	if err := json.Unmarshal(payload, &d); err != nil || kind != Kind {
		return outbox.ID{}, fmt.Errorf("%s: %w", kind, err)
	}
	p.got, p.keys = append(p.got, d), append(p.keys, d.Key)
	return outbox.ID{}, nil
}

func options(t testing.TB, dir string, p Outbox) Options {
	s := branch(t)
	return Options{Dir: dir, Box: "b", Site: func() *site.Site { return s }, Outbox: p,
		Scene:       func() Scene { return Scene{Serial: 7, Trunks: []Trunk{{ID: "sbc", Began: true}}} },
		Emergencies: func() ([]emergency.Emergency, error) { return nil, nil }}
}

func collector(t testing.TB, dir string, p Outbox) *Collector {
	t.Helper()
	c, err := New(options(t, dir, p))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running runs a collector and returns what stops it.
func running(t testing.TB, c *Collector) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func moved(at time.Time, from, to mode.Mode) record.Change {
	return record.Change{At: at, From: from, To: to, Cause: "x", Evidence: []record.Evidence{}}
}

// anIncident goes from normal to normal.
func anIncident(c *Collector, phones int) {
	c.Change(moved(time.Now(), mode.Normal, mode.Resilience))
	for n := range phones {
		c.Phone(fmt.Sprint("u", 1001+n), 1, time.Now())
	}
	c.Call(record.Call{ID: "c1", Start: time.Now(), End: time.Now(), Kind: "reject", Status: 404})
	c.Change(moved(time.Now(), mode.Resilience, mode.Recovering))
	time.Sleep(time.Millisecond)
	c.Change(moved(time.Now(), mode.Recovering, mode.Normal))
}

func TestCollects(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := new(post)
		c := collector(t, dir, p)
		c.Begin(mode.Normal, time.Now())
		stop := running(t, c)
		defer stop()
		c.Phone("u1009", 1, time.Now()) // long before
		time.Sleep(time.Minute)
		began := time.Now()
		c.Phone("u1005", 1, began.Add(time.Millisecond)) // the box took it before the change of mode was told
		c.Change(moved(began, mode.Normal, mode.Resilience))
		for range 3 {
			c.Phone("u1001", 1, time.Now()) // a refresh is no news
		}
		synctest.Wait()
		if s := c.Status(); s.Open != began.UTC().Format(idFormat) || s.Made != 0 {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Hour)
		c.Change(moved(time.Now(), mode.Resilience, mode.Recovering))
		c.Call(record.Call{ID: "c1", Kind: "reject", Status: 404})
		c.Change(moved(time.Now(), mode.Recovering, mode.Normal))
		c.Call(record.Call{ID: "late"})
		synctest.Wait()
		if s := c.Status(); s.Open != "" || s.Made != 1 || s.Due != 0 || s.Fault != "" {
			t.Fatalf("%+v", s)
		}
		r, err := c.Get("")
		if err != nil || r.Phones.Came != 2 || r.Calls.Total != 1 || r.Ended.Sub(r.Began) != time.Hour {
			t.Fatalf("%+v %v", r, err)
		}
		if len(p.got) != 1 || p.got[0].Key != "report-b-"+r.ID || p.got[0].Event != "report.outage" || p.got[0].Report.Phones.Came != 2 || p.got[0].Site != "s7" {
			t.Errorf("%+v", p.got)
		}
		list, err := c.List()
		if err != nil || len(list) != 1 || list[0].Came != 2 || list[0].Expected != 5 {
			t.Errorf("%+v %v", list, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*"+journalSuffix)); len(left) > 0 {
			t.Errorf("journals are left: %v", left)
		}
	})
}

// TestOutboxFails: a report is made again until the outbox has it, and a next incident is collected meanwhile.
func TestOutboxFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := &post{err: errors.New("card full")}
		c := collector(t, dir, p)
		stop := running(t, c)
		defer stop()
		anIncident(c, 2)
		time.Sleep(time.Second)
		anIncident(c, 3)
		time.Sleep(time.Minute)
		if s := c.Status(); s.Due != 2 || !strings.Contains(s.Fault, "card full") {
			t.Errorf("%+v", s)
		}
		p.mu.Lock()
		p.err = nil
		p.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if s := c.Status(); s.Due != 0 || s.Made != 2 || s.Fault != "" || len(p.got) != 2 || p.got[0].Report.Phones.Came != 2 || p.got[1].Report.Phones.Came != 3 {
			t.Errorf("%+v %v", s, p.keys)
		}
	})
}

// TestRestarts: an incident goes on over a restart in an outage, over one in which the outage shows itself again, and is
// over after one that finds the cloud there.
func TestRestarts(t *testing.T) {
	for name, c := range map[string]struct {
		mode     mode.Mode
		after    func(*Collector)
		restarts int
		came     int
		ended    time.Duration // after the restart
	}{
		"in an outage": {mode.Resilience, func(c *Collector) {
			c.Phone("u1002", 1, time.Now())
			time.Sleep(10 * time.Minute)
			c.Change(moved(time.Now(), mode.Resilience, mode.Normal))
		}, 1, 2, 10 * time.Minute},
		"the outage shows itself again": {mode.Normal, func(c *Collector) {
			time.Sleep(20 * time.Second)
			c.Change(moved(time.Now(), mode.Normal, mode.Resilience))
			c.Phone("u1002", 1, time.Now())
			time.Sleep(10 * time.Minute)
			c.Change(moved(time.Now(), mode.Resilience, mode.Normal))
		}, 1, 2, 10*time.Minute + 20*time.Second},
		"the cloud is there": {mode.Normal, func(c *Collector) { time.Sleep(2 * time.Minute) }, 1, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				p := new(post)
				one := collector(t, dir, p)
				stop := running(t, one)
				one.Change(moved(time.Now(), mode.Normal, mode.Resilience))
				one.Phone("u1001", 1, time.Now())
				synctest.Wait()
				stop()
				time.Sleep(time.Minute)
				restart := time.Now()
				two := collector(t, dir, p)
				two.Begin(c.mode, restart)
				stop = running(t, two)
				defer stop()
				c.after(two)
				synctest.Wait()
				r, err := two.Get("")
				if err != nil {
					t.Fatal(err, two.Status())
				}
				if r.Restarts != c.restarts || r.Phones.Came != c.came || r.Ended.Sub(restart) != c.ended || len(p.got) != 1 {
					t.Errorf("%d restarts, %d came, ended %v after it, %d sent", r.Restarts, r.Phones.Came, r.Ended.Sub(restart), len(p.got))
				}
			})
		})
	}
}

// TestBeganInAnOutage: a box that was killed before it could note anything, and goes on serving.
func TestBeganInAnOutage(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := collector(t, dir, nil)
		c.Begin(mode.Resilience, time.Now())
		stop := running(t, c)
		defer stop()
		time.Sleep(time.Minute)
		c.Change(moved(time.Now(), mode.Resilience, mode.Normal))
		synctest.Wait()
		if r, err := c.Get(""); err != nil || r.Kind != Outage || r.Ended.Sub(r.Began) != time.Minute {
			t.Errorf("%+v %v", r, err)
		}
	})
}

func TestDamagedJournal(t *testing.T) {
	dir := t.TempDir()
	id := noon.Format(idFormat)
	var text strings.Builder
	for _, e := range outage()[:5] {
		line, _ := json.Marshal(e)
		text.Write(line)
		text.WriteString("\nrubbish\n")
	}
	text.WriteString(`{"at":"2026-`)
	for name, data := range map[string]string{id + journalSuffix: text.String(), "20250101T000000.000Z" + journalSuffix: "", "../x": "", "what" + journalSuffix: "{}"} {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := collector(t, dir, nil)
	if s := c.Status(); s.Open != id || len(c.open.events) != 5 || c.open.seen["u1001"] != 2 {
		t.Errorf("%+v, %d events", s, len(c.open.events))
	}
}

func TestBounds(t *testing.T) {
	i := newIncident(noon)
	big := record.Call{ID: strings.Repeat("x", 1<<20)}
	for range 40 {
		i.add(event{Call: &big})
	}
	if i.bytes > mostBytes || i.lost < 10 {
		t.Errorf("%d bytes, %d lost", i.bytes, i.lost)
	}
	before := len(i.events)
	i.add(change(1, mode.Resilience, mode.Normal, "x"))
	if len(i.events) != before+1 || !i.over() {
		t.Error("a full incident does not end")
	}
	c := collector(t, t.TempDir(), nil)
	for n := range earlyMost + 100 {
		c.Phone(fmt.Sprint(n), 1, noon)
	}
	if len(c.early) > earlyMost {
		t.Errorf("%d", len(c.early))
	}
}

func TestStore(t *testing.T) {
	s := store{dir: filepath.Join(t.TempDir(), "reports"), keep: 3}
	if _, err := s.get(""); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	for n := range 6 {
		if err := s.save(&Report{ID: at(float64(n)).Format(idFormat), Kind: Outage}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, at(5).Format(idFormat)+".new"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := s.list()
	if err != nil || len(list) != 3 || list[0].ID != at(3).Format(idFormat) {
		t.Errorf("%+v %v", list, err)
	}
	for _, id := range []string{"../../etc/passwd", "20260301T180003.000Z/../x", "x", "20260301T180000.000Z"} {
		if _, err := s.get(id); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, at(4).Format(idFormat)+reportSuffix), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(at(4).Format(idFormat)); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Error(err)
	}
	if list, err := s.list(); err != nil || len(list) != 2 {
		t.Errorf("one damaged report hides the others: %+v %v", list, err)
	}
}

// TestPayload: what is sent fits, keeps its figures and says what it leaves out.
func TestPayload(t *testing.T) {
	r := built(t, outage())
	for n := range 5000 {
		r.Calls.List = append(r.Calls.List, Call{Call: record.Call{ID: fmt.Sprint(n)}})
		r.Phones.Missing = append(r.Phones.Missing, Phone{User: fmt.Sprint(n), Name: strings.Repeat("n", 50)})
	}
	const most = 200 << 10
	data, err := r.payload(most)
	var d Delivery
	if err != nil || len(data) > most || json.Unmarshal(data, &d) != nil {
		t.Fatal(len(data), err)
	}
	if d.Report.LeftOut == 0 || d.Report.Calls.Total != 7 || len(r.Calls.List) != 5007 || d.Key != "report-branch-7-20260301T180000.000Z" || d.Report.Calls.List[0].ID != "a" {
		t.Errorf("%d left out, key %s", d.Report.LeftOut, d.Key)
	}
	if n := len(d.Report.Calls.List) + len(d.Report.Phones.Missing) + len(d.Report.Phones.Here) + len(d.Report.TimeLine) + len(d.Report.Document.Warnings) + d.Report.LeftOut; n != 5007+5002+3+len(r.TimeLine)+len(r.Document.Warnings) {
		t.Errorf("%d lines in all", n)
	}
	if _, err := r.payload(100); err == nil {
		t.Error("nothing fits into 100 bytes")
	}
}
