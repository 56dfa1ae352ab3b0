package update

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// SocketPath is where the updater answers: a folder of root's, so that nobody else can take its place.
const SocketPath = marksDir + "/updater.sock"

// Keeper is what the updater can be asked. Card is one, Client another.
type Keeper interface {
	Status(context.Context) (Status, error)
	Apply(ctx context.Context, r io.Reader, force bool) (Release, error)
	Confirm(context.Context) error
	GiveUp(context.Context) (bool, error)
	Reboot(context.Context) error
}

// Status is the card as it is.
type Status struct {
	Release
	Running  Slot   `json:"running"`
	Trial    bool   `json:"trial"` // this boot is a try
	State    State  `json:"state"`
	Writing  bool   `json:"writing"`         // an update is being written
	Stick    string `json:"stick,omitempty"` // why the update of a USB stick was not taken
	Switched bool   `json:"switched"`        // the next start boots State.Slot, because this boot has written so
	Slots    Slots  `json:"slots"`           // as a Sentry has found them
}

// Server is the updater: the card's owner, for the box's program that is not root.
type Server struct {
	Card   *Card
	Key    ed25519.PublicKey // whose bundles are taken; nil: nobody's
	Group  int               // may ask, besides root
	Reboot func() error
	Log    *slog.Logger
	stick  atomic.Pointer[string]
}

// Status is the card, and what became of a stick.
func (s *Server) Status() Status {
	now := s.Card.Status()
	if text := s.stick.Load(); text != nil {
		now.Stick = *text
	}
	return now
}

// Serve answers on the socket at path until ctx ends.
func (s *Server) Serve(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("updater: %w", err)
	}
	if err := errors.Join(os.Chown(path, 0, s.Group), os.Chmod(path, 0o660)); err != nil {
		l.Close()
		return fmt.Errorf("updater: %w", err)
	}
	srv := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("updater: %w", err)
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { Reply(w, r.Body, s.Status(), nil) })
	mux.HandleFunc("POST /apply", func(w http.ResponseWriter, r *http.Request) {
		release, err := s.apply(r.Context(), r.Body, Order{Force: r.FormValue("force") == "true"})
		Reply(w, r.Body, release, err)
	})
	mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
		err := s.Card.Confirm()
		s.note("confirmed", err)
		Reply(w, r.Body, struct{}{}, err)
	})
	mux.HandleFunc("POST /give-up", func(w http.ResponseWriter, r *http.Request) {
		back, err := s.Card.GiveUp()
		s.note("given up", err)
		Reply(w, r.Body, back, err)
	})
	mux.HandleFunc("POST /reboot", func(w http.ResponseWriter, r *http.Request) {
		s.note("the board restarts", nil)
		Reply(w, r.Body, struct{}{}, s.Reboot())
	})
	return mux
}

func (s *Server) apply(ctx context.Context, r io.Reader, o Order) (Release, error) {
	if s.Key == nil {
		return Release{}, errors.New("this box takes nobody's updates: write public_key in [update] of the boot file")
	}
	o.Key = s.Key
	m, err := s.Card.Apply(ctx, r, o, nil)
	if m == nil {
		s.note("update", err)
		return Release{}, err
	}
	s.note("update to "+m.Version, err)
	return m.Release, err
}

func (s *Server) note(what string, err error) {
	if err != nil {
		s.Log.Error("updater: "+what, "err", err)
	} else {
		s.Log.Warn("updater: " + what)
	}
}

// Reply answers a request, with JSON or with the error's text, even before all of its body has been read: who sends a large
// bundle hears at once that it is not wanted.
func Reply(w http.ResponseWriter, body io.Reader, v any, err error) {
	status, text := http.StatusOK, []byte(nil)
	if err == nil {
		text, err = json.Marshal(v)
	}
	if err != nil {
		status, text = http.StatusConflict, []byte(err.Error())
	}
	c := http.NewResponseController(w)
	_ = c.EnableFullDuplex() // without it the answer comes late, and it is the same
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text)
	_ = c.Flush()
	io.Copy(io.Discard, io.LimitReader(body, maxBundle)) // or the connection is reset, and the answer with it
}

// maxBundle is more than any card holds, in bytes.
const maxBundle = 1 << 30

// Status is what the updater says of the card.
func (c *Card) Status() Status {
	s := Status{Release: c.Now, Running: c.Running, Trial: c.Trial, Writing: !c.writing.TryLock()}
	if !s.Writing {
		c.writing.Unlock()
	}
	s.State = c.State()
	s.Slots, _ = c.health.now()
	s.Switched = c.switched(s.State)
	return s
}
