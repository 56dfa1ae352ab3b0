package admin

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"holdfast/firmware/admin/account"
)

// How often pages are made anew, how often a quiet one is told that the box is there, and how long one that does not take
// its changes is waited for.
const (
	liveEvery  = time.Second
	quietFor   = 10 * time.Second
	takeWithin = 10 * time.Second
)

// mostTopics bounds how many different pages are kept live, and mostViewers how many look.
const (
	mostTopics  = 128
	mostViewers = 512
)

// live keeps pages up to date that somebody looks at. A page is made once for all who look at it with the same rights; each
// of them gets the parts that are newer than what it has. Nothing is queued: who is slow misses steps in between, not the
// last one.
type live struct {
	s       *Server
	quiet   time.Duration // quietFor
	patient time.Duration // takeWithin
	mu      sync.Mutex
	topics  map[topicKey]*topic
	viewers int
	wake    chan struct{}
	again   chan struct{} // closed when viewers have to say anew who they are
}

type topicKey struct {
	page, param string
	scopes      account.Scope
}

// topic is one page as it is now.
type topic struct {
	page    page
	viewers int
	version uint64
	parts   []part
	changed chan struct{} // closed at the next change
}

type part struct {
	name    string
	sum     uint64
	version uint64
	frame   []byte // as it goes over the wire
}

func newLive(s *Server) *live {
	return &live{s: s, quiet: quietFor, patient: takeWithin, topics: make(map[topicKey]*topic), wake: make(chan struct{}, 1), again: make(chan struct{})}
}

// run makes pages until ctx ends.
func (l *live) run(ctx context.Context) {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.wake:
		}
		l.refresh()
	}
}

// nudge makes pages at once: something was done.
func (l *live) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// recheck has all viewers looked at again at once: an account is not what it was.
func (l *live) recheck() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.again)
	l.again = make(chan struct{})
}

// refresh renders what somebody looks at. The lock is not held while templates run.
func (l *live) refresh() {
	l.mu.Lock()
	keys := make([]topicKey, 0, len(l.topics))
	for k := range l.topics {
		keys = append(keys, k)
	}
	l.mu.Unlock()
	if len(keys) == 0 {
		return
	}
	snap := l.s.snapshot()
	for _, k := range keys {
		frames := l.render(snap, k)
		l.mu.Lock()
		if t := l.topics[k]; t != nil {
			t.take(frames)
		}
		l.mu.Unlock()
	}
}

var seed = maphash.MakeSeed()

// render makes all parts of a page.
func (l *live) render(snap *snapshot, k topicKey) []part {
	p, _ := pageNamed(k.page)
	v := &view{snapshot: snap, scopes: k.scopes, Param: k.param}
	parts := make([]part, 0, len(p.parts)+1)
	for _, name := range append([]string{"top"}, p.parts...) {
		html, err := l.s.pages.render(name, v)
		if err != nil {
			l.s.log.Error("live page", "err", err)
			continue
		}
		parts = append(parts, part{name: name, sum: maphash.Bytes(seed, html), frame: event(name, html)})
	}
	return parts
}

// event is a server-sent event (HTML, "Server-sent events", §9.2): the first line of its data is the part's name.
func event(name string, html []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: part\ndata: %s\n", name)
	for line := range bytes.SplitSeq(bytes.TrimSpace(html), []byte("\n")) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// take puts in what has changed. Called with the lock held.
func (t *topic) take(fresh []part) {
	any := false
	for _, f := range fresh {
		found := false
		for i := range t.parts {
			if old := &t.parts[i]; old.name == f.name {
				if found = true; old.sum != f.sum {
					f.version = t.version + 1
					*old, any = f, true
				}
			}
		}
		if !found {
			f.version = t.version + 1
			t.parts, any = append(t.parts, f), true
		}
	}
	if any {
		t.version++
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// join begins to look; false: there are too many.
func (l *live) join(k topicKey, p page) (*topic, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.topics[k]
	if l.viewers >= mostViewers || t == nil && len(l.topics) >= mostTopics {
		return nil, false
	}
	if t == nil {
		t = &topic{page: p, changed: make(chan struct{})}
		l.topics[k] = t
		l.nudge()
	}
	t.viewers++
	l.viewers++
	return t, true
}

func (l *live) leave(k topicKey, t *topic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers--
	if t.viewers--; t.viewers == 0 {
		delete(l.topics, k)
	}
}

// news are the frames since a version, and what to wait for then: a change, or that the viewer has to be looked at again.
func (l *live) news(t *topic, since uint64) (frames [][]byte, version uint64, changed, again <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range t.parts {
		if p.version > since {
			frames = append(frames, p.frame)
		}
	}
	return frames, t.version, t.changed, l.again
}

// serve is one viewer. It ends with the session.
func (l *live) serve(w http.ResponseWriter, r *http.Request) {
	p, ok := pageNamed(r.PathValue("page"))
	me := whoIs(r)
	if !ok || len(p.parts) == 0 || !me.scopes.Has(p.scope) {
		refuse(w, r, http.StatusNotFound, "there is no such page")
		return
	}
	k := topicKey{p.name, clip(r.PathValue("id"), 128), me.scopes}
	t, ok := l.join(k, p)
	if !ok {
		w.Header().Set("Retry-After", "10")
		refuse(w, r, http.StatusServiceUnavailable, "too many people look at the box")
		return
	}
	defer l.leave(k, t)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	send := func(frames ...[]byte) bool {
		if out.SetWriteDeadline(time.Now().Add(l.patient)) != nil {
			return false
		}
		defer out.SetWriteDeadline(time.Time{}) // HTTP/2 ends a stream whose deadline passes although nothing is written
		for _, f := range frames {
			if _, err := w.Write(f); err != nil {
				return false
			}
		}
		return out.Flush() == nil
	}
	if out.SetReadDeadline(time.Time{}) != nil || !send([]byte("retry: 2000\n\n")) {
		return
	}
	quiet := time.NewTicker(l.quiet)
	defer quiet.Stop()
	may := func() bool {
		again, err := l.s.identify(r)
		return err == nil && again.scopes == me.scopes
	}
	var version uint64
	for {
		frames, now, changed, again := l.news(t, version)
		if version = now; len(frames) > 0 && !send(frames...) {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-again:
			if !may() {
				send([]byte("event: end\ndata: \n\n"))
				return
			}
		case <-quiet.C:
			if !may() {
				send([]byte("event: end\ndata: \n\n"))
				return
			}
			if !send([]byte("event: here\ndata: \n\n")) {
				return
			}
		}
	}
}
