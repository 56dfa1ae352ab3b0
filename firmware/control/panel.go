package control

import (
	"context"
	"net/http"
	"time"

	"holdfast/hal"
)

// Front is what the daemon can be asked about its panel.
type Front interface {
	// Panel is what the panel shows now.
	Panel() Panel
	// Press holds a button down for a time, as a finger would, and returns when it is up again.
	Press(context.Context, PressOrder) (string, error)
}

// Panel is what the box's panel shows.
type Panel struct {
	Board  string  `json:"board"`           // gpio, sim, none
	Fault  string  `json:"fault,omitempty"` // why it is not the board that the settings ask for
	Lights []Light `json:"lights"`          // power, cloud, service, alarm, buzzer
}

// Light is one light, or the buzzer.
type Light struct {
	Name    string   `json:"name"`
	Pattern string   `json:"pattern"`        // off, steady, slow, fast, double
	Times   [4]int64 `json:"times_ms"`       // on, off, on, off, and again
	Says    string   `json:"says,omitempty"` // what that stands for
}

// Shows is the light's pattern.
func (l Light) Shows() hal.Pattern {
	p := hal.Pattern{Name: l.Pattern}
	for i, ms := range l.Times {
		p.Times[i] = time.Duration(ms) * time.Millisecond
	}
	return p
}

// NewLight describes a light.
func NewLight(name string, p hal.Pattern, says string) Light {
	l := Light{Name: name, Pattern: p.Name, Says: says}
	if p == hal.Off {
		l.Pattern = "off"
	}
	for i, d := range p.Times {
		l.Times[i] = d.Milliseconds()
	}
	return l
}

// PressOrder presses a button.
type PressOrder struct {
	Button string `json:"button"`  // mode or ack; reset works at power-up only
	Hold   int64  `json:"hold_ms"` // at most MaxHold
}

// MaxHold is the longest press that can be ordered.
const MaxHold = 15 * time.Second

func handlePanel(mux *http.ServeMux, b Front) {
	mux.HandleFunc("GET /panel", func(w http.ResponseWriter, r *http.Request) { reply(w, b.Panel(), nil) })
	mux.HandleFunc("POST /panel/press", func(w http.ResponseWriter, r *http.Request) {
		var o PressOrder
		if !read(w, r, &o) {
			return
		}
		msg, err := b.Press(r.Context(), o)
		reply(w, Answer{msg}, err)
	})
}

// Panel asks what the panel shows.
func (c *Client) Panel(ctx context.Context) (Panel, error) {
	var p Panel
	err := c.call(ctx, http.MethodGet, "/panel", nil, &p)
	return p, err
}

// Press holds a button down for a time.
func (c *Client) Press(ctx context.Context, o PressOrder) (string, error) {
	var a Answer
	err := c.post(ctx, "/panel/press", o, &a)
	return a.Message, err
}
