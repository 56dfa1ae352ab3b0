package admin

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxBundle bounds an update, in bytes: an image is 64 MB compressed.
const maxBundle = 256 << 20

// An upload may take long, but it must move: so long for each piece.
const pieceWithin = 30 * time.Second

// UpdateState is how far an update is.
type UpdateState struct {
	Running bool      `json:"running"`
	Doing   string    `json:"doing,omitempty"`
	Total   int64     `json:"total_bytes,omitempty"` // 0: unknown
	Written int64     `json:"written_bytes,omitempty"`
	By      string    `json:"by,omitempty"`
	Began   time.Time `json:"began,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// Percent is how much is written, 0 to 100.
func (u UpdateState) Percent() int {
	if u.Total <= 0 {
		return 0
	}
	return int(min(100, 100*u.Written/u.Total))
}

// update is the running or the last one.
type update struct {
	mu  sync.Mutex
	now UpdateState
}

func (u *update) state() UpdateState {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.now
}

func (u *update) begin(s UpdateState) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now.Running {
		return false
	}
	u.now = s
	return true
}

func (u *update) progress(written int64, doing string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.now.Written, u.now.Doing = written, doing
}

func (u *update) end(at time.Time, err error) UpdateState {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.now.Running, u.now.Ended = false, at
	if err != nil {
		u.now.Error = err.Error()
	}
	return u.now
}

// putUpdate takes a bundle. It is not kept: the updater writes it where it belongs while it comes in, and believes nothing
// before the signature over the whole is right.
func (s *Server) putUpdate(w http.ResponseWriter, r *http.Request) {
	me := whoIs(r)
	switch {
	case s.o.Updater == nil:
		refuse(w, r, http.StatusNotFound, "this box takes no updates: it does not run from Holdfast's image")
		return
	case r.ContentLength > maxBundle:
		refuse(w, r, http.StatusRequestEntityTooLarge, "this is larger than an update can be")
		return
	case !s.update.begin(UpdateState{Running: true, Doing: "receiving", Total: max(r.ContentLength, 0), By: me.name, Began: s.now().UTC()}):
		refuse(w, r, http.StatusConflict, "another update is running")
		return
	}
	s.log.Warn("update begins", "by", me.name, "bytes", r.ContentLength)
	s.live.nudge()
	out := http.NewResponseController(w)
	out.SetWriteDeadline(time.Time{})
	body := &moving{http.MaxBytesReader(w, r.Body, maxBundle), out}
	err := s.o.Updater.Update(r.Context(), body, r.URL.Query().Get("force") == "true", s.update.progress)
	state := s.update.end(s.now().UTC(), err)
	s.live.nudge()
	out.SetWriteDeadline(time.Now().Add(answerWithin))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, r, http.StatusRequestEntityTooLarge, "this is larger than an update can be")
	case err != nil:
		s.log.Error("update", "by", me.name, "err", err)
		refuse(w, r, http.StatusUnprocessableEntity, err.Error())
	default:
		s.log.Warn("update is in place", "by", me.name)
		writeJSON(w, http.StatusOK, state)
	}
}

// moving renews the deadline with every piece.
type moving struct {
	io.Reader
	out *http.ResponseController
}

// Read implements io.Reader.
func (m *moving) Read(p []byte) (int, error) {
	m.out.SetReadDeadline(time.Now().Add(pieceWithin))
	return m.Reader.Read(p)
}
