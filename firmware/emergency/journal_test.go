package emergency

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/snapshot"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// room204 is a call from a phone without a number of its own.
func room204(id string) Facts {
	return Facts{ID: id, At: t0, Dialled: "9911", Number: "911", Place: "Second floor", Address: "100 Main St",
		Caller: Caller{User: "u204", Name: "Guest", Number: "2204", Device: "room-204", Source: "10.0.0.71", Display: "Room 204"}}
}

func open(t testing.TB, path string) *snapshot.File {
	t.Helper()
	f, report, err := snapshot.Open(path)
	if err != nil || report.Fault != "" {
		t.Fatal(err, report.Fault)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func journal(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	o.Snapshot = open(t, path)
	j, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	now := t0
	j := journal(t, path, Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
	must(t, j.Begin(room204("c1")))
	steps := []Step{
		{Kind: Invite, Trunk: "sbc-a", ELIN: "+12175559000", Address: "100 Main St, room 204"},
		{Kind: TrunkFailed, Trunk: "sbc-a", Text: "no answer in 2 s"},
		{Kind: Invite, Trunk: "sbc-b", ELIN: "+12175559100"},
		{Kind: Answered, Trunk: "sbc-b", Status: 200},
		{Kind: NoticeRung, Who: "reception"},
		{Kind: Ended, Text: "hangup", How: "callee"},
		{Kind: Callback, Trunk: "sbc-b", ELIN: "+12175559100", Text: "+12175550911"},
		{Kind: Acknowledged, Who: "Maria", How: ByCommand},
	}
	for i, s := range steps {
		must(t, j.Add("c1", s))
		if i == 1 {
			if e, _ := j.Get("c1"); e.ELIN != "+12175559000" || !e.Open() || e.Noticed() || len(j.Open()) != 1 || len(j.Unnoticed()) != 1 {
				t.Errorf("%+v", e)
			}
		}
	}
	check := func(j *Journal) {
		t.Helper()
		e, ok := j.Get("c1")
		if !ok || e.Address != "100 Main St, room 204" || e.ELIN != "+12175559100" || e.Trunk != "sbc-b" || e.Callbacks != 1 || e.EndCause != "hangup" {
			t.Fatalf("%+v", e)
		}
		if !e.Answered.Equal(t0.Add(4*time.Second)) || !e.Ended.Equal(t0.Add(6*time.Second)) || *e.Acknowledged != (Acknowledgement{"Maria", ByCommand, t0.Add(8 * time.Second)}) {
			t.Errorf("%+v %+v", e, e.Acknowledged)
		}
		if e.Open() || !e.Noticed() || len(e.Steps) != 9 || e.Steps[0].Kind != Recognised || !e.Steps[0].At.Equal(t0) {
			t.Errorf("%+v", e.Steps)
		}
		for i, s := range e.Steps {
			if s.Seq != i+1 {
				t.Errorf("step %d is number %d", i, s.Seq)
			}
		}
	}
	check(j)
	check(journal(t, path, Options{})) // the next life
}

func TestFirstAcknowledgementWins(t *testing.T) {
	j := journal(t, filepath.Join(t.TempDir(), "s"), Options{})
	must(t, j.Begin(room204("c1")))
	var won atomic.Int32
	done := make(chan struct{})
	for n := range 8 {
		go func() {
			switch err := j.Acknowledge("c1", fmt.Sprint(n), ByKey); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, ErrAcknowledged):
				t.Error(err)
			}
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	if e, _ := j.Get("c1"); won.Load() != 1 || e.Acknowledged == nil || len(e.Steps) != 2 {
		t.Errorf("%d won: %+v", won.Load(), e)
	}
}

func TestRefusals(t *testing.T) {
	j := journal(t, filepath.Join(t.TempDir(), "s"), Options{})
	must(t, j.Begin(room204("c1")))
	for name, c := range map[string]struct{ got, want error }{
		"twice":       {j.Begin(room204("c1")), ErrKnown},
		"no ID":       {j.Begin(Facts{}), ErrUnknown},
		"no call":     {j.Add("c2", Step{Kind: Answered}), ErrUnknown},
		"no call ack": {j.Acknowledge("c2", "x", ByKey), ErrUnknown},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v", name, c.got)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("works without a file")
	}
}

// TestSnapshotFails: what cannot be kept is said, and remembered all the same; the call goes on.
func TestSnapshotFails(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "s"))
	j, err := New(Options{Snapshot: f})
	must(t, err)
	must(t, f.Close())
	if err := j.Begin(room204("c1")); err == nil {
		t.Error("a closed file kept a step")
	}
	if err := j.Add("c1", Step{Kind: Answered}); err == nil {
		t.Error("a closed file kept a step")
	}
	if e, ok := j.Get("c1"); !ok || len(e.Steps) != 2 {
		t.Errorf("%+v", e)
	}
}

func TestBounds(t *testing.T) {
	dir := t.TempDir()
	now := t0
	j := journal(t, filepath.Join(dir, "s"), Options{Followers: []string{"card"}, Now: func() time.Time { return now }})
	long := strings.Repeat("é", 4000)
	f := room204("long")
	f.Caller.Device, f.Dialled = long, long
	must(t, j.Begin(f))
	for range 3 * maxSteps {
		must(t, j.Add("long", Step{Kind: Alarm, Text: long}))
	}
	must(t, j.Add("long", Step{Kind: Ended}))
	must(t, j.Add("long", Step{Kind: Acknowledged}))
	e, _ := j.Get("long")
	if len(e.Steps) != maxSteps+2 || len(e.Caller.Device) > maxText || len(e.Steps[1].Text) > maxText || e.Open() || !e.Noticed() || j.Dropped() != 2*maxSteps+1 {
		t.Errorf("%d steps, %d bytes, %d dropped", len(e.Steps), len(e.Caller.Device), j.Dropped())
	}
	// A flood: tests go first, calls that run never.
	must(t, j.Begin(room204("runs")))
	for n := range 3 * maxKept {
		f := room204(fmt.Sprint("test-", n))
		f.Test = true
		must(t, j.Begin(f))
		must(t, j.Add(f.ID, Step{Kind: Ended}))
	}
	if all := j.All(); len(all) > 2*maxKept || len(j.Open()) != 1 || all[1].ID != "runs" {
		t.Errorf("%d kept", len(all))
	}
	// What is over and known goes after a while, out of the file too.
	for _, e := range j.All() {
		j.passed("card", e.ID, e.Steps[len(e.Steps)-1].Seq)
		_ = j.Add(e.ID, Step{Kind: NoticeOver})
	}
	j.Tidy()
	before := len(j.All())
	for _, e := range j.All() {
		j.passed("card", e.ID, e.Steps[len(e.Steps)-1].Seq)
	}
	now = now.Add(DefaultKeep + time.Second)
	j.Tidy()
	if left := j.All(); before < maxKept || len(left) != 1 || left[0].ID != "runs" {
		t.Errorf("%d, then %d", before, len(left))
	}
	if again := journal(t, filepath.Join(dir, "s"), Options{}); len(again.All()) != 1 {
		t.Errorf("%d in the file", len(again.All()))
	}
}

// TestNothingWaitsForTheCard: a follower that hangs holds up nobody.
func TestNothingWaitsForTheCard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	j := journal(t, path, Options{Followers: []string{"card", "web"}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stuck, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		j.Follow(ctx, "card", func(ctx context.Context, _ Emergency, _ Step) error {
			close(stuck)
			<-ctx.Done() // a dead card
			return ctx.Err()
		})
	}()
	must(t, j.Begin(room204("c1")))
	<-stuck
	begin := time.Now()
	const calls = 200
	for n := range calls {
		id := fmt.Sprint("call-", n)
		must(t, j.Begin(room204(id)))
		must(t, j.Add(id, Step{Kind: Invite, Trunk: "sbc-a", ELIN: "+12175559000"}))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("%d calls took %s", calls, took)
	}
	got := 0
	webCtx, stop := context.WithCancel(ctx)
	must(t, j.Follow(webCtx, "web", func(_ context.Context, e Emergency, s Step) error {
		if got++; got == 2*calls+1 {
			stop()
		}
		return nil
	}))
	cancel()
	<-ended
	if j.Behind("card") != 2*calls+1 {
		t.Errorf("the stuck card is %d behind", j.Behind("card"))
	}
	if again := journal(t, path, Options{}); len(again.Open()) != calls+1 {
		t.Errorf("%d calls known after a restart", len(again.Open()))
	}
}

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	synctest.Test(t, func(t *testing.T) {
		j := journal(t, path, Options{Followers: []string{"card"}})
		must(t, j.Begin(room204("c1")))
		must(t, j.Begin(room204("c2")))
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var got []string
		told := func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(got) }
		fails := 3
		go j.Follow(ctx, "card", func(_ context.Context, e Emergency, s Step) error {
			mu.Lock()
			defer mu.Unlock()
			if fails--; fails >= 0 {
				return errors.New("card is full")
			}
			got = append(got, fmt.Sprint(e.ID, s.Seq, s.Kind, len(e.Steps)))
			return nil
		})
		synctest.Wait()
		must(t, j.Add("c1", Step{Kind: Answered})) // the record that c1's first step comes with does not have it
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if len(told()) != 0 {
			t.Errorf("came before the pauses of 1, 2 and 4 s: %v", told())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []string{"c11recognised1", "c12answered2", "c21recognised1"}; !slices.Equal(told(), want) {
			t.Errorf("%v", told())
		}
		must(t, j.Add("c2", Step{Kind: Ended}))
		synctest.Wait()
		cancel()
		synctest.Wait()
		if len(told()) != 4 || j.Behind("card") != 0 {
			t.Errorf("%v, %d behind", told(), j.Behind("card"))
		}
	})
	j := journal(t, path, Options{Followers: []string{"card", "new"}})
	if j.Behind("card") != 0 || j.Behind("new") != 4 {
		t.Errorf("after a restart %d and %d behind", j.Behind("card"), j.Behind("new"))
	}
}

// TestPowerCut: what the card has is taken in again, and somebody is told that the call is over.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	j := journal(t, filepath.Join(dir, "before"), Options{Now: func() time.Time { return t0 }})
	old := room204("old")
	old.At = t0.Add(-25 * time.Hour)
	for _, f := range []Facts{old, room204("runs"), room204("ended"), room204("done"), room204("in RAM")} {
		must(t, j.Begin(f))
	}
	must(t, j.Add("ended", Step{Kind: Ended, Text: "hangup"}))
	must(t, j.Add("done", Step{Kind: Ended}))
	must(t, j.Acknowledge("done", "Maria", ByKey))
	var file []byte
	for _, e := range j.All() {
		for i, s := range e.Steps {
			text, err := Line(fold(e.Facts, e.Steps[:i+1]), s)
			must(t, err)
			file = append(append(file, text...), '\n')
			if i == 0 {
				file = append(append(file, text...), '\n') // told twice
			}
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "emergency.jsonl"), append(file, `{"call":"torn","seq":1,"at`...), 0o600))
	list, err := Read(dir, "emergency")
	must(t, err)
	if len(list) != 5 || list[0].ID != "old" {
		t.Fatalf("%+v", list)
	}

	path := filepath.Join(dir, "after")
	after := journal(t, path, Options{Followers: []string{"card", "web"}, Now: func() time.Time { return t0.Add(time.Minute) }})
	must(t, after.Begin(room204("in RAM")))
	if n := after.Adopt(list, "card", t0.Add(-24*time.Hour)); n != 2 {
		t.Errorf("%d taken in", n)
	}
	for _, j := range []*Journal{after, journal(t, path, Options{Followers: []string{"card", "web"}})} {
		runs, _ := j.Get("runs")
		ended, _ := j.Get("ended")
		if runs.Open() || runs.EndCause != "power lost" || ended.EndCause != "hangup" || len(j.Unnoticed()) != 3 || runs.Caller.Display != "Room 204" {
			t.Errorf("%+v\n%+v", runs, ended)
		}
		// The card lacks only what is new; the others may lack all of it.
		if j.Behind("card") != 3+1 || j.Behind("web") != 3+3+1 {
			t.Errorf("%d and %d behind", j.Behind("card"), j.Behind("web"))
		}
	}
	if n := after.Adopt(list, "card", t0.Add(-24*time.Hour)); n != 0 {
		t.Errorf("%d taken in twice", n)
	}
	if m := Merge(list, after.All()); len(m) != 5 || len(m[1].Steps)+len(m[2].Steps)+len(m[3].Steps)+len(m[4].Steps) != 3+1+3+3 {
		t.Errorf("%+v", m)
	}
}

func TestDisplay(t *testing.T) {
	for want, f := range map[string]Facts{
		"911 ROOM 204":                         room204("x"),
		"TEST 933 ROOM 204":                    {Number: "933", Test: true, Caller: Caller{Display: "room 204"}},
		"112 EMPFANG":                          {Number: "112", Caller: Caller{Name: "Empfang"}},
		"SOS LOBBY":                            {Number: "urn:service:sos.fire", Place: "Lobby"},
		"911 UNKNOWN PHONE":                    {Number: "911", Caller: Caller{Display: " \x00\"\\ "}},
		"911 2204":                             {Number: "911", Caller: Caller{Number: "2204"}},
		"911 A X-EVIL: Y":                      {Number: "911", Caller: Caller{Display: "a\r\nX-Evil: y"}},
		"911 " + strings.Repeat("A", 31) + "…": {Number: "911", Caller: Caller{Display: strings.Repeat("a", 99)}},
	} {
		if got := f.Display(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// BenchmarkBegin is what a call waits for before its INVITE leaves: the record and its first INVITE step. Run it with
// TMPDIR on a tmpfs, as the box has it.
func BenchmarkBegin(b *testing.B) {
	j := journal(b, filepath.Join(b.TempDir(), "s"), Options{Followers: []string{"card"}})
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		id := fmt.Sprint(n)
		begin := time.Now()
		must(b, j.Begin(room204(id)))
		must(b, j.Add(id, Step{Kind: Invite, Trunk: "sbc-a", ELIN: "+12175559000"}))
		took = append(took, time.Since(begin))
		b.StopTimer()
		must(b, j.Add(id, Step{Kind: Ended}))
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
}
