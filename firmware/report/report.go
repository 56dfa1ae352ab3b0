// Package report tells what an outage or a drill was: when the cloud went and how fast that was noticed, which phones came
// and which did not, every call and what became of it, calls for help, and what there is to do now. It collects while the
// box serves, writes the report when the box is back to normal, keeps it on the card and hands it to the outbox.
//
// Collecting survives a kill of the program and a power cut (a journal on the card); a report that is finished twice has
// one name, by which its receiver tells a repetition. Serving pages and deciding who may read is firmware/admin's job.
package report

import (
	"time"

	"holdfast/firmware/record"
)

// Kinds of incidents.
const (
	Outage = "outage"
	Drill  = "drill"
)

// Report is one incident. Lists are never nil.
type Report struct {
	ID      string    `json:"id"`   // the time of its beginning; for ever the same
	Kind    string    `json:"kind"` // Outage or Drill
	Box     string    `json:"box"`
	Version string    `json:"version"`
	Site    Site      `json:"site"`
	Made    time.Time `json:"made"`

	Began     time.Time `json:"began"` // the mode left normal
	Ended     time.Time `json:"ended"` // it was normal again
	Detection Detection `json:"detection"`
	Recovery  Recovery  `json:"recovery"`
	Drill     *Order    `json:"drill,omitempty"`
	Restarts  int       `json:"restarts"` // of the program or the box meanwhile

	Phones      Phones      `json:"phones"`
	Calls       Calls       `json:"calls"`
	Emergencies []Emergency `json:"emergencies"`
	Trunks      []Trunk     `json:"trunks"`
	Document    Document    `json:"document"`
	TimeLine    []Moment    `json:"time_line"`
	ToDo        []string    `json:"to_do"` // what a person should do now, in words

	// What the report lacks: events that found no room, and list entries that were cut off to keep what is sent small.
	Lost    int `json:"lost,omitempty"`
	LeftOut int `json:"left_out,omitempty"`
}

// Site is the branch.
type Site struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	TimeZone string `json:"time_zone"`
}

// Detection is how the outage was noticed. For a drill all is zero.
type Detection struct {
	LastAnswer time.Time         `json:"last_answer,omitzero"` // of any zone; zero: the cloud was never seen
	Noticed    time.Time         `json:"noticed,omitzero"`     // the mode became resilience
	Seconds    float64           `json:"seconds"`              // between the two: the longest that it can have taken
	Evidence   []record.Evidence `json:"evidence"`
}

// Recovery is how it ended.
type Recovery struct {
	FirstAnswer time.Time `json:"first_answer,omitzero"` // of the cloud, from which on it answered without a gap
	Recovering  time.Time `json:"recovering,omitzero"`   // phones were sent home from then on
	Normal      time.Time `json:"normal,omitzero"`
	Seconds     float64   `json:"seconds"` // from the first answer (of a drill: from its end) until normal
}

// Order is a drill as it was asked for.
type Order struct {
	By    string   `json:"by"`
	Users []string `json:"users"` // names; empty: the whole site
}

// Phones are who came.
type Phones struct {
	Expected int     `json:"expected"` // users of the site document, or of the drill
	Came     int     `json:"came"`
	FirstS   float64 `json:"first_seconds,omitempty"` // from the last answer of the cloud (of a drill: from its beginning) to the first phone
	LastS    float64 `json:"last_seconds,omitempty"`  // to the last one that came
	Here     []Phone `json:"here"`                    // in the order in which they came
	Missing  []Phone `json:"missing"`
}

// Phone is a user's.
type Phone struct {
	User      string    `json:"user"`
	Name      string    `json:"name"`
	Extension string    `json:"extension"`
	At        time.Time `json:"at,omitzero"`       // of the first registration
	AfterS    float64   `json:"after_s,omitempty"` // as FirstS
	Phones    int       `json:"phones,omitempty"`  // most at the same time
}

// Calls is what became of them.
type Calls struct {
	Total     int      `json:"total"`
	Answered  int      `json:"answered"`
	Missed    int      `json:"missed"`   // somebody here was called and did not answer
	Failed    int      `json:"failed"`   // somebody outside was called and did not answer
	Rejected  int      `json:"rejected"` // nobody was rung
	Running   int      `json:"running"`  // not over when the report was made
	TalkedS   float64  `json:"talked_s"`
	Reasons   []Reason `json:"reasons"` // of what was rejected, the most frequent first
	WorstLoss float64  `json:"worst_loss"`
	List      []Call   `json:"list"`
}

// Reason is why calls were rejected.
type Reason struct {
	Status int    `json:"status"`
	Text   string `json:"text"`
	Calls  int    `json:"calls"`
}

// Outcomes of calls.
const (
	Answered = "answered"
	Missed   = "missed"
	Failed   = "failed"
	Rejected = "rejected"
)

// Call is a record and what it comes to.
type Call struct {
	record.Call
	Outcome  string  `json:"outcome"`
	Why      string  `json:"why,omitempty"`       // in words, of what was not answered
	FromName string  `json:"from_name,omitempty"` // name and extension
	ToName   string  `json:"to_name,omitempty"`
	Loss     float64 `json:"loss"` // of the worse leg, 0 to 1
}

// Emergency is a call for help.
type Emergency struct {
	ID           string     `json:"id"`
	Title        string     `json:"title"` // "911 ROOM 204"
	Test         bool       `json:"test,omitempty"`
	At           time.Time  `json:"at"`
	Caller       string     `json:"caller"`
	Place        string     `json:"place,omitempty"`
	Address      string     `json:"address,omitempty"`
	ELIN         string     `json:"elin,omitempty"`
	Trunk        string     `json:"trunk,omitempty"`
	Answered     time.Time  `json:"answered,omitzero"`
	Ended        time.Time  `json:"ended,omitzero"`
	EndCause     string     `json:"end_cause,omitempty"`
	Refusals     []string   `json:"refusals"`          // trunks that did not take it, and why
	Rung         time.Time  `json:"rung,omitzero"`     // the first front desk's phone rang
	Seen         time.Time  `json:"seen,omitzero"`     // somebody took the notice
	SeenBy       string     `json:"seen_by,omitempty"` //
	Acknowledged time.Time  `json:"acknowledged,omitzero"`
	By           string     `json:"by,omitempty"`  // who acknowledged
	How          string     `json:"how,omitempty"` // key, command, page
	Callbacks    []Callback `json:"callbacks"`
	Alarms       []string   `json:"alarms"`
}

// Callback is a call to the number that the PSAP was shown.
type Callback struct {
	At       time.Time `json:"at"`
	From     string    `json:"from,omitempty"`
	Answered time.Time `json:"answered,omitzero"`
	Who      string    `json:"who,omitempty"`
}

// Trunk is an SBC at the beginning and at the end.
type Trunk struct {
	ID    string `json:"id"`
	Began bool   `json:"up_at_begin"`
	Ended bool   `json:"up_at_end"`
	Error string `json:"error,omitempty"` // the last one
}

// Document is the site document that served.
type Document struct {
	Serial   uint64    `json:"serial"`
	Source   string    `json:"source"`
	Fetched  time.Time `json:"fetched,omitzero"`
	AgeS     float64   `json:"age_s"` // when the incident began
	Warnings []string  `json:"warnings"`
}

// Moment is a point of the time line.
type Moment struct {
	At     time.Time `json:"at"`
	Sign   string    `json:"sign"` // mode name, phone, emergency, restart, cloud
	Text   string    `json:"text"`
	Detail string    `json:"detail,omitempty"`
}

// Summary is a report's line in a list.
type Summary struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"`
	Began       time.Time `json:"began"`
	Ended       time.Time `json:"ended"`
	Expected    int       `json:"expected"`
	Came        int       `json:"came"`
	Calls       int       `json:"calls"`
	Missed      int       `json:"missed"`
	Emergencies int       `json:"emergencies"`
}

func (r *Report) summary() Summary {
	return Summary{r.ID, r.Kind, r.Began, r.Ended, r.Phones.Expected, r.Phones.Came, r.Calls.Total, r.Calls.Missed, len(r.Emergencies)}
}
