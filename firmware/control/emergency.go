package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"holdfast/firmware/emergency"
)

// Emergencies is what the daemon can be asked about emergency calls.
type Emergencies interface {
	// Acknowledge takes note of one call, or of all that wait for it.
	Acknowledge(AckOrder) (string, error)
	// Pins lists which numbers lead back to which callers.
	Pins() []Pin
	// EmergencyLog is the last records, at most n, the oldest first.
	EmergencyLog(n int) ([]emergency.Emergency, error)
	// EmergencyDrill makes a test call and says of each step how it went. An error means that the drill did not pass.
	EmergencyDrill(ctx context.Context, o EmergencyDrillOrder, step func(DrillStep)) error
}

// Emergency is a call that runs, or that nobody has acknowledged.
type Emergency struct {
	ID           string    `json:"id"`
	Title        string    `json:"title"` // "911 ROOM 204"
	State        string    `json:"state"` // calling, answered, ended
	Test         bool      `json:"test"`
	Began        time.Time `json:"began"`
	Answered     time.Time `json:"answered,omitzero"`
	Ended        time.Time `json:"ended,omitzero"`
	Caller       string    `json:"caller,omitempty"` // name and extension
	Place        string    `json:"place,omitempty"`
	Address      string    `json:"address,omitempty"`
	Callback     string    `json:"callback,omitempty"` // the number that the PSAP was shown
	Trunk        string    `json:"trunk,omitempty"`
	Acknowledged string    `json:"acknowledged,omitempty"` // by whom
	Alarms       []string  `json:"alarms,omitempty"`       // what went wrong with it
}

// AckOrder acknowledges.
type AckOrder struct {
	By   string `json:"by"`
	How  string `json:"how"`            // emergency.ByCommand, emergency.ByPage
	Call string `json:"call,omitempty"` // "": all that wait
}

// Pin is a number that leads back to a caller.
type Pin struct {
	Trunk   string    `json:"trunk"`
	ELIN    string    `json:"elin"`
	Main    bool      `json:"main,omitempty"` // the trunk's main number, for want of an ELIN
	Caller  string    `json:"caller"`
	Place   string    `json:"place,omitempty"`
	Test    bool      `json:"test,omitempty"`
	Began   time.Time `json:"began"`
	Running bool      `json:"running"`          // the call is not over yet
	Expires time.Time `json:"expires,omitzero"` // zero while it runs
}

// EmergencyDrillOrder asks for a test call.
type EmergencyDrillOrder struct {
	User   string `json:"user"`             // whose phone; an extension, user name or user ID
	Number string `json:"number,omitempty"` // a test number of the site; "": its first
	By     string `json:"by"`

	Callback bool `json:"callback,omitempty"` // wait for a call to the number that was shown
}

// DrillStep is one thing that was tried.
type DrillStep struct {
	Name   string    `json:"name"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail,omitempty"` // what was seen, or what is wrong
	Fix    string    `json:"fix,omitempty"`    // what to do about what is wrong
	At     time.Time `json:"at"`
}

// drillLine is a line of the answer to a drill: a step, or at the end why it did not pass.
type drillLine struct {
	Step  *DrillStep `json:"step,omitempty"`
	Error string     `json:"error,omitempty"`
	End   bool       `json:"end,omitempty"`
}

// mostLog bounds the records in one answer.
const mostLog = 1000

func handleEmergencies(mux *http.ServeMux, b Emergencies) {
	mux.HandleFunc("POST /emergency/ack", func(w http.ResponseWriter, r *http.Request) {
		var o AckOrder
		if !read(w, r, &o) {
			return
		}
		msg, err := b.Acknowledge(o)
		reply(w, Answer{msg}, err)
	})
	mux.HandleFunc("GET /emergency/pins", func(w http.ResponseWriter, r *http.Request) { reply(w, b.Pins(), nil) })
	mux.HandleFunc("GET /emergency/log", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil || n < 1 || n > mostLog {
			http.Error(w, fmt.Sprintf("n is not 1 to %d", mostLog), http.StatusBadRequest)
			return
		}
		list, err := b.EmergencyLog(n)
		reply(w, list, err)
	})
	mux.HandleFunc("POST /emergency/drill", func(w http.ResponseWriter, r *http.Request) {
		var o EmergencyDrillOrder
		if !read(w, r, &o) {
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		lines, flush := json.NewEncoder(w), http.NewResponseController(w)
		say := func(l drillLine) {
			if lines.Encode(l) == nil {
				flush.Flush()
			}
		}
		end := drillLine{End: true}
		if err := b.EmergencyDrill(r.Context(), o, func(s DrillStep) { say(drillLine{Step: &s}) }); err != nil {
			end.Error = err.Error()
		}
		say(end)
	})
}

// read decodes an order; false when it has answered that it is none.
func read(w http.ResponseWriter, r *http.Request, order any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(order); err != nil {
		http.Error(w, "bad order: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// Acknowledge takes note of emergency calls.
func (c *Client) Acknowledge(ctx context.Context, o AckOrder) (string, error) {
	var a Answer
	err := c.post(ctx, "/emergency/ack", o, &a)
	return a.Message, err
}

// Pins asks which numbers lead back to which callers.
func (c *Client) Pins(ctx context.Context) ([]Pin, error) {
	var pins []Pin
	err := c.call(ctx, http.MethodGet, "/emergency/pins", nil, &pins)
	return pins, err
}

// EmergencyLog asks for the last n records, the oldest first.
func (c *Client) EmergencyLog(ctx context.Context, n int) ([]emergency.Emergency, error) {
	var list []emergency.Emergency
	err := c.call(ctx, http.MethodGet, "/emergency/log?"+url.Values{"n": {strconv.Itoa(n)}}.Encode(), nil, &list)
	return list, err
}

// EmergencyDrill has a test call made and hands out its steps as they come. The error says why it did not pass.
func (c *Client) EmergencyDrill(ctx context.Context, o EmergencyDrillOrder, step func(DrillStep)) error {
	order, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("ask the box: %w", err)
	}
	body, err := c.open(ctx, http.MethodPost, "/emergency/drill", bytes.NewReader(order))
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		var l drillLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("ask the box: %w", err)
		}
		switch {
		case l.Step != nil:
			step(*l.Step)
		case l.End && l.Error != "":
			return errors.New(l.Error)
		case l.End:
			return nil
		}
	}
	return fmt.Errorf("the box broke off: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}
