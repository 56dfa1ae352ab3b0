package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Kind is the outbox's name for reports.
const Kind = "report"

// Delivery is what is sent: signed like an alert (firmware/webhook), with a key that is the report's for ever.
type Delivery struct {
	Key    string    `json:"key"`   // also the Idempotency-Key
	Event  string    `json:"event"` // report.outage or report.drill
	At     time.Time `json:"at"`
	Box    string    `json:"box"`
	Site   string    `json:"site"`
	Report *Report   `json:"report"`
}

// Key is the name under which the report is sent, however often.
func (r *Report) Key() string { return "report-" + plain(r.Box) + "-" + r.ID }

// plain is a name that may stand in a header field.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '_' {
			return c
		}
		return '-'
	}, s)
	return s[:min(len(s), 64)]
}

// payload is the delivery in JSON, at most that many bytes: of a report that is longer the ends of its lists are left out.
// The card has all of it.
func (r *Report) payload(most int) ([]byte, error) {
	short := *r
	for share := 1.0; share > 0.001; share /= 2 {
		if share < 1 {
			short.LeftOut = 0
			short.Calls.List, short.LeftOut = cut(r.Calls.List, share, short.LeftOut)
			short.Phones.Here, short.LeftOut = cut(r.Phones.Here, share, short.LeftOut)
			short.Phones.Missing, short.LeftOut = cut(r.Phones.Missing, share, short.LeftOut)
			short.TimeLine, short.LeftOut = cut(r.TimeLine, share, short.LeftOut)
			short.Document.Warnings, short.LeftOut = cut(r.Document.Warnings, share, short.LeftOut)
		}
		data, err := json.Marshal(Delivery{r.Key(), "report." + r.Kind, r.Made, r.Box, r.Site.ID, &short})
		if err != nil {
			return nil, fmt.Errorf("report %s: %w", r.ID, err)
		}
		if len(data) <= most {
			return data, nil
		}
	}
	return nil, fmt.Errorf("report %s does not fit into %d bytes", r.ID, most)
}

func cut[T any](list []T, share float64, left int) ([]T, int) {
	n := int(float64(len(list)) * share)
	return list[:n:n], left + len(list) - n
}
