// Package emergency keeps the record of emergency calls: who called from where, what the PSAP was shown, when each step
// happened, who was told and who acknowledged. A record is its steps in order, and everything else is read off them.
//
// Every step is in the snapshot file in RAM before the call that took it goes on, so a kill of the program loses none of
// them. It reaches the card and the world outside through followers, which a call never waits for (see Journal.Follow).
//
// Placing the calls is sip/b2bua's job, telling people is firmware/notice's.
package emergency

import (
	"strings"
	"time"
	"unicode"
)

// Caller is who called.
type Caller struct {
	User    string `json:"user,omitempty"`    // of the site document; "": a phone that is no user's
	Name    string `json:"name,omitempty"`    // for people
	Number  string `json:"number,omitempty"`  // extension
	Device  string `json:"device,omitempty"`  // of the site document, or what the phone says of itself
	Source  string `json:"source,omitempty"`  // IP address
	Phone   Phone  `json:"phone,omitzero"`    // which of the user's, as far as the box can tell them apart
	Display string `json:"display,omitempty"` // where, in two words: "Room 204"
}

// Phone is a phone as its user's others are told from it.
type Phone struct {
	Instance string `json:"instance,omitempty"` // +sip.instance (RFC 5626)
	Contact  string `json:"contact,omitempty"`  // URI
}

// Facts are known when an emergency call is recognised, and do not change.
type Facts struct {
	ID      string    `json:"id"` // the box's ID of the call
	At      time.Time `json:"at"`
	Dialled string    `json:"dialled"` // as it came: "9911"
	Number  string    `json:"number"`  // what it means: "911", or an urn
	Test    bool      `json:"test,omitempty"`
	Caller  Caller    `json:"caller"`
	Place   string    `json:"place,omitempty"`   // zone: building, floor
	Address string    `json:"address,omitempty"` // civic address, as far as it is known before the trunk is
}

// Kind is what a step is.
type Kind string

// The kinds of steps. In brackets: which fields of Step say more.
const (
	Recognised       Kind = "recognised"        // always the first
	Invite           Kind = "invite"            // an INVITE is about to be written (Trunk, ELIN, Address)
	TrunkFailed      Kind = "trunk-failed"      // (Trunk, Status or Text)
	NoTrunk          Kind = "no-trunk"          // all trunks are dead
	Desk             Kind = "security-desk"     // is rung instead, or besides (Who)
	Answered         Kind = "answered"          // (Trunk, or Who at the security desk)
	Ended            Kind = "ended"             // (Text: why, How: by whom)
	Callback         Kind = "callback"          // somebody calls the ELIN (Trunk, ELIN, Text: the number that calls)
	CallbackAnswered Kind = "callback-answered" // (Who)
	CallbackEnded    Kind = "callback-ended"    // (Text)
	Alarm            Kind = "alarm"             // something is wrong with the call (Text)
	Restart          Kind = "restart"           // the program, or the box, went down and came back (Text: what became of the call)
	NoticeRung       Kind = "notice-rung"       // a front desk's phones ring for the first time (Who)
	NoticeSeen       Kind = "notice-seen"       // somebody took the notice call (Who)
	NoticeMessage    Kind = "notice-message"    // a phone took the text (Who)
	NoticeFailed     Kind = "notice-failed"     // for the first time (Who, How: ring or message, Text)
	Silenced         Kind = "silenced"          // the buzzer, by the box's button
	Acknowledged     Kind = "acknowledged"      // (Who, How)
	NoticeOver       Kind = "notice-over"       // the notice of a test, after some rounds
)

// Step is one thing that happened.
type Step struct {
	Seq     int       `json:"seq"` // from 1; with the call's ID it names the step for ever
	At      time.Time `json:"at"`
	Kind    Kind      `json:"kind"`
	Trunk   string    `json:"trunk,omitempty"`
	ELIN    string    `json:"elin,omitempty"`
	Address string    `json:"address,omitempty"`
	Status  int       `json:"status,omitempty"` // SIP
	Who     string    `json:"who,omitempty"`
	How     string    `json:"how,omitempty"`
	Text    string    `json:"text,omitempty"`
}

// Acknowledgement is who took note, when and how.
type Acknowledgement struct {
	By  string    `json:"by"`
	How string    `json:"how"` // ByKey, ByCommand, ByPage
	At  time.Time `json:"at"`
}

// Ways to acknowledge.
const (
	ByKey     = "key"     // on the notice call
	ByCommand = "command" // holdfast ack NAME
	ByPage    = "page"
)

// Emergency is a record: its facts, its steps and what they come to.
type Emergency struct {
	Facts
	ELIN         string           `json:"elin,omitempty"`  // as last shown to a PSAP: the number to call back
	Trunk        string           `json:"trunk,omitempty"` // as last tried, or the one that answered
	Answered     time.Time        `json:"answered,omitzero"`
	Ended        time.Time        `json:"ended,omitzero"`
	EndCause     string           `json:"end_cause,omitempty"`
	Callbacks    int              `json:"callbacks,omitempty"`
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
	NoticeOver   bool             `json:"notice_over,omitempty"` // of a test: nobody is told any more
	Steps        []Step           `json:"steps"`
}

// Open reports whether the call runs.
func (e *Emergency) Open() bool { return e.Ended.IsZero() }

// Noticed reports whether nobody has to be told any more.
func (e *Emergency) Noticed() bool { return e.Acknowledged != nil || e.NoticeOver }

// apply takes the next step.
func (e *Emergency) apply(s Step) {
	switch e.Steps = append(e.Steps, s); s.Kind {
	case Invite:
		e.Trunk, e.ELIN = s.Trunk, s.ELIN
		if s.Address != "" {
			e.Address = s.Address
		}
	case Answered:
		if e.Answered.IsZero() {
			e.Answered = s.At
		}
		if s.Trunk != "" {
			e.Trunk = s.Trunk
		}
	case Ended:
		if e.Ended.IsZero() {
			e.Ended, e.EndCause = s.At, s.Text
		}
	case Callback:
		e.Callbacks++
	case Acknowledged:
		if e.Acknowledged == nil {
			e.Acknowledged = &Acknowledgement{s.Who, s.How, s.At}
		}
	case NoticeOver:
		e.NoticeOver = true
	}
}

// fold is a record as it stood after some steps.
func fold(f Facts, steps []Step) Emergency {
	e := Emergency{Facts: f, Steps: make([]Step, 0, len(steps))}
	for _, s := range steps {
		e.apply(s)
	}
	return e
}

// Display is the call in a telephone's display: "911 ROOM 204", "TEST 933 ROOM 204".
func (f *Facts) Display() string {
	where := "UNKNOWN PHONE"
	for _, s := range []string{f.Caller.Display, f.Place, f.Caller.Name, f.Caller.Number} {
		if s = plain(s, 32); s != "" {
			where = strings.ToUpper(s)
			break
		}
	}
	number := f.Number
	if strings.HasPrefix(strings.ToLower(number), "urn:") {
		number = "SOS"
	}
	if f.Test {
		number = "TEST " + number
	}
	return plain(number, 16) + " " + where
}

// plain is text from outside, fit for a display or a line: no control characters, no quotes, not too long.
func plain(s string, most int) string {
	r := []rune(strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if c == '"' || c == '\\' || c == unicode.ReplacementChar || !unicode.IsPrint(c) && !unicode.IsSpace(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))), " "))
	if len(r) > most {
		r = append(r[:most-1], '…')
	}
	return string(r)
}
