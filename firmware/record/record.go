// Package record keeps what happened: a line of JSON for every call, for every change of mode and for every step of a call
// for help, in files on the card that people can read. A call never waits for them: what finds no room is counted. Records hold who called whom, how it ended and how it sounded; never a key.
// What a record means for the outage report is firmware/report's job.
package record

import (
	"time"

	"holdfast/firmware/mode"
)

// Kinds of records: the names of their files.
const (
	KindCall      = "call"
	KindMode      = "mode"
	KindEmergency = "emergency" // steps of emergency calls (firmware/emergency)
)

// Call is one call.
type Call struct {
	ID        string    `json:"id"`
	Start     time.Time `json:"start"`
	Answer    time.Time `json:"answer,omitzero"` // zero: not answered
	End       time.Time `json:"end"`
	From      string    `json:"from"`
	To        string    `json:"to,omitempty"`      // who was reached
	Dialled   string    `json:"dialled,omitempty"` // as it came
	Direction Direction `json:"direction"`
	Kind      string    `json:"kind,omitempty"` // how it was routed: user, trunk, emergency, reject
	Emergency bool      `json:"emergency,omitempty"`
	Mode      mode.Mode `json:"mode"`   // at the end of the call
	Status    int       `json:"status"` // final SIP status that the caller got
	EndCause  string    `json:"end_cause"`
	EndedBy   string    `json:"ended_by,omitempty"` // caller, callee or box
	Legs      []Leg     `json:"legs,omitempty"`
	Count     int       `json:"count,omitempty"` // not 0: of so many refused calls from Start to End this is the last (crowd.go)
}

// Direction is a call's, seen from the branch.
type Direction string

// The directions.
const (
	Inside   Direction = "inside"  // phone to phone
	Outbound Direction = "out"     // phone to SBC
	Inbound  Direction = "in"      // SBC to phone
	Through  Direction = "through" // SBC to SBC, by a user's forwarding
)

// Leg is one side of a call and its quality.
type Leg struct {
	Side       string  `json:"side"`  // access or trunk
	Party      string  `json:"party"` // user or trunk
	Codec      string  `json:"codec,omitempty"`
	Suite      string  `json:"suite,omitempty"`  // of SRTP; "" for plain RTP
	Status     int     `json:"status,omitempty"` // of a branch that failed
	RxPackets  uint64  `json:"rx_packets"`
	RxLost     uint64  `json:"rx_lost"`
	TxPackets  uint64  `json:"tx_packets"`
	JitterMS   float64 `json:"jitter_ms"`
	RTTMS      float64 `json:"rtt_ms,omitempty"`    // 0: unknown
	PeerLost   float64 `json:"peer_lost,omitempty"` // fraction lost that the peer reports, 0 to 1
	AuthFailed uint64  `json:"auth_failed,omitempty"`
	Replayed   uint64  `json:"replayed,omitempty"`
	Unheard    bool    `json:"undecryptable,omitempty"` // its sound could not be decrypted, for some seconds at least
}

// Change is a change of mode with its evidence.
type Change struct {
	At       time.Time  `json:"at"`
	From     mode.Mode  `json:"from"`
	To       mode.Mode  `json:"to"`
	Cause    string     `json:"cause"`
	Evidence []Evidence `json:"evidence"`
	Drill    *Drill     `json:"drill,omitempty"`
}

// Evidence is what was known of one probe.
type Evidence struct {
	Zone    string       `json:"zone"`
	Kind    mode.Kind    `json:"kind"`
	Verdict mode.Verdict `json:"verdict"`
	Alive   bool         `json:"alive"`
	InARow  int          `json:"in_a_row"`
	At      time.Time    `json:"at,omitzero"`
	RTTMS   float64      `json:"rtt_ms,omitempty"`
	Detail  string       `json:"detail,omitempty"`
	// When the row of equal outcomes began, and when the zone last answered.
	Since     time.Time `json:"since,omitzero"`
	LastAlive time.Time `json:"last_alive,omitzero"`
}

// Drill is the drill that began or ended.
type Drill struct {
	By     string   `json:"by"`
	Users  []string `json:"users,omitempty"` // empty: the whole site
	LimitS float64  `json:"limit_s"`
}

// FromTransition is the record of a change of mode.
func FromTransition(t mode.Transition) Change {
	c := Change{At: t.At, From: t.From, To: t.To, Cause: t.Cause, Evidence: make([]Evidence, len(t.Evidence))}
	for i, e := range t.Evidence {
		c.Evidence[i] = Evidence{e.Zone, e.Kind, e.Verdict, e.Alive, e.InARow, e.At, Milliseconds(e.RTT), e.Detail, e.Since, e.LastAlive}
	}
	if t.Drill != nil {
		c.Drill = &Drill{t.Drill.By, t.Drill.Users, t.Drill.Limit.Seconds()}
	}
	return c
}

// Milliseconds is a duration as records have it, to a microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
