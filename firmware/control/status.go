// Package control is how people and scripts on the box talk to the running daemon: HTTP with JSON over a local Unix
// socket that only the daemon's user may open. It has the words for both ends; what they mean, firmware/box says.
package control

import "time"

// Status is what the box shows of itself. All times are absolute.
type Status struct {
	Name        string      `json:"name"`
	Version     string      `json:"version"`
	Started     time.Time   `json:"started"`
	Mode        Mode        `json:"mode"`
	Emergencies []Emergency `json:"emergencies"` // that run, or that nobody has acknowledged
	Zones       []Zone      `json:"zones"`
	Trunks      []Trunk     `json:"trunks"`
	Phones      Phones      `json:"phones"`
	Calls       []Call      `json:"calls"`
	Site        Site        `json:"site"`
	Media       Media       `json:"media"`
	Update      Update      `json:"update"`
	Alarms      []string    `json:"alarms"`
	Events      []ModeEvent `json:"events"` // the last changes of mode, newest last
}

// Mode is the resilience state.
type Mode struct {
	Name  string    `json:"name"` // normal, resilience, drill, recovering
	Since time.Time `json:"since"`
	Cause string    `json:"cause"`
	Until time.Time `json:"until,omitzero"`
	Users []string  `json:"users,omitempty"` // of a drill for named users
}

// ModeEvent is a change of mode.
type ModeEvent struct {
	At       time.Time `json:"at"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Cause    string    `json:"cause"`
	Evidence []Zone    `json:"evidence"`
}

// Zone is one probe of the cloud.
type Zone struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`    // sip or https
	Verdict string    `json:"verdict"` // unknown, up, down
	At      time.Time `json:"at,omitzero"`
	RTT     float64   `json:"rtt_ms"`
	Detail  string    `json:"detail,omitempty"`
}

// Trunk is one SBC.
type Trunk struct {
	ID      string    `json:"id"`
	Address string    `json:"address"`
	Up      bool      `json:"up"`
	Since   time.Time `json:"since"`
	RTT     float64   `json:"rtt_ms"`
	Error   string    `json:"error,omitempty"`
}

// Phones counts who is here.
type Phones struct {
	Users       int `json:"users"`    // with a phone here
	Expected    int `json:"expected"` // users of the site document
	Bindings    int `json:"bindings"`
	Unreachable int `json:"unreachable"` // registered, connection lost
	Connections int `json:"connections"`
}

// Call is a running call.
type Call struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Dialled   string    `json:"dialled,omitempty"` // as it came
	Codec     string    `json:"codec,omitempty"`
	Began     time.Time `json:"began"`
	Answered  time.Time `json:"answered,omitzero"`
	Emergency bool      `json:"emergency"`
}

// Site is the site document in force.
type Site struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Serial    uint64    `json:"serial"`
	Source    string    `json:"source"`
	Fetched   time.Time `json:"fetched"`
	LastCheck time.Time `json:"last_check,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	Warnings  []string  `json:"warnings"`
}

// Media is the anchor's use of ports.
type Media struct {
	Sessions   int `json:"sessions"`
	PortsUsed  int `json:"ports_used"`
	PortsFree  int `json:"ports_free"`
	PortsDrain int `json:"ports_draining"`
}

// DrillOrder starts a drill.
type DrillOrder struct {
	By    string        `json:"by"`
	Users []string      `json:"users,omitempty"` // extensions, usernames or user IDs; empty: the whole site
	Limit time.Duration `json:"limit"`           // nanoseconds
}

// Answer is what a command came to.
type Answer struct {
	Message string `json:"message"`
}
