package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/record"
	"holdfast/firmware/report"
)

const apiRoot = "/api/v1"

// Problem is why something was not done.
type Problem struct {
	Error string `json:"error"`
}

// operation is one thing that a script may ask for. Handlers and the OpenAPI document are both made of this table.
type operation struct {
	Method, Path, Summary string
	scope                 account.Scope
	query                 []parameter
	body, answer          any   // an example of its type; nil: none
	most                  int64 // bytes of the body; 0: maxForm
	do                    func(s *Server, r *http.Request, in any) (any, error)
	raw                   http.HandlerFunc // instead of do: something that is not JSON
	kind                  string           // of raw
}

type parameter struct{ name, about, kind string }

// DrillStart begins a drill.
type DrillStart struct {
	Users   []string `json:"users,omitempty"` // extensions, user names or IDs; none: the whole site
	Minutes int      `json:"minutes"`
}

// Ack takes note of emergency calls.
type Ack struct {
	Call string `json:"call,omitempty"` // "": all that wait
}

// CallDetail is a call that runs or has ended.
type CallDetail struct {
	Running *CallQuality `json:"running,omitempty"`
	Ended   *record.Call `json:"ended,omitempty"`
}

// errNotHere makes a 404.
type errNotHere string

func (e errNotHere) Error() string { return string(e) }

func (s *Server) operations() []operation {
	read := account.Read
	return append(slices.Concat(s.certificateOperations(), s.accountOperations(), s.checkupOperations()), []operation{
		{Method: "GET", Path: "/status", Summary: "Mode, cloud, trunks, phones, calls, alarms", scope: read, answer: control.Status{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.o.Box.Status(), nil }},
		{Method: "GET", Path: "/people", Summary: "Users of the site document with the phones that are here", scope: read, answer: []Person{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.o.Box.People(), nil }},
		{Method: "GET", Path: "/panel", Summary: "What the lights of the front panel show", scope: read, answer: control.Panel{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.o.Box.Panel(), nil }},
		{Method: "GET", Path: "/calls", Summary: "Running calls with their quality of the last five minutes", scope: read, answer: []CallQuality{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.snapshot().calls(), nil }},
		{Method: "GET", Path: "/calls/recent", Summary: "Calls that have ended, the newest first", scope: read, answer: []record.Call{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.history.recent(endedKept), nil }},
		{Method: "GET", Path: "/calls/{id}", Summary: "One call", scope: read, answer: CallDetail{}, do: (*Server).apiCall},
		{Method: "GET", Path: "/calls/{id}/ladder.svg", Summary: "The call's signalling as a ladder diagram, secrets removed", scope: account.Trace,
			raw: s.ladderFile, kind: "image/svg+xml"},
		{Method: "GET", Path: "/calls/{id}/signalling.pcapng", Summary: "The call's signalling as a capture, secrets removed", scope: account.Trace,
			raw: s.captureFile, kind: captureType},
		{Method: "GET", Path: "/emergency/log", Summary: "Emergency calls, the oldest first", scope: read, answer: []emergency.Emergency{},
			query: []parameter{{"n", "how many at most, 1 to 1000", "integer"}}, do: (*Server).apiEmergencyLog},
		{Method: "GET", Path: "/emergency/pins", Summary: "Which numbers lead a PSAP that calls back to whom", scope: read, answer: []control.Pin{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.o.Box.Pins(), nil }},
		{Method: "POST", Path: "/emergency/ack", Summary: "Take note of emergency calls", scope: account.Acknowledge, body: Ack{}, answer: control.Answer{},
			do: func(s *Server, r *http.Request, in any) (any, error) {
				msg, err := s.acknowledge(whoIs(r), in.(*Ack).Call)
				return control.Answer{Message: msg}, err
			}},
		{Method: "POST", Path: "/drill", Summary: "Start a drill", scope: account.Drill, body: DrillStart{}, answer: control.Answer{},
			do: func(s *Server, r *http.Request, in any) (any, error) {
				o := in.(*DrillStart)
				msg, err := s.startDrill(whoIs(r), o.Users, time.Duration(min(max(o.Minutes, 0), 1441))*time.Minute)
				return control.Answer{Message: msg}, err
			}},
		{Method: "DELETE", Path: "/drill", Summary: "End the drill", scope: account.Drill, answer: control.Answer{},
			do: func(s *Server, r *http.Request, _ any) (any, error) {
				msg, err := s.stopDrill(whoIs(r))
				return control.Answer{Message: msg}, err
			}},
		{Method: "POST", Path: "/site/fetch", Summary: "Look for a new site document now", scope: account.Maintain, answer: control.Answer{},
			query: []parameter{{"force", "take an older document too", "boolean"}},
			do: func(s *Server, r *http.Request, _ any) (any, error) {
				msg, err := s.o.Box.Fetch(r.Context(), r.URL.Query().Get("force") == "true")
				return control.Answer{Message: msg}, err
			}},
		{Method: "GET", Path: "/check", Summary: "What is wrong with the box's files, and what will be soon", scope: read, answer: Check{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.o.Box.Check(), nil }},
		{Method: "GET", Path: "/log", Summary: "The last lines of the box's log", scope: account.Trace, answer: []string{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) {
				if s.o.Tail == nil {
					return []string{}, nil
				}
				return s.o.Tail.Lines(tailLines), nil
			}},
		{Method: "GET", Path: "/reports", Summary: "Reports of outages and drills, the newest first", scope: read, answer: []report.Summary{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) {
				l := s.reportList()
				if l.Fault != "" {
					return nil, errors.New(l.Fault)
				}
				return append([]report.Summary{}, l.List...), nil
			}},
		{Method: "GET", Path: "/reports/{id}", Summary: "One report", scope: read, answer: report.Report{}, do: (*Server).apiReport},
		{Method: "GET", Path: "/update", Summary: "How far the update is", scope: read, answer: UpdateState{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.update.state(), nil }},
		{Method: "PUT", Path: "/update", Summary: "Put a new version on the box: the body is the bundle", scope: account.Maintain, raw: s.putUpdate, kind: "application/json",
			query: []parameter{{"force", "take an older version, or the same, too", "boolean"}}},
	}...)
}

func (s *Server) apiCall(r *http.Request, _ any) (any, error) {
	v := s.view(r)
	d := CallDetail{Running: v.Call(), Ended: v.Over()}
	if d.Running == nil && d.Ended == nil {
		return nil, errNotHere("no such call is running or remembered")
	}
	return d, nil
}

func (s *Server) apiEmergencyLog(r *http.Request, _ any) (any, error) {
	n := 100
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > 1000 {
			return nil, errors.New("n is not a number from 1 to 1000")
		}
	}
	list, err := s.o.Box.EmergencyLog(n)
	return append([]emergency.Emergency{}, list...), err
}

// handler reads the body, asks and answers.
func (o operation) handler(s *Server) http.Handler {
	if o.raw != nil {
		return o.raw
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			refuse(w, r, http.StatusBadRequest, "the query cannot be read")
			return
		}
		var in any
		if o.body != nil {
			in = newOf(o.body)
			d := json.NewDecoder(http.MaxBytesReader(w, r.Body, cmp.Or(o.most, maxForm)))
			d.DisallowUnknownFields()
			if err := d.Decode(in); err != nil {
				refuse(w, r, http.StatusBadRequest, "the body cannot be read: "+err.Error())
				return
			}
			if _, err := d.Token(); err != io.EOF {
				refuse(w, r, http.StatusBadRequest, "the body goes on after its end")
				return
			}
		}
		out, err := o.do(s, r, in)
		var missing errNotHere
		switch {
		case errors.As(err, &missing), errors.Is(err, account.ErrUnknown):
			refuse(w, r, http.StatusNotFound, err.Error())
		case errors.Is(err, errConfirm), errors.Is(err, account.ErrBeyond):
			refuse(w, r, http.StatusForbidden, err.Error())
		case errors.Is(err, errGuessing), errors.Is(err, errBusy):
			refuse(w, r, http.StatusTooManyRequests, err.Error())
		case err != nil && safe(r.Method):
			refuse(w, r, http.StatusBadRequest, err.Error())
		case err != nil:
			refuse(w, r, http.StatusConflict, err.Error())
		default:
			if !safe(r.Method) {
				s.live.nudge()
			}
			writeJSON(w, http.StatusOK, out)
		}
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, fmt.Appendf(nil, `{"error":%q}`, "the answer cannot be written")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(data, '\n'))
}
