package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/control"
	"holdfast/firmware/doctor"
	"holdfast/firmware/emergency"
	"holdfast/firmware/record"
	"holdfast/firmware/report"
	"holdfast/hal"
	"holdfast/sip/trace"
)

const (
	secret   = "four words of nonsense"
	evil     = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>` + "\r\n\r\nevent: end\r\ndata: x\r\n"
	patience = 20 * time.Second
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeBox is a box in the middle of an outage in which all text from outside is hostile.
type fakeBox struct {
	mu     sync.Mutex
	orders []string
	status control.Status
	people []Person
	stream []Stream
	refuse error
}

func newFakeBox() *fakeBox {
	return &fakeBox{
		status: control.Status{
			Name: "box" + evil, Version: "1.0", Started: epoch.Add(-time.Hour), Mode: control.Mode{Name: "resilience", Since: epoch, Cause: evil},
			Zones:       []control.Zone{{Name: evil, Kind: "sip", Verdict: "down", At: epoch, Detail: evil}, {Name: "web", Kind: "https", Verdict: "up", At: epoch, RTT: 3}},
			Trunks:      []control.Trunk{{ID: evil, Error: evil, Since: epoch}, {ID: "sbc", Up: true, RTT: 0.5}},
			Phones:      control.Phones{Users: 1, Expected: 2, Bindings: 1, Unreachable: 1, Connections: 1},
			Calls:       []control.Call{{ID: "1-abc", State: "up", From: "u1", To: "trunk sbc", Dialled: evil, Codec: "PCMU", Began: epoch, Answered: epoch}, {ID: "2-help", State: "dialling", From: evil, To: evil, Began: epoch, Emergency: true}},
			Site:        control.Site{ID: "s", Name: evil, Serial: 7, Source: evil, Fetched: epoch, LastCheck: epoch, LastError: evil, Warnings: []string{evil}},
			Emergencies: []control.Emergency{{ID: "2-help", Title: "911 " + evil, State: "answered", Began: epoch, Caller: evil, Place: evil, Address: evil, Callback: evil, Trunk: evil, Alarms: []string{evil}}},
			Alarms:      []string{evil},
			Events:      []control.ModeEvent{{At: epoch, From: "normal", To: "resilience", Cause: evil}},
		},
		people: []Person{
			{ID: "u1", Name: "Ann " + evil, Extension: "1001", Zone: evil, Drilled: true, Phones: []Phone{{Agent: evil, Address: "10.0.0.9:5061", Registered: epoch, Expires: epoch.Add(time.Hour), Reachable: true}, {Agent: evil}}},
			{ID: "u2", Name: evil, Extension: "1002", Phones: []Phone{}},
		},
		stream: []Stream{{Call: "1-abc", Side: "access", Packets: 1000, Lost: 10, Jitter: time.Millisecond}, {Call: "1-abc", Side: "trunk", Packets: 1000, RTT: 20 * time.Millisecond}},
	}
}

func (f *fakeBox) note(what string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, what)
	return "did " + what, f.refuse
}

func (f *fakeBox) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.orders...)
}

func (f *fakeBox) change(edit func(*control.Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(&f.status)
}

func (f *fakeBox) Status() control.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}
func (f *fakeBox) People() []Person         { return f.people }
func (f *fakeBox) Streams() []Stream        { return f.stream }
func (f *fakeBox) Location() *time.Location { return time.UTC }
func (f *fakeBox) Check() Check             { return Check{[]string{evil}, []string{evil}} }
func (f *fakeBox) Pins() []control.Pin {
	return []control.Pin{{Trunk: evil, ELIN: evil, Caller: evil, Place: evil, Began: epoch, Expires: epoch.Add(time.Hour)}}
}
func (f *fakeBox) EmergencyLog(n int) ([]emergency.Emergency, error) {
	e := emergency.Emergency{Facts: emergency.Facts{ID: evil, At: epoch, Number: "911", Caller: emergency.Caller{Name: evil, Number: evil}, Place: evil, Address: evil}, ELIN: evil,
		Acknowledged: &emergency.Acknowledgement{By: evil, How: evil, At: epoch}, Steps: []emergency.Step{{Seq: 1, At: epoch, Kind: emergency.Kind(evil), Text: evil, Who: evil}}}
	return []emergency.Emergency{e}[:min(n, 1)], nil
}
func (f *fakeBox) Panel() control.Panel {
	return control.Panel{Board: "sim", Lights: []control.Light{control.NewLight("power", hal.Steady, evil), control.NewLight("alarm", hal.Fast, evil)}}
}
func (f *fakeBox) StartDrill(o control.DrillOrder) (string, error) {
	return f.note("drill " + o.By + " " + strings.Join(o.Users, ",") + " " + o.Limit.String())
}
func (f *fakeBox) StopDrill(by string) (string, error) { return f.note("stop " + by) }
func (f *fakeBox) Acknowledge(o control.AckOrder) (string, error) {
	return f.note("ack " + o.By + " " + o.How + " " + o.Call)
}
func (f *fakeBox) Fetch(_ context.Context, force bool) (string, error) { return f.note("fetch") }
func (f *fakeBox) EmergencyDrill(_ context.Context, o control.EmergencyDrillOrder, step func(control.DrillStep)) error {
	step(control.DrillStep{Name: evil, Detail: evil})
	_, err := f.note("test " + o.User)
	return err
}

// Ladder and Capture are those of one call.
func (f *fakeBox) Ladder(call string) (trace.Ladder, error) {
	if call != "1-abc" {
		return trace.Ladder{}, errors.New("nothing is kept of a call " + call)
	}
	return trace.Ladder{Call: evil, Participants: []trace.Participant{{Name: evil, Address: evil, Side: "access"}, {Name: "Holdfast", Side: "box"}},
		Arrows: []trace.Arrow{{At: epoch, From: 0, To: 1, Label: "INVITE " + evil, Note: "SDP", Text: evil}, {At: epoch, From: 1, To: 0, Label: "486", Status: 486}}}, nil
}
func (f *fakeBox) Capture(w io.Writer, call string) error {
	if call != "1-abc" {
		return errors.New("nothing is kept")
	}
	_, err := io.WriteString(w, "capture")
	return err
}

// Reports has one report.
func (f *fakeBox) Reports() ([]report.Summary, error) {
	return []report.Summary{{ID: "20260301T120000Z", Kind: report.Drill, Began: epoch, Ended: epoch.Add(time.Minute), Expected: 3, Came: 2}}, nil
}
func (f *fakeBox) Report(id string) (*report.Report, error) {
	if id != "20260301T120000Z" {
		return nil, report.ErrUnknown
	}
	return &report.Report{ID: id, Kind: report.Drill, Box: evil, Began: epoch, Ended: epoch.Add(time.Minute), Site: report.Site{Name: evil}}, nil
}

// rig is a server with a person of each role and clients that behave as browsers do.
type rig struct {
	t    *testing.T
	box  *fakeBox
	srv  *Server
	web  *httptest.Server
	log  *Tail
	tick func(time.Duration)
}

func newRig(t *testing.T, edit ...func(*Options)) *rig {
	t.Helper()
	var mu sync.Mutex
	now := epoch.Add(time.Minute)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	r := &rig{t: t, box: newFakeBox(), log: &Tail{}, tick: func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}}
	// Cheap hashes: the real cost would be most of the tests' time.
	salt := []byte("0123456789abcdef")
	cheap := "$argon2id$v=19$m=8,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(secret), salt, 1, 8, 1, 32))
	file := filepath.Join(t.TempDir(), "accounts.json")
	writeAccounts(t, file, []account.User{{Name: "viewer", Role: account.Viewer, Hash: cheap}, {Name: "desk", Role: account.FrontDesk, Hash: cheap}, {Name: "root", Role: account.Admin, Hash: cheap}})
	accounts := account.Open(file, clock)
	o := Options{Name: "box" + evil, Certificate: func() *tls.Certificate { return nil }, Accounts: accounts, Box: r.box, Tracer: r.box, Reports: r.box,
		Log: slog.New(r.log.Handler(slog.DiscardHandler)), Tail: r.log, Now: clock,
		Examine: func(context.Context) []doctor.Finding {
			return []doctor.Finding{{Area: evil, Verdict: doctor.Warn, Text: evil, Fix: evil}}
		}}
	for _, e := range edit {
		e(&o)
	}
	srv, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.srv = srv
	r.web = httptest.NewUnstartedServer(r.srv.Handler())
	r.web.EnableHTTP2 = true
	r.web.StartTLS()
	ctx, stop := context.WithCancel(context.Background())
	live := make(chan struct{})
	go func() { defer close(live); r.srv.live.run(ctx) }()
	t.Cleanup(func() {
		r.web.CloseClientConnections()
		r.web.Close()
		stop()
		<-live
	})
	r.srv.Ended(record.Call{ID: "0-old", Start: epoch, End: epoch, From: evil, Dialled: evil, EndCause: evil, Status: 486, Legs: []record.Leg{{Party: evil}}})
	r.srv.history.add(epoch, r.box.stream, map[string]string{"1-abc": "PCMU"})
	return r
}

// writeAccounts makes the file of these people, and of a token that nobody has.
func writeAccounts(t *testing.T, file string, users []account.User) {
	t.Helper()
	data, err := json.Marshal(map[string]any{"users": users, "tokens": []account.Token{{ID: "1-abc", Name: evil, Scopes: []string{"read"}, Hash: "of none"}}})
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request as the browser of somebody who holds cookie would from the page itself; edit changes that.
func (r *rig) do(method, path, cookie string, body io.Reader, edit ...func(*http.Request)) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, r.web.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if strings.Contains(path, "%") || strings.Contains(path, "..") || strings.Contains(path, "//") {
		req.URL.Opaque = "//" + req.URL.Host + path // exactly these bytes
	}
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
	}
	if method == "POST" && !strings.HasPrefix(path, "/api/") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, e := range edit {
		e(req)
	}
	client := *r.web.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = patience
	res, err := client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

func (r *rig) post(path, cookie string, values url.Values, edit ...func(*http.Request)) answer {
	r.t.Helper()
	return r.do("POST", path, cookie, strings.NewReader(values.Encode()), edit...)
}

func (r *rig) json(method, path, cookie string, in any, edit ...func(*http.Request)) answer {
	r.t.Helper()
	data, err := json.Marshal(in)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.do(method, path, cookie, bytes.NewReader(data), edit...)
}

// login returns the cookie.
func (r *rig) login(name string) string {
	r.t.Helper()
	a := r.post("/login", "", url.Values{"name": {name}, "password": {secret}})
	for _, line := range a.header.Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == cookieName {
			return c.Value
		}
	}
	r.t.Fatalf("no cookie for %s: %d %.300s", name, a.status, a.body)
	return ""
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
}
