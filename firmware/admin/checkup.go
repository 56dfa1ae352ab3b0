package admin

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/doctor"
)

// checkupWithin bounds a look at everything that the box needs: less than an answer may take.
const checkupWithin = 20 * time.Second

// Checkup is what the doctor found.
type Checkup struct {
	At       time.Time        `json:"at,omitzero"` // zero: nobody has asked yet
	Findings []doctor.Finding `json:"findings"`
}

// Failed counts what does not work.
func (c Checkup) Failed() int { return doctor.Failed(c.Findings) }

// checkup is the last one.
type checkup struct {
	mu      sync.Mutex
	running bool
	last    Checkup
}

var errCheckupRuns = errors.New("it is being looked at: wait some seconds")

func (c *checkup) state() Checkup {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *checkup) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.running
	c.running = true
	return !was
}

func (c *checkup) end(found Checkup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.last = false, found
}

// examine has the doctor look at everything, one at a time.
func (s *Server) examine(ctx context.Context) (Checkup, error) {
	if !s.checkup.begin() {
		return Checkup{}, errCheckupRuns
	}
	ctx, cancel := context.WithTimeout(ctx, checkupWithin)
	defer cancel()
	c := s.checkup.state()
	defer func() { s.checkup.end(c) }()
	found := s.o.Examine(ctx)
	if err := ctx.Err(); errors.Is(err, context.Canceled) { // nobody waits for what is only half of it
		return Checkup{}, err
	}
	c = Checkup{At: s.now(), Findings: found}
	return c, nil
}

func (s *Server) formExamine(w http.ResponseWriter, r *http.Request) {
	if s.o.Examine == nil {
		refuse(w, r, http.StatusNotFound, "there is no doctor here")
		return
	}
	_, err := s.examine(r.Context())
	s.answer(w, r, "/box#doctor", "", err)
}

// checkupOperations are the API's.
func (s *Server) checkupOperations() []operation {
	if s.o.Examine == nil {
		return nil
	}
	return []operation{{Method: "POST", Path: "/doctor", Summary: "Look at certificates, clock, DNS, what the box has to reach, trunks, document and card; takes some seconds",
		scope: account.Maintain, answer: Checkup{}, do: func(s *Server, r *http.Request, _ any) (any, error) { return s.examine(r.Context()) }}}
}
