package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var pageText string

//go:embed report.css
var style string

// ContentSecurityPolicy is what a server should send with the page: nothing but its own style runs or is fetched.
func ContentSecurityPolicy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// HTML writes the report as one page that needs nothing else, to look at and to print. Times are in the site's zone.
func (r *Report) HTML(w io.Writer) error {
	zone, err := time.LoadLocation(r.Site.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	page, err := template.New("report").Funcs(funcs(zone, r.Ended.Sub(r.Began))).Parse(pageText)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := page.Execute(w, struct {
		*Report
		Style template.CSS
		Line  picture
	}{r, template.CSS(style), r.picture(zone)}); err != nil {
		return fmt.Errorf("report %s: %w", r.ID, err)
	}
	return nil
}

// manyDays is when a clock alone no longer says when.
const manyDays = 20 * time.Hour

func funcs(zone *time.Location, lasted time.Duration) template.FuncMap {
	clock := "15:04:05"
	if lasted > manyDays {
		clock = "2 Jan 15:04:05"
	}
	return template.FuncMap{
		"clock": func(t time.Time) string {
			if t.IsZero() {
				return "—"
			}
			return t.In(zone).Format(clock)
		},
		"day":     func(t time.Time) string { return t.In(zone).Format("Monday, 2 January 2006") },
		"zone":    func(t time.Time) string { return t.In(zone).Format("MST") },
		"between": func(a, b time.Time) string { return span(b.Sub(a)) },
		"seconds": func(s float64) string { return span(time.Duration(s * float64(time.Second))) },
		"percent": func(f float64) string { return fmt.Sprintf("%.1f %%", 100*f) },
		"sign":    sign,
		"from":    func(c Call) string { from, _ := c.Parties(); return from },
		"to":      func(c Call) string { _, to := c.Parties(); return to },
	}
}

// span is a length of time as people say it.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// sign is the shape of a moment: the same as on the panel's picture and in the terminal.
func sign(s string) string {
	switch s {
	case "normal":
		return "○"
	case "resilience":
		return "●"
	case "drill":
		return "◕"
	case "recovering":
		return "◐"
	case "emergency":
		return "▲"
	case "cloud":
		return "☁"
	case "restart":
		return "↻"
	}
	return "·"
}
