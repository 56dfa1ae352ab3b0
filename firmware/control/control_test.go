package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 30 * time.Second

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// full has every field set, so that none is lost on the way.
var full = Status{
	Name: "branch-7", Version: "1.2 (abc)", Started: epoch,
	Mode:        Mode{"drill", epoch, "drill started by ann", epoch.Add(time.Hour), []string{"alice"}},
	Emergencies: []Emergency{{"c1", "911 ROOM 204", "answered", true, epoch, epoch, epoch, "Guest, 2204", "Second floor", "100 Main St", "+12175559000", "sbc-a", "Maria", []string{"no G.711"}}},
	Zones:       []Zone{{"east", "sip", "up", epoch, 1.23, "200"}},
	Trunks:      []Trunk{{"sbc-a", "10.0.0.60:5061", true, epoch, 0.5, "none"}},
	Phones:      Phones{1, 2, 3, 4, 5},
	Calls:       []Call{{"id", "up", "1001", "1002", "1002", "opus", epoch, epoch, true}},
	Site:        Site{"s", "Site", 42, "portal", epoch, epoch, "late", []string{"w"}},
	Media:       Media{1, 2, 3, 4},
	Update:      Update{"a", "waiting", "b", []string{"2 calls"}, "b", map[string]string{"a": "whole", "b": "damaged"}},
	Alarms:      []string{"a"},
	Events:      []ModeEvent{{epoch, "normal", "drill", "x", []Zone{{Name: "east"}}}},
}

// fake is a box that notes what it is asked.
type fake struct {
	mu     sync.Mutex
	status Status
	err    error
	asked  []string
	fetch  func(context.Context) // while a fetch runs
}

func (f *fake) note(what string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, what)
	return "did " + what, f.err
}

func (f *fake) Status() Status { return f.status }
func (f *fake) StartDrill(o DrillOrder) (string, error) {
	b, _ := json.Marshal(o)
	return f.note("start " + string(b))
}
func (f *fake) StopDrill(by string) (string, error) { return f.note("stop " + by) }
func (f *fake) Fetch(ctx context.Context, force bool) (string, error) {
	if f.fetch != nil {
		f.fetch(ctx)
	}
	if force {
		return f.note("fetch by force")
	}
	return f.note("fetch")
}

// serve runs a server until the test ends or stop is called.
func serve(t *testing.T, dir string, b Box) (*Client, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, dir, b) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("Serve does not end")
		}
	})
	t.Cleanup(stop)
	path := filepath.Join(dir, SocketName)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return NewClient(path), stop
		}
		if time.Now().After(end) {
			t.Fatal("nobody listens")
		}
	}
}

func TestRoundTrip(t *testing.T) {
	f := &fake{status: full}
	c, stop := serve(t, t.TempDir(), f)
	ctx := t.Context()
	s, err := c.Status(ctx)
	if err != nil || !reflect.DeepEqual(s, full) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, s, full)
	}
	if v := reflect.ValueOf(full); true { // every field is set, or the comparison would not see one that is lost
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("full.%s is not set", v.Type().Field(i).Name)
			}
		}
	}
	for _, step := range []struct {
		do   func() (string, error)
		want string
	}{
		{func() (string, error) {
			return c.StartDrill(ctx, DrillOrder{By: "Ann & Co", Users: []string{"1001", "ü"}, Limit: 90 * time.Second})
		}, `start {"by":"Ann \u0026 Co","users":["1001","ü"],"limit":90000000000}`},
		{func() (string, error) { return c.StartDrill(ctx, DrillOrder{}) }, `start {"by":"","limit":0}`},
		{func() (string, error) { return c.StopDrill(ctx, "Ann & Co=?") }, "stop Ann & Co=?"},
		{func() (string, error) { return c.Fetch(ctx, false) }, "fetch"},
		{func() (string, error) { return c.Fetch(ctx, true) }, "fetch by force"},
	} {
		msg, err := step.do()
		if asked := f.asked[len(f.asked)-1]; err != nil || asked != step.want || msg != "did "+step.want {
			t.Errorf("asked %q, got %q, %v; want %q", asked, msg, err, step.want)
		}
	}
	f.err = errors.New("a drill is already running")
	if _, err := c.StartDrill(ctx, DrillOrder{}); err == nil || err.Error() != f.err.Error() {
		t.Errorf("the box's refusal reads %v", err)
	}
	stop()
	if _, err := c.Status(ctx); err == nil || !strings.Contains(err.Error(), "no box is running here") {
		t.Errorf("after the end: %v", err)
	}
	if _, err := os.Stat(c.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestOnlyTheOwnerMayConnect(t *testing.T) {
	c, _ := serve(t, t.TempDir(), &fake{})
	i, err := os.Stat(c.path)
	if err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", i.Mode(), err)
	}
}

// TestStaleSocket: what a killed daemon leaves behind does not keep the next from running; a running one does.
func TestStaleSocket(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := NewClient(filepath.Join(dir, SocketName)).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "no box is running here") {
		t.Errorf("nobody behind the socket: %v", err)
	}
	c, _ := serve(t, dir, &fake{status: full})
	if err := Serve(t.Context(), dir, &fake{}); err == nil || !strings.Contains(err.Error(), "another box is running") {
		t.Errorf("a second box: %v", err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.Name != full.Name {
		t.Errorf("the first box was disturbed: %v", err)
	}
}

func TestServeErrors(t *testing.T) {
	occupied := t.TempDir()
	if err := os.MkdirAll(filepath.Join(occupied, SocketName, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		filepath.Join(t.TempDir(), "missing"):       "control socket: listen unix",
		occupied:                                    "control socket: remove",
		"/tmp/" + strings.Repeat("a/", longestPath): "longer than 107 bytes: choose another run_dir",
	} {
		if err := Serve(t.Context(), dir, &fake{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", dir, err, want)
		}
	}
}

// TestClientErrors: what a person reads when it does not work says what to do.
func TestClientErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.sock"):            "start it with `holdfast run -c holdfast.toml`, or name another socket with --socket",
		filepath.Join(dir, "no", "dir", "n.sock"):  "no box is running here",
		filepath.Join(file, "below a file"):        "ask the box:",
		"/tmp/" + strings.Repeat("a", longestPath): "ask the box:",
	} {
		_, err := NewClient(path).Status(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o700); err != nil {
		t.Fatal(err)
	}
	c, _ := serve(t, locked, &fake{})
	if err := os.Chmod(c.path, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // root may open everything
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "as root") {
			t.Errorf("a locked socket: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestStrangeAnswers: the socket belongs to something else.
func TestStrangeAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strange.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan func(http.ResponseWriter), 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { (<-answers)(w) })}
	go srv.Serve(l)
	defer srv.Close()
	for want, answer := range map[string]func(http.ResponseWriter){
		"the box answers 418":         func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) },
		"read the box's answer: EOF":  func(http.ResponseWriter) {},
		"read the box's answer: inva": func(w http.ResponseWriter) { io.WriteString(w, "<html>") },
	} {
		answers <- answer
		if _, err := NewClient(path).Status(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	answers <- func(w http.ResponseWriter) { // a page without end
		w.WriteHeader(http.StatusTeapot)
		for range 100 {
			w.Write(bytes.Repeat([]byte("x"), 1000))
		}
	}
	if _, err := NewClient(path).Status(t.Context()); err == nil || len(err.Error()) > 4096 {
		t.Error("an endless reason was read")
	}
}

// TestBadRequests go straight to the socket.
func TestBadRequests(t *testing.T) {
	f := &fake{}
	c, _ := serve(t, t.TempDir(), f)
	for _, r := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/drill/start", "{", 400, "bad order: "},
		{"POST", "/drill/start", `{"limit":"1h"}`, 400, "bad order: "},
		{"POST", "/drill/start", "", 400, "bad order: "},
		{"POST", "/drill/start", `{"by":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "too large"},
		{"GET", "/drill/start", "", 405, ""},
		{"DELETE", "/status", "", 405, ""},
		{"GET", "/", "", 404, ""},
	} {
		req, err := http.NewRequest(r.method, "http://holdfast"+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != r.status || !strings.Contains(string(body), r.want) {
			t.Errorf("%s %s: %d %s", r.method, r.path, res.StatusCode, body)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("the box was asked %q", f.asked)
	}
}

// TestEndWaits: Serve returns after the last answer, and the end reaches what is under way.
func TestEndWaits(t *testing.T) {
	running := make(chan struct{})
	done := false
	f := &fake{fetch: func(ctx context.Context) {
		close(running)
		<-ctx.Done()
		done = true
	}}
	c, stop := serve(t, t.TempDir(), f)
	answered := make(chan error, 1)
	go func() {
		_, err := c.Fetch(context.Background(), false)
		answered <- err
	}()
	<-running
	stop()
	if !done {
		t.Error("Serve ended before the fetch")
	}
	if err := <-answered; err != nil {
		t.Errorf("the answer did not get out: %v", err)
	}
}
