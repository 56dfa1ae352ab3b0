// Package ua is a SIP user agent for the lab: calls with SDES-SRTP audio over connections that the caller gives it. A
// lab phone and the PSTN behind the lab's SBC are both made of it. Whatever the other side does against the RFCs is
// noted as a problem (Problems), so that a test can ask for none.
//
// Registration and the choice of a server are package phone's job. It uses sipgo's messages and parser only, no
// part of the box's own stack.
package ua

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/voice"
	"holdfast/firmware/lab/wire"
)

// Config says who an agent is and how it behaves.
type Config struct {
	User, Domain, Name string         // From: "Name" <sip:User@Domain>
	Password           string         // "" for a peer that is known by its certificate
	Algorithms         []string       // Digest algorithms it knows, default SHA-256 and MD5
	UserAgent          string         // User-Agent and Server
	Contact            netip.AddrPort // default: the local address of the call's connection
	Voice              voice.Config
	Outlives           bool                         // calls outlive their connection, and go on over the one that the peer uses next
	Incoming           func(*sip.Request) Behaviour // how a call is taken; nil: answered at once
}

// Behaviour is what an agent does with an incoming call.
type Behaviour struct {
	Reject      int           // this status at once, such as 486; 0: none
	Early       bool          // 183 with SDP, and audio before the answer
	RingFor     time.Duration // 180, then the answer after this
	Never       bool          // 180 and no answer
	HangUpAfter time.Duration // after the answer; 0: leaves it to the caller
	Hz          float64       // another tone than the agent's own
}

// Agent takes and makes calls. Its methods are safe for concurrent use.
type Agent struct {
	cfg Config

	mu       sync.Mutex
	calls    map[string]*Call // by Call-ID and own tag
	all      []*Call          // also those that have ended, in order
	problems []string
	incoming chan *Call
	owned    sync.WaitGroup
}

const maxKept = 1000 // calls and problems remembered

// New makes an agent. It has no connection of its own: Handle is given to the connections that it serves.
func New(cfg Config) *Agent {
	if cfg.Algorithms == nil {
		cfg.Algorithms = []string{"SHA-256", "MD5"}
	}
	return &Agent{cfg: cfg, calls: map[string]*Call{}, incoming: make(chan *Call, 64)}
}

// Incoming yields each call that arrives, as soon as it does; one that nobody fetches is dropped from the channel only.
func (a *Agent) Incoming() <-chan *Call { return a.incoming }

// Calls are all calls so far, in order, ended ones too.
func (a *Agent) Calls() []*Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*Call(nil), a.all...)
}

// Running is the number of calls on a connection that have not ended; nil counts all.
func (a *Agent) Running(conn *wire.Conn) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		if conn == nil || c.conn() == conn {
			n++
		}
	}
	return n
}

// Problems are the breaches of protocol that the agent saw.
func (a *Agent) Problems() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.problems...)
}

// Close ends all calls without a word to the peers and waits for what runs.
func (a *Agent) Close() {
	a.mu.Lock()
	var open []*Call
	for _, c := range a.calls {
		open = append(open, c)
	}
	a.mu.Unlock()
	for _, c := range open {
		c.end("closed")
	}
	a.owned.Wait()
}

// Handle is the wire.Handler of the agent's connections.
func (a *Agent) Handle(conn *wire.Conn, req *sip.Request) {
	if tag, ok := req.To().Params.Get("tag"); ok {
		a.inDialog(conn, req, a.find(req.CallID().Value(), tag))
		return
	}
	switch req.Method {
	case sip.OPTIONS:
		a.respond(conn, req, 200, "OK")
	case sip.INVITE:
		a.accept(conn, req)
	case sip.CANCEL:
		a.cancelled(conn, req)
	case sip.ACK: // of a final response without a dialog: nothing to do
	case sip.NOTIFY, sip.MESSAGE, sip.INFO, sip.UPDATE, sip.BYE:
		a.respond(conn, req, 481, "Call/Transaction Does Not Exist")
	default:
		a.respond(conn, req, 501, "Not Implemented")
	}
}

func (a *Agent) inDialog(conn *wire.Conn, req *sip.Request, c *Call) {
	if c == nil {
		if req.Method != sip.ACK && req.Method != sip.CANCEL {
			a.respond(conn, req, 481, "Call/Transaction Does Not Exist")
		}
		return
	}
	if a.cfg.Outlives {
		c.flow.Store(conn)
	}
	switch req.Method {
	case sip.ACK:
		c.acked(req)
	case sip.BYE:
		a.respond(conn, req, 200, "OK")
		c.setReason(req)
		c.end("peer")
	case sip.INVITE, sip.UPDATE:
		c.reoffered(conn, req)
	case sip.OPTIONS, sip.INFO, sip.NOTIFY:
		a.respond(conn, req, 200, "OK")
	default:
		a.respond(conn, req, 501, "Not Implemented")
	}
}

func (a *Agent) respond(conn *wire.Conn, req *sip.Request, status int, reason string, headers ...sip.Header) {
	res := sip.NewResponseFromRequest(req, status, reason, nil)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	res.AppendHeader(sip.NewHeader("Server", a.cfg.UserAgent))
	res.AppendHeader(sip.NewHeader("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY"))
	conn.Send(res)
}

func (a *Agent) find(callID, localTag string) *Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[callID+"|"+localTag]
}

func (a *Agent) add(c *Call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[c.id+"|"+c.localTag] = c
	if len(a.all) < maxKept {
		a.all = append(a.all, c)
	}
}

func (a *Agent) remove(c *Call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.calls, c.id+"|"+c.localTag)
}

func (a *Agent) problem(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.problems) < maxKept {
		a.problems = append(a.problems, a.cfg.User+": "+fmt.Sprintf(format, args...))
	}
}
