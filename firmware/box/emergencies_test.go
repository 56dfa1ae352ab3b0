package box

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/config"
	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/mode"
	"holdfast/firmware/outbox"
	"holdfast/firmware/webhook"
	"holdfast/sip/b2bua"
)

// emergencyBox is a box with all that keeps emergency calls and tells of them, and no phones. stop ends it; a new one in
// the same folder is the next life of the program.
func emergencyBox(t *testing.T, dir string, change func(*Box), takenUp ...string) (b *Box, stop func()) {
	t.Helper()
	b = inMode(t, mode.Normal)
	b.cfg = &config.Config{Name: "branch-7", DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run")}
	if change != nil {
		change(b)
	}
	b.site.Store(oneUser(t, ""))
	b.pinned = openPins(dir, b.log)
	for _, build := range []func() error{b.openFolders, b.openState, b.buildRecords, b.buildEmergencies} {
		if err := build(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	b.desk = newDesk(b)
	b.resumeEmergencies(takenUp)
	runs := []func(context.Context) error{b.outbox.Run, b.records.Run, b.notices.Run, b.tidyEmergencies,
		func(ctx context.Context) error { return b.journal.Follow(ctx, onCard, b.emergencyToCard) }}
	if b.webhook != nil {
		runs = append(runs,
			func(ctx context.Context) error { return b.journal.Follow(ctx, webhook.Kind, b.webhook.Follow) },
			func(ctx context.Context) error { return b.outbox.Deliver(ctx, webhook.Kind, b.webhook.Deliver) })
	}
	for _, run := range runs {
		group.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return b, sync.OnceFunc(func() { cancel(); group.Wait(); b.close() })
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain: " + what)
		}
	}
}

func onTheCard(t *testing.T, b *Box) {
	t.Helper()
	eventually(t, "the card has the steps", func() bool { return b.journal.Behind(onCard) == 0 })
}

func begin(t *testing.T, b *Box, id string, test bool) {
	t.Helper()
	number := "911"
	if test {
		number = "933"
	}
	err := errors.Join(b.journal.Begin(emergency.Facts{ID: id, Dialled: number, Number: number, Test: test, Caller: emergency.Caller{User: "u204", Name: "Guest", Number: "2204", Display: "Room 204"}}),
		b.journal.Add(id, emergency.Step{Kind: emergency.Invite, Trunk: "sbc-a", ELIN: "+12175559000", Address: "100 Main St"}))
	if err != nil {
		t.Fatal(err)
	}
}

// TestEmergencyOverRestartAndPowerCut: a call that the program's death ends is told of until somebody acknowledges, after
// a restart and after a power cut, and not after that.
func TestEmergencyOverRestartAndPowerCut(t *testing.T) {
	dir := t.TempDir()
	b, stop := emergencyBox(t, dir, nil)
	begin(t, b, "c1", false)
	if s := b.emergencies(); len(s) != 1 || s[0].State != "calling" || s[0].Title != "911 ROOM 204" || s[0].Caller != "Guest, 2204" || s[0].Callback != "+12175559000" || b.unacknowledged() != 1 {
		t.Errorf("%+v", s)
	}
	onTheCard(t, b)
	stop()

	b, stop = emergencyBox(t, dir, nil, "c1")
	if e, _ := b.journal.Get("c1"); !e.Open() || !slices.ContainsFunc(e.Steps, func(s emergency.Step) bool { return s.How == b2bua.TakenUp }) || len(b.desk.cuts) != 0 {
		t.Errorf("taken up: %+v", e)
	}
	stop()

	b, stop = emergencyBox(t, dir, nil)
	if s := b.emergencies(); len(s) != 1 || s[0].State != "ended" || !slices.Contains(s[0].Alarms, "the program was restarted during the call") {
		t.Errorf("%+v", s)
	}
	if id := <-b.desk.cuts; id != "c1" {
		t.Errorf("the security desk hears of %q", id)
	}
	begin(t, b, "c2", false)
	onTheCard(t, b)
	stop()

	cutPower(t, dir)
	b, stop = emergencyBox(t, dir, nil)
	if s := b.emergencies(); len(s) != 2 || s[1].State != "ended" || !slices.Contains(s[1].Alarms, "the box lost its power") {
		t.Errorf("%+v", s)
	}
	if _, err := b.Acknowledge(control.AckOrder{By: "Maria", How: emergency.ByKey}); err == nil {
		t.Error("a command passes for a key on a phone")
	}
	msg, err := b.Acknowledge(control.AckOrder{By: "Maria", How: emergency.ByCommand})
	if err != nil || strings.Count(msg, "911 ROOM 204") != 2 || len(b.emergencies()) != 0 || b.unacknowledged() != 0 {
		t.Errorf("%q %v", msg, err)
	}
	onTheCard(t, b)
	stop()

	cutPower(t, dir)
	b, stop = emergencyBox(t, dir, nil)
	defer stop()
	if s := b.emergencies(); len(s) != 0 {
		t.Errorf("told again: %+v", s)
	}
	list, err := b.EmergencyLog(1)
	if err != nil || len(list) != 1 || list[0].ID != "c2" || list[0].Acknowledged.By != "Maria" {
		t.Errorf("%+v %v", list, err)
	}
	if list, err = b.EmergencyLog(10); err != nil || len(list) != 2 ||
		!slices.ContainsFunc(list[0].Steps, func(s emergency.Step) bool { return s.Kind == emergency.Restart }) {
		t.Errorf("%+v %v", list, err)
	}
}

// cutPower empties what is in RAM.
func cutPower(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, "run")); err != nil {
		t.Fatal(err)
	}
}

// TestDeadCard: a card that cannot be written costs the call nothing, and somebody is told of it.
func TestDeadCard(t *testing.T) {
	dir := t.TempDir()
	b, stop := emergencyBox(t, dir, func(*Box) {
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"outbox", "records"} { // files where the folders should be
			if err := os.WriteFile(filepath.Join(dir, "data", name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	defer stop()
	start := time.Now()
	for n := range 50 {
		begin(t, b, fmt.Sprint("call-", n), false)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("50 calls took %s", took)
	}
	eventually(t, "an alarm", func() bool {
		return slices.ContainsFunc(b.emergencyAlarms(time.Now()), func(s string) bool { return strings.Contains(s, "are in RAM only") })
	})
	if len(b.emergencies()) != 50 {
		t.Errorf("%d calls are known", len(b.emergencies()))
	}
}

func TestEmergencyWebhook(t *testing.T) {
	const secret = "0123456789abcdef"
	got := make(chan webhook.Alert, 100)
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err == nil {
			_, err = webhook.Verify(r.Header, []byte(secret), body, time.Now(), time.Minute)
		}
		var a webhook.Alert
		if err = errors.Join(err, json.Unmarshal(body, &a)); err != nil {
			t.Error(err)
		}
		got <- a
	}))
	defer other.Close()
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b, stop := emergencyBox(t, dir, func(b *Box) {
		b.cfg.Webhook = config.Webhook{URL: other.URL, SecretFile: file("secret", []byte(secret+"\n")),
			Roots: file("roots.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw}))}
	})
	defer stop()
	begin(t, b, "test", true)
	begin(t, b, "c1", false)
	if _, err := b.Acknowledge(control.AckOrder{By: "Maria", How: emergency.ByCommand, Call: "c1"}); err != nil {
		t.Error(err)
	}
	var events []string
	for range 3 {
		a := <-got
		if events = append(events, a.Event); a.Call != "c1" || a.Box != "branch-7" || a.Site != "branch" {
			t.Errorf("%+v", a)
		}
	}
	if want := []string{"emergency.began", "emergency.placed", "emergency.acknowledged"}; !slices.Equal(events, want) {
		t.Errorf("%v", events)
	}
	if alarms := b.emergencyAlarms(time.Now()); len(alarms) != 0 {
		t.Errorf("%v", alarms)
	}
	b.emergencyStep(b2bua.EmergencyEvent{Kind: b2bua.AlarmRaised, At: time.Now(), ELIN: "+12175550911", Text: "nobody took it"}) // a callback to no pin
	if alarms := b.emergencyAlarms(time.Now()); len(alarms) != 1 || !strings.Contains(alarms[0], "+12175550911") {
		t.Errorf("%v", alarms)
	}
	if alarms := b.emergencyAlarms(time.Now().Add(2 * unclaimedFor)); len(alarms) != 0 {
		t.Errorf("for ever: %v", alarms)
	}
}

func TestWebhookSettings(t *testing.T) {
	none, good := filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "good")
	put(t, good, []byte("sixteen bytes or more"))
	for name, w := range map[string]config.Webhook{
		"no secret file": {URL: "https://a.example/", SecretFile: none},
		"no roots file":  {URL: "https://a.example/", SecretFile: good, Roots: none},
		"empty secret":   {URL: "https://a.example/", SecretFile: os.DevNull},
	} {
		b := &Box{cfg: &config.Config{Webhook: w}, log: rigLog(), outbox: new(outbox.Box)}
		if err := b.buildWebhook(); err != nil || len(b.storage) != 1 || !strings.Contains(b.storage[0], "nobody outside is told of emergency calls until that is mended") {
			t.Errorf("%s: %v, alarms %q", name, err, b.storage)
		}
		if signs := w.SecretFile == good; (b.webhook != nil) != signs {
			t.Errorf("%s: there is a webhook: %t", name, !signs)
		}
	}
	if b := (&Box{cfg: &config.Config{}}); b.buildWebhook() != nil || b.webhook != nil {
		t.Error("a webhook that nobody asked for")
	}
}

func TestEmergencyDrillRefuses(t *testing.T) {
	b, stop := emergencyBox(t, t.TempDir(), nil)
	defer stop()
	order := func(user, number string) error {
		return b.EmergencyDrill(t.Context(), control.EmergencyDrillOrder{User: user, Number: number, By: "ann"}, func(control.DrillStep) {})
	}
	for _, c := range []struct{ user, number, want string }{
		{"1001", "911", "a real emergency number"},
		{"1001", "1001", "not a test number"},
		{"nobody", "933", "nobody here is called"},
	} {
		if err := order(c.user, c.number); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s calls %q: %v", c.user, c.number, err)
		}
	}
	var got control.EmergencyDrillOrder
	b.emergencyDrill = func(_ context.Context, o control.EmergencyDrillOrder, _ func(control.DrillStep)) error {
		got = o
		return nil
	}
	if err := order("1001", ""); err != nil || got.User != "alice" || got.Number != "933" {
		t.Errorf("%+v %v", got, err)
	}
	if b.Pins() == nil || len(b.Pins()) != 0 {
		t.Error("pins are no list")
	}
}
