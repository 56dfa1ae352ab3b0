package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
)

// Orders that people give by buttons and scripts by the API; both come here.

// acknowledge takes note of one call, or of all that wait.
func (s *Server) acknowledge(me who, call string) (string, error) {
	msg, err := s.o.Box.Acknowledge(control.AckOrder{By: me.name, How: emergency.ByPage, Call: call})
	if err == nil {
		s.log.Info("emergency calls acknowledged on the page", "by", me.name, "call", call)
	}
	return msg, err
}

func (s *Server) startDrill(me who, users []string, limit time.Duration) (string, error) {
	if len(users) > mostDrillUsers {
		return "", fmt.Errorf("a drill takes at most %d names; leave them out for the whole site", mostDrillUsers)
	}
	msg, err := s.o.Box.StartDrill(control.DrillOrder{By: me.name, Users: users, Limit: limit})
	if err == nil {
		s.log.Info("drill started on the page", "by", me.name, "users", len(users), "for", limit.String())
	}
	return msg, err
}

const mostDrillUsers = 500

func (s *Server) stopDrill(me who) (string, error) {
	msg, err := s.o.Box.StopDrill(me.name)
	if err == nil {
		s.log.Info("drill ended on the page", "by", me.name)
	}
	return msg, err
}

func (s *Server) formAcknowledge(w http.ResponseWriter, r *http.Request) {
	msg, err := s.acknowledge(whoIs(r), r.PostForm.Get("call"))
	s.answer(w, r, backTo(r, "/emergency"), msg, err)
}

func (s *Server) formDrillStart(w http.ResponseWriter, r *http.Request) {
	minutes, err := strconv.Atoi(r.PostForm.Get("minutes"))
	users := strings.FieldsFunc(r.PostForm.Get("users"), func(c rune) bool { return c == ',' || c == ' ' || c == '\n' || c == '\r' || c == ';' })
	switch {
	case err != nil || minutes < 1 || minutes > 24*60:
		err = errors.New("a drill lasts 1 to 1440 minutes")
	case r.PostForm.Get("who") == "some" && len(users) == 0:
		err = errors.New("say who takes part, or choose the whole site")
	case r.PostForm.Get("who") == "all":
		users = nil
	}
	msg := ""
	if err == nil {
		msg, err = s.startDrill(whoIs(r), users, time.Duration(minutes)*time.Minute)
	}
	s.answer(w, r, "/drill", msg, err)
}

func (s *Server) formDrillStop(w http.ResponseWriter, r *http.Request) {
	msg, err := s.stopDrill(whoIs(r))
	s.answer(w, r, "/drill", msg, err)
}

func (s *Server) formFetch(w http.ResponseWriter, r *http.Request) {
	takesLong(w)
	msg, err := s.o.Box.Fetch(r.Context(), r.PostForm.Get("force") == "yes")
	s.answer(w, r, "/site", msg, err)
}

// formTestCall makes a test call; how each step went stands in the notice.
func (s *Server) formTestCall(w http.ResponseWriter, r *http.Request) {
	takesLong(w)
	var steps []string
	err := s.o.Box.EmergencyDrill(r.Context(), control.EmergencyDrillOrder{User: clip(r.PostForm.Get("user"), 64), By: whoIs(r).name}, func(d control.DrillStep) {
		mark := "✓ "
		if !d.OK {
			mark = "✗ "
		}
		steps = append(steps, mark+strings.TrimSpace(d.Name+" "+d.Detail))
	})
	msg := strings.Join(steps, "\n")
	if err != nil && msg != "" {
		err = fmt.Errorf("%w\n%s", err, msg)
	}
	s.answer(w, r, "/emergency", msg, err)
}

// takesLong gives an answer more time than others have.
func takesLong(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longestOrder))
}

const longestOrder = 3 * time.Minute

// backTo is the page that a form stood on, if it says so.
func backTo(r *http.Request, otherwise string) string {
	if to := r.PostForm.Get("back"); to != "" {
		return ownPath(to)
	}
	return otherwise
}
