package branch

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/phone"
	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
)

// Suites that the phones of the branch have.
const (
	AES80 = "AES_CM_128_HMAC_SHA1_80"
	GCM   = "AEAD_AES_256_GCM"
)

// Person is somebody with a desk phone.
type Person struct {
	Extension, Name, Password string
	BYOC, Cloud               string // E.164
	Codecs, Suites            []string
	Algorithms                []string // Digest; nil: both
	Hz                        float64
	Recording                 int
	EventClock                uint32
	DND                       bool
	OnlyWhenTold              bool // the phone does not go home by itself
	Second                    bool // this is the person's second phone

	Phone     *phone.Phone
	behaviour atomic.Pointer[ua.Behaviour]
}

// CallerID is the number that the outside sees: the person's own, else the site's.
func (p *Person) CallerID() string { return cmp.Or(p.BYOC, MainNumber) }

// Behave sets how the phone takes its next calls; the zero Behaviour is the usual one, a short ring and an answer.
func (p *Person) Behave(b ua.Behaviour) { p.behaviour.Store(&b) }

// SecondPhone is another phone of the same person; it has a tone of its own.
func (p *Person) SecondPhone(hz float64) *Person {
	return &Person{Extension: p.Extension, Name: p.Name, Password: p.Password, BYOC: p.BYOC, Cloud: p.Cloud, Codecs: p.Codecs,
		Suites: p.Suites, Algorithms: p.Algorithms, Hz: hz, Recording: p.Recording, EventClock: p.EventClock, Second: true}
}

func (p *Person) incoming(*sip.Request) ua.Behaviour {
	if b := p.behaviour.Load(); b != nil && *b != (ua.Behaviour{}) {
		return *b
	}
	return ua.Behaviour{RingFor: 100 * time.Millisecond}
}

// people are the branch's staff. Their phones differ as phones do: in codecs, suites, Digest algorithms, the clock of
// their telephone events, and in whether they go home by themselves.
func people() []*Person {
	p := []*Person{
		{Extension: "1001", Name: "Alice Abbott", Codecs: []string{"opus", "pcmu"}, Suites: []string{AES80}, EventClock: 48000, Recording: voice.RecordingA, Hz: 440},
		{Extension: "1002", Name: "Bob Brown", Codecs: []string{"opus", "pcmu"}, Suites: []string{AES80}, EventClock: 8000, Recording: voice.RecordingB, Hz: 520},
		{Extension: "1003", Name: "Carol Chen", Codecs: []string{"pcmu"}, Suites: []string{AES80}, EventClock: 8000, Hz: 610},
		{Extension: "1004", Name: "Dave Duarte", Codecs: []string{"pcmu"}, Suites: []string{GCM}, EventClock: 8000, Hz: 730, OnlyWhenTold: true},
		{Extension: "1005", Name: "Erin Ek", Codecs: []string{"pcmu"}, Suites: []string{AES80}, Algorithms: []string{"MD5"}, EventClock: 8000, Hz: 860, OnlyWhenTold: true},
		{Extension: "1006", Name: "Frank Fiala", Codecs: []string{"opus"}, Suites: []string{AES80}, EventClock: 48000, Recording: voice.RecordingB, Hz: 990},
	}
	for _, x := range p {
		x.Password = "lab-" + x.Extension
		x.BYOC, x.Cloud = "+1217555"+x.Extension, "+1312555"+x.Extension
		if x.DND = x.Extension == NoNumber; x.DND {
			x.BYOC = ""
		}
	}
	return p
}

// Numbers behind the SBC.
const (
	MainNumber  = "+12175551000"
	Emergency   = "911"          // the PSAP
	ELIN        = "+12175550911" // what the PSAP sees, and calls back
	ELIN2       = "+12175550912" // for the next caller
	BackupELIN  = "+12175550921" // on the second trunk
	TestNumber  = "933"
	NoNumber    = "1005"         // who has no number of its own, and does not want to be disturbed
	FrontDesk   = "1002"         // whose phone rings with the notice
	Subscriber  = "+12175550142" // answers after a short ring
	EarlyBird   = "+12175550143" // plays before it answers
	BusyLine    = "+12175550144"
	PSTNCaller  = "+13125550177" // calls in
	PSTNTone    = 1200.0         // Hz, of everybody behind the SBC
	DialledOut  = "912175550142" // what a user dials for Subscriber: 9, 1, area code, number
	DialledBusy = "912175550144"
)

func subscribers() map[string]ua.Behaviour {
	return map[string]ua.Behaviour{
		Subscriber: {RingFor: 200 * time.Millisecond},
		Emergency:  {RingFor: 200 * time.Millisecond},
		TestNumber: {},
		EarlyBird:  {Early: true, RingFor: 1500 * time.Millisecond},
		BusyLine:   {Reject: 486},
	}
}
