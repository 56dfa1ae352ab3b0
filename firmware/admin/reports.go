package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/report"
)

// shelf remembers for some seconds which reports there are: they are read from the card.
type shelf struct {
	mu   sync.Mutex
	at   time.Time
	list reportList
}

const shelfFor = 10 * time.Second

// reportList is the newest first.
type reportList struct {
	List  []report.Summary
	Fault string
}

// Drills are those that were rehearsals.
func (l reportList) Drills() []report.Summary {
	return slices.DeleteFunc(slices.Clone(l.List), func(r report.Summary) bool { return r.Kind != report.Drill })
}

func (s *Server) reportList() reportList {
	if s.o.Reports == nil {
		return reportList{}
	}
	s.shelf.mu.Lock()
	defer s.shelf.mu.Unlock()
	if now := s.now(); s.shelf.at.IsZero() || now.Sub(s.shelf.at) > shelfFor {
		list, err := s.o.Reports.Reports()
		slices.Reverse(list)
		s.shelf.at, s.shelf.list = now, reportList{List: list}
		if err != nil {
			s.shelf.list.Fault = sentence(err.Error())
		}
	}
	return s.shelf.list
}

// reportPage shows a report as it is kept and sent: a document of its own, with the styles that it brings and no script.
func (s *Server) reportPage(w http.ResponseWriter, r *http.Request) { s.report(w, r, "html", false) }

// reportFile is a report to take away.
func (s *Server) reportFile(w http.ResponseWriter, r *http.Request) {
	format, ok := strings.CutPrefix(r.PathValue("file"), "report.")
	if !ok || format != "html" && format != "json" {
		refuse(w, r, http.StatusNotFound, "there is no such file")
		return
	}
	s.report(w, r, format, true)
}

// apiReport is a report as JSON.
func (s *Server) apiReport(r *http.Request, _ any) (any, error) {
	one, err := s.findReport(r.PathValue("id"))
	if err != nil {
		return nil, errNotHere("there is no such report")
	}
	return one, nil
}

func (s *Server) findReport(id string) (*report.Report, error) {
	if s.o.Reports == nil || !plainName(id) {
		return nil, report.ErrUnknown
	}
	return s.o.Reports.Report(id)
}

func (s *Server) report(w http.ResponseWriter, r *http.Request, format string, away bool) {
	id := r.PathValue("id")
	one, err := s.findReport(id)
	if err != nil {
		refuse(w, r, http.StatusNotFound, "there is no such report")
		return
	}
	var b bytes.Buffer
	kind := "application/json"
	if format == "html" {
		kind, err = "text/html; charset=utf-8", one.HTML(&b)
	} else {
		err = json.NewEncoder(&b).Encode(one)
	}
	if err != nil {
		s.log.Error("report", "err", err)
		refuse(w, r, http.StatusInternalServerError, "the report cannot be shown")
		return
	}
	w.Header().Set("Content-Security-Policy", report.ContentSecurityPolicy())
	w.Header().Set("Content-Type", kind)
	if away {
		attachment(w, "holdfast-report-"+id+"."+format)
	}
	w.Write(b.Bytes())
}

func attachment(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
}

// plainName is true for what may be part of a file's name: no path leads out of it.
func plainName(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '.' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

// reportLine is a report in a list.
type reportLine struct {
	report.Summary
	Title, When, Lasted string
}

// Line puts a report in words.
func (v *view) Line(r report.Summary) reportLine {
	l := reportLine{Summary: r, Title: "Outage", When: r.Began.In(v.zone).Format("2 Jan 2006 15:04 MST"), Lasted: v.Span(r.Ended.Sub(r.Began))}
	if r.Kind == report.Drill {
		l.Title = "Drill"
	}
	return l
}
