package control

import (
	"context"
	"net/http"
	"net/url"

	"holdfast/firmware/report"
)

// Reports is what the daemon can be asked about outages and drills that are over.
type Reports interface {
	// Reports are those that are kept, the oldest first.
	Reports() ([]report.Summary, error)
	// Report is one of them; "" for the last.
	Report(id string) (*report.Report, error)
}

func handleReports(mux *http.ServeMux, b Reports) {
	mux.HandleFunc("GET /reports", func(w http.ResponseWriter, r *http.Request) {
		list, err := b.Reports()
		reply(w, list, err)
	})
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, r *http.Request) {
		one, err := b.Report(r.FormValue("id"))
		reply(w, one, err)
	})
}

// Reports asks which reports are kept.
func (c *Client) Reports(ctx context.Context) ([]report.Summary, error) {
	var list []report.Summary
	err := c.call(ctx, http.MethodGet, "/reports", nil, &list)
	return list, err
}

// Report asks for a report; "" for the last.
func (c *Client) Report(ctx context.Context, id string) (*report.Report, error) {
	r := new(report.Report)
	err := c.call(ctx, http.MethodGet, "/report?id="+url.QueryEscape(id), nil, r)
	return r, err
}
