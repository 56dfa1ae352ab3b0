package admin

import (
	"fmt"
	"net/http"
	"strings"
)

// Reports are documents of their own: they are shown without scripts, with the styles that they bring.
const reportPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

// reportPage shows a report as it is kept and sent.
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

func (s *Server) report(w http.ResponseWriter, r *http.Request, format string, away bool) {
	id := r.PathValue("id")
	if s.o.Reports == nil || !plainName(id) {
		refuse(w, r, http.StatusNotFound, "there is no such report")
		return
	}
	data, err := s.o.Reports.Report(id, format)
	if err != nil {
		refuse(w, r, http.StatusNotFound, "there is no such report")
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", reportPolicy)
	h.Set("Content-Type", "application/json")
	if format == "html" {
		h.Set("Content-Type", "text/html; charset=utf-8")
	}
	if away {
		attachment(w, "holdfast-report-"+id+"."+format)
	}
	w.Write(data)
}

func attachment(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
}

// plainName is true for what may be part of a file's name: no path leads out of it.
func plainName(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '.' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}
