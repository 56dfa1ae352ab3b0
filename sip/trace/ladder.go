package trace

import (
	"fmt"
	"slices"
	"time"
)

// Ladder is a call's signalling as a picture: participants from left to right, arrows from top to bottom.
type Ladder struct {
	Call         string        `json:"call"`
	Participants []Participant `json:"participants"`
	Arrows       []Arrow       `json:"arrows"`
}

// Participant is a vertical line. The box is one of them: who called stands on its left, who was called on its right.
type Participant struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"`
	Side    string `json:"side"` // access, box or trunk
}

// Arrow is a message. From and To are places in Participants.
type Arrow struct {
	At     time.Time `json:"at"`
	From   int       `json:"from"`
	To     int       `json:"to"`
	Label  string    `json:"label"`            // "INVITE 1002", "180 Ringing"
	Note   string    `json:"note,omitempty"`   // what the body is: "SDP"
	Method string    `json:"method,omitempty"` // of an answer too
	Status int       `json:"status,omitempty"`
	CallID string    `json:"call_id"`
	Flow   uint64    `json:"flow"`
	Text   string    `json:"text"` // the whole message, without its secrets, fit to be shown
}

// NewLadder draws messages, oldest first. name says who is at an address; nil or "": the address itself.
func NewLadder(call string, msgs []Message, name func(Message) string) Ladder {
	l := Ladder{Call: call, Participants: []Participant{}, Arrows: []Arrow{}}
	if len(msgs) == 0 {
		return l
	}
	left, right := participants(msgs, name)
	place := make(map[string]int)
	for _, p := range left {
		place[p.key] = len(l.Participants)
		l.Participants = append(l.Participants, p.Participant)
	}
	box := len(l.Participants)
	l.Participants = append(l.Participants, Participant{Name: "Holdfast", Side: "box"})
	for _, p := range right {
		place[p.key] = len(l.Participants)
		l.Participants = append(l.Participants, p.Participant)
	}
	for _, m := range msgs {
		h := read(m.Data)
		a := Arrow{At: m.At, From: place[keyOf(m, name)], To: box, Method: h.method, Status: h.status, CallID: h.callID, Flow: m.Flow, Text: text(m.Data)}
		if m.Out {
			a.From, a.To = a.To, a.From
		}
		a.Label, a.Note = label(h), note(h.content)
		l.Arrows = append(l.Arrows, a)
	}
	return l
}

type party struct {
	Participant
	key string
}

// participants are those who called on the left of the box, and those whom it called on the right.
func participants(msgs []Message, name func(Message) string) (left, right []party) {
	seen := make(map[string]bool)
	for _, m := range msgs {
		key := keyOf(m, name)
		if seen[key] {
			continue
		}
		seen[key] = true
		p := party{Participant{Name: nameOf(m, name), Address: m.Remote.String(), Side: m.Side}, key}
		if m.Out {
			right = append(right, p)
		} else {
			left = append(left, p)
		}
	}
	return left, right
}

// keyOf tells participants from each other: one with a name may have several connections.
func keyOf(m Message, name func(Message) string) string {
	if name != nil {
		if n := name(m); n != "" {
			return m.Side + " " + n
		}
	}
	return m.Side + " " + m.Remote.String()
}

// nameOf is the given name, or whom the message says that it comes from or goes to.
func nameOf(m Message, name func(Message) string) string {
	if name != nil {
		if n := name(m); n != "" {
			return n
		}
	}
	h := read(m.Data)
	who := h.from
	if (h.status == 0) == m.Out { // our request, or the answer to theirs, shows them in To; theirs in From
		who = h.to
	}
	if m.Side == "trunk" || who == "" {
		return m.Remote.String()
	}
	return who
}

func label(h head) string {
	if h.status > 0 {
		if h.method != "INVITE" && h.status >= 200 {
			return fmt.Sprintf("%d %s (%s)", h.status, h.reason, h.method)
		}
		return fmt.Sprintf("%d %s", h.status, h.reason)
	}
	if h.method == "INVITE" {
		return h.method + " " + address([]byte(h.target))
	}
	if h.method == "" {
		return "unreadable"
	}
	return h.method
}

func note(content string) string {
	switch content {
	case "":
		return ""
	case "application/sdp":
		return "SDP"
	case "application/pidf+xml":
		return "place"
	}
	return content
}

// text is a message with line ends of one kind.
func text(data []byte) string {
	var out []byte
	for len(data) > 0 {
		end := slices.Index(data, '\n')
		if end < 0 {
			end = len(data) - 1
		}
		line := data[:end+1]
		data = data[end+1:]
		for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
			line = line[:len(line)-1]
		}
		out = append(append(out, printable(line)...), '\n')
	}
	return string(out)
}
