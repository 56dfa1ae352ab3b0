package admin

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/control"
)

// events is a stream as a browser hears it.
type events struct {
	t    *testing.T
	scan *bufio.Scanner
}

// listen opens a live page.
func (r *rig) listen(path, cookie string) *events {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", r.web.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
	res, err := r.web.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%s: %d %v", path, res.StatusCode, res.Header)
	}
	e := &events{r.t, bufio.NewScanner(res.Body)}
	e.scan.Buffer(nil, 1<<20)
	return e
}

// next is the next event's kind, its part and what it holds; "" when the stream has ended.
func (e *events) next() (kind, part, text string) {
	e.t.Helper()
	var data []string
	for e.scan.Scan() {
		line := e.scan.Text()
		switch {
		case line == "" && kind != "":
			if len(data) > 0 {
				part = data[0]
			}
			return kind, part, strings.Join(data[min(1, len(data)):], "\n")
		case strings.HasPrefix(line, "event: "):
			kind = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data: "):
			data = append(data, strings.TrimPrefix(line, "data: "))
		}
	}
	return "", "", ""
}

// TestLivePage: all parts come at first, then only those that have changed.
func TestLivePage(t *testing.T) {
	r := newRig(t)
	e := r.listen("/live/overview", r.login("viewer"))
	seen := map[string]string{}
	for range 6 {
		kind, part, text := e.next()
		if kind != "part" {
			t.Fatalf("%q %q", kind, part)
		}
		seen[part] = text
	}
	for _, part := range []string{"top", "hero", "panel", "timeline", "cloud", "talk"} {
		if seen[part] == "" {
			t.Errorf("%s did not come", part)
		}
	}
	if strings.Contains(seen["top"], "<button") || !strings.Contains(seen["hero"], "Resilience") {
		t.Errorf("a viewer sees %.500s", seen["top"])
	}
	r.box.change(func(s *control.Status) { s.Calls = nil })
	if kind, part, text := e.next(); kind != "part" || part != "talk" || !strings.Contains(text, "Nobody talks") {
		t.Errorf("after a change of calls: %q %q %.200s", kind, part, text)
	}
}

// TestLiveButtons: rights are those of who looks, in what is sent too.
func TestLiveButtons(t *testing.T) {
	r := newRig(t)
	for name, want := range map[string]bool{"viewer": false, "desk": true, "root": true} {
		e := r.listen("/live/emergency", r.login(name))
		for {
			_, part, text := e.next()
			if part == "emergency-open" {
				if strings.Contains(text, "<button") != want {
					t.Errorf("%s: %.300s", name, text)
				}
				break
			}
		}
	}
	cookie := r.login("viewer")
	for _, path := range []string{"/live/log", "/live/nothing", "/live/account"} {
		if a := r.do("GET", path, cookie, nil); a.status != 404 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// TestLiveEnds: with the topic when the last viewer leaves, and for a viewer when there are too many.
func TestLiveEnds(t *testing.T) {
	r := newRig(t)
	l := r.srv.live
	p, _ := pageNamed("overview")
	k := topicKey{"overview", "", account.Read}
	var topics []*topic
	for range mostViewers {
		x, ok := l.join(k, p)
		if !ok {
			t.Fatal("refused too early")
		}
		topics = append(topics, x)
	}
	if a := r.do("GET", "/live/overview", r.login("viewer"), nil); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", a.status)
	}
	for _, x := range topics {
		l.leave(k, x)
	}
	l.mu.Lock()
	left, viewers := len(l.topics), l.viewers
	l.mu.Unlock()
	if left != 0 || viewers != 0 {
		t.Errorf("%d topics and %d viewers are left", left, viewers)
	}
	for i := range mostTopics + 1 {
		_, ok := l.join(topicKey{"call", strings.Repeat("x", i), account.Read}, p)
		if ok != (i < mostTopics) {
			t.Errorf("topic %d: %v", i, ok)
		}
	}
}

// TestSlowViewer: who does not read gets the last state, not a queue of all.
func TestSlowViewer(t *testing.T) {
	t1 := &topic{changed: make(chan struct{})}
	l := &live{}
	for i := range 100 {
		t1.take([]part{{name: "a", sum: uint64(i + 1), frame: []byte{byte(i)}}, {name: "b", sum: 7, frame: []byte("b")}})
	}
	frames, version, _, _ := l.news(t1, 0)
	if len(frames) != 2 || frames[0][0] != 99 || version != 100 {
		t.Errorf("%d frames, version %d", len(frames), version)
	}
	if frames, _, changed, _ := l.news(t1, version); len(frames) != 0 {
		t.Errorf("old news: %q", frames)
	} else {
		t1.take([]part{{name: "a", sum: 100}})
		select {
		case <-changed:
			t.Error("told of no change")
		default:
		}
		t1.take([]part{{name: "a", sum: 101}})
		select {
		case <-changed:
		case <-time.After(patience):
			t.Error("not told of a change")
		}
	}
}

// TestQuietPage: a page on which nothing happens stays open, and hears that the box is there.
func TestQuietPage(t *testing.T) {
	r := newRig(t)
	r.srv.live.quiet, r.srv.live.patient = 300*time.Millisecond, 100*time.Millisecond
	cookie := r.login("viewer")
	e := r.listen("/live/site", cookie)
	for range 2 {
		if kind, part, _ := e.next(); kind != "part" {
			t.Fatalf("%q %q", kind, part)
		}
	}
	for range 3 {
		if kind, _, _ := e.next(); kind != "here" {
			t.Fatalf("%q", kind)
		}
	}
	if err := r.srv.o.Accounts.Remove("viewer"); err != nil {
		t.Fatal(err)
	}
	for {
		kind, _, _ := e.next()
		if kind == "end" {
			break
		}
		if kind != "here" {
			t.Fatalf("after the account was removed: %q", kind)
		}
	}
}
