package trace

import (
	"slices"
	"time"
)

// Summary is a call of which messages are kept.
type Summary struct {
	Call     string    `json:"call"` // the box's ID, or the Call-ID where the box made no call of it
	At       time.Time `json:"at"`   // of the first message that is kept
	Last     time.Time `json:"last"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Messages int       `json:"messages"`
	Status   int       `json:"status,omitempty"` // of the last final answer to an INVITE that the caller got; 0: none
}

// Calls is what calls there are messages of, oldest first, at most the last n.
func (l *Log) Calls(n int) []Summary {
	l.mu.Lock()
	byCall := make(map[string]*Summary)
	firstID := make(map[string]string) // the Call-ID of the caller's leg, by call
	l.calls.each(func(e entry, data []byte) {
		h := read(data)
		name := l.links.calls[h.callID]
		if name == "" {
			name = h.callID
		}
		s := byCall[name]
		if s == nil {
			s = &Summary{Call: name, At: e.at, From: h.from, To: h.to}
			byCall[name], firstID[name] = s, h.callID
		}
		s.Last = e.at
		s.Messages++
		if h.status >= 200 && h.method == "INVITE" && h.callID == firstID[name] {
			s.Status = h.status
		}
	})
	l.mu.Unlock()
	out := make([]Summary, 0, len(byCall))
	for _, s := range byCall {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Summary) int { return a.At.Compare(b.At) })
	return out[max(0, len(out)-n):]
}
