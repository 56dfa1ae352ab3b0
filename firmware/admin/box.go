package admin

import (
	"context"
	"io"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/report"
	"holdfast/sip/trace"
)

// Box is what the page shows and asks for; firmware/box adapts itself to it. All methods may be called at any time from any
// goroutine and answer from memory, except where they take a context.
type Box interface {
	Status() control.Status
	People() []Person
	Streams() []Stream
	Pins() []control.Pin
	EmergencyLog(n int) ([]emergency.Emergency, error)
	control.Certificates
	Panel() control.Panel
	Location() *time.Location // of the site
	Check() Check             // of the files that the boot file names

	StartDrill(control.DrillOrder) (string, error)
	StopDrill(by string) (string, error)
	Acknowledge(control.AckOrder) (string, error)
	Fetch(ctx context.Context, force bool) (string, error)
	EmergencyDrill(ctx context.Context, o control.EmergencyDrillOrder, step func(control.DrillStep)) error
}

// Tracer remembers the signalling of calls, secrets removed; nil where the box keeps none. A call is control.Call.ID.
type Tracer interface {
	Ladder(call string) (trace.Ladder, error)
	Capture(w io.Writer, call string) error // for Wireshark
}

// Updater puts a new version on the box; nil where there is none to put it.
type Updater interface {
	// Update reads a bundle, checks it and switches to it; the box restarts into it when its calls are over. progress takes bytes that
	// were written and a word of what is being done. force takes an older version, or the same, too.
	Update(ctx context.Context, bundle io.Reader, force bool, progress func(written int64, doing string)) error
}

// Reports are the reports of outages and drills; nil where none are kept.
type Reports interface {
	Reports() ([]report.Summary, error) // the oldest first
	Report(id string) (*report.Report, error)
}

// Person is a user of the site document with the phones that are here.
type Person struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Extension string  `json:"extension"`
	Zone      string  `json:"zone,omitempty"`
	Drilled   bool    `json:"drilled"` // takes part in the running drill
	Phones    []Phone `json:"phones"`
}

// Here reports whether one of the phones can be reached.
func (p Person) Here() bool {
	for _, x := range p.Phones {
		if x.Reachable {
			return true
		}
	}
	return false
}

// Phone is a registered phone. Agent is what the phone says of itself: any text.
type Phone struct {
	Agent      string    `json:"agent"`
	Address    string    `json:"address"`
	Registered time.Time `json:"registered"`
	Expires    time.Time `json:"expires"`
	Reachable  bool      `json:"reachable"` // false: its connection is lost
}

// Stream is what the box has received from one party of a call so far.
type Stream struct {
	Call     string
	Side     string // access or trunk
	Packets  uint64
	Lost     uint64
	Jitter   time.Duration
	RTT      time.Duration // 0: unknown
	PeerLost float64       // of what the box sends, as the party reports it, 0 to 1
}

// Check is what is wrong with the box's files now, and what will be soon.
type Check struct {
	Faults   []string `json:"faults"`
	Warnings []string `json:"warnings"`
}
