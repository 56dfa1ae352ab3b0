// Package webhook tells one address outside of emergency calls: signed JSON over HTTPS. An alert goes into the durable
// outbox and is sent from there until the other side has taken it, over crashes and power cuts; where the card does not
// take it, it is sent straight from RAM. Either way it carries the same key, by which the other side tells a repetition
// from a new alert.
//
// Which steps of a call are alerts is decided here; keeping the steps is firmware/emergency's job.
package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"holdfast/firmware/emergency"
)

// Kind is the outbox's name for alerts.
const Kind = "webhook"

// Alert is the JSON that is sent.
type Alert struct {
	Key          string                     `json:"key"` // also the Idempotency-Key: this alert's name for ever
	Event        string                     `json:"event"`
	Update       bool                       `json:"update,omitempty"` // more about a call that was told of before
	At           time.Time                  `json:"at"`
	Box          string                     `json:"box"`
	Site         string                     `json:"site"`
	Call         string                     `json:"call"` // the same in all alerts of one call
	Title        string                     `json:"title"`
	Text         string                     `json:"text,omitempty"`
	Dialled      string                     `json:"dialled"`
	Caller       emergency.Caller           `json:"caller"`
	Place        string                     `json:"place,omitempty"`
	Address      string                     `json:"address,omitempty"`
	Callback     string                     `json:"callback,omitempty"` // the number under which the PSAP calls back
	Trunk        string                     `json:"trunk,omitempty"`
	Began        time.Time                  `json:"began"`
	Answered     time.Time                  `json:"answered,omitzero"`
	Ended        time.Time                  `json:"ended,omitzero"`
	Acknowledged *emergency.Acknowledgement `json:"acknowledged,omitempty"`
}

// events are the steps that somebody outside is told of, by their names there.
var events = map[emergency.Kind]string{
	emergency.Recognised:   "emergency.began",
	emergency.Invite:       "emergency.placed",
	emergency.NoTrunk:      "emergency.no-trunk",
	emergency.Alarm:        "emergency.alarm",
	emergency.Restart:      "emergency.restart",
	emergency.Callback:     "emergency.callback",
	emergency.Acknowledged: "emergency.acknowledged",
	emergency.Ended:        "emergency.ended",
}

// For is the alert about a step of a call; false when nobody outside is told of it: never of a test.
func For(e emergency.Emergency, s emergency.Step, box, site string) (Alert, bool) {
	event, ok := events[s.Kind]
	if !ok || e.Test {
		return Alert{}, false
	}
	return Alert{
		Key: key(e, s), Event: event, Update: s.Kind != emergency.Recognised, At: s.At, Box: box, Site: site, Call: e.ID, Title: e.Display(), Text: s.Text,
		Dialled: e.Dialled, Caller: e.Caller, Place: e.Place, Address: e.Address, Callback: e.ELIN, Trunk: e.Trunk,
		Began: e.At, Answered: e.Answered, Ended: e.Ended, Acknowledged: e.Acknowledged,
	}, true
}

// key names a step for ever. Its number alone does not: after a power cut that the card has not kept up with, the numbers
// of the steps that it lost are given again.
func key(e emergency.Emergency, s emergency.Step) string {
	return fmt.Sprintf("%s-%d-%s-%x", e.ID, s.Seq, s.Kind, s.At.UnixMilli())
}

// encode is the alert as it is kept and sent.
func (a Alert) encode() ([]byte, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return body, nil
}

// keyOf reads the key of a kept alert.
func keyOf(body []byte) (string, error) {
	var a struct{ Key string }
	if err := json.Unmarshal(body, &a); err != nil || a.Key == "" {
		return "", fmt.Errorf("webhook: what was kept is no alert: %w", err)
	}
	return a.Key, nil
}
