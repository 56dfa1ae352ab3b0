package b2bua

import (
	"cmp"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/registrar"
	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Trunks is what the agent needs of sip/trunk.
type Trunks interface {
	// Connect hands over an open connection to the trunk, or why there is none; never from within Connect.
	Connect(id string, f func(*stack.Conn, error))
	// Renew is Connect for whoever has heard nothing at all on silent, which may be dead: it hands over another one, or why there is none.
	Renew(id string, silent *stack.Conn, f func(*stack.Conn, error))
	Up(id string) bool
	// Open is the connection to the trunk that is open now, if there is one.
	Open(id string) (*stack.Conn, bool)
}

// Options of an Agent. The functions are called from many goroutines and must be quick.
type Options struct {
	Log    *slog.Logger
	Stack  *stack.Stack
	Media  Media
	Trunks Trunks

	// IsTrunk reports whether a connection of another trunk is as good as one of the trunk: SBCs may share a certificate. nil:
	// none is.
	IsTrunk func(c *stack.Conn, trunk string) bool

	Site     func() *site.Site                       // the document in force; never nil
	Policy   func() route.Policy                     // what the mode allows now
	Bindings func(userID string) []registrar.Binding // live bindings, reachable ones first
	ELINs    *elin.Table                             // who called for help under which number; default: an empty one
	// Authenticate says which user a request on the access side comes from. When it cannot, it has answered the
	// request itself (401, 403 …) and returns false.
	Authenticate func(*stack.ServerTx) (*site.User, bool)
	// Known says which user's phone an emergency call comes from, if that is proven already; it asks for nothing.
	Known func(*stack.ServerTx) (*site.User, bool)
	// Prove asks who Known took for the user over UDP to prove it, where such calls come too often to be believed. Until that is
	// done it has answered the request itself and returns false. nil: whoever calls too often is a stranger.
	Prove func(*stack.ServerTx, *site.User) bool

	OnEmergency func(EmergencyEvent) // each step of an emergency call; before the call goes on
	SavePins    func()               // the pins have changed; returns when a crash does not lose them

	OnLeg func(call, callID string) // a call has a leg with this Call-ID; called before its first message leaves. nil: nobody asks

	SharedKeys bool              // two phones may have each other's SRTP keys; Media must allow it too (shared.go)
	OnCut      func(call string) // an emergency call, or a callback to it, was cut off: it could not be taken up again in the program's next life, or a fault ended it

	OnCodecs func(u *site.User, instance string, g711 bool) // a phone's offer has G.711, or not; must be quick

	OnEnd    func(Record) // each call's record, once; must not block
	MaxCalls int          // default 1000; emergency calls are not counted against it
	// How long a trunk may be without any response before the next one is tried: TrunkPatience for ordinary calls
	// (default 4 s), EmergencyPatience for emergency calls (2 s); and EmergencyProgress (8 s) without 18x or 2xx.
	TrunkPatience, EmergencyPatience, EmergencyProgress time.Duration

	Dialogs        Dialogs       // where dialogs survive a crash of the program; nil: nowhere
	SessionExpires time.Duration // session interval that the box asks for (RFC 4028); default 30 min
	MinSE          time.Duration // the shortest that it agrees to; default 90 s
	ResumeWait     time.Duration // how long an emergency call of the program's last life waits for its parties; default 45 s
	PhoneWait      time.Duration // how long a call waits for a phone of a restored binding; default 5 s
}

// Agent holds the calls.
type Agent struct {
	o   Options
	log *slog.Logger

	mu        sync.Mutex
	calls     map[string]*Call
	legs      map[string]*leg          // by dialog.key
	invites   map[string]*Call         // by mergeKey
	busy      map[string]int           // calls by trunk
	room      map[string]time.Time     // by trunk: when a call last made room there for an emergency call
	parks     map[string]*Call         // parked calls by place
	hairpins  map[string]int           // calls that go out by the way they came
	waits     map[string][]*Call       // calls that wait for a phone of a user
	lost      map[string][]SavedDialog // dialogs of the program's last life that phones still think are up, by user
	cancelled map[string]time.Time     // Call-IDs of the last life's INVITEs that were cancelled in this one
	wg        sync.WaitGroup
	stop      bool
	done      chan struct{} // closed by Stop
	began     time.Time

	secret   [32]byte // of tagFor
	lateByes atomic.Int64

	serial    atomic.Uint64
	totals    Totals
	strangers strangers
	lines     strangers // of gateways on UDP
}

// Totals since the start, for metrics.
type Totals struct {
	Calls, Answered, Refused, Emergency, Faults atomic.Uint64
}

// New makes an agent without calls.
func New(o Options) *Agent {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = 1000
	}
	if o.ELINs == nil {
		o.ELINs = elin.New(elin.Options{})
	}
	o.TrunkPatience = cmp.Or(o.TrunkPatience, 4*time.Second)
	o.EmergencyPatience = cmp.Or(o.EmergencyPatience, 2*time.Second)
	o.EmergencyProgress = cmp.Or(o.EmergencyProgress, 8*time.Second)
	o.SessionExpires = cmp.Or(o.SessionExpires, 30*time.Minute)
	o.MinSE = cmp.Or(o.MinSE, 90*time.Second)
	o.ResumeWait = cmp.Or(o.ResumeWait, 45*time.Second)
	o.PhoneWait = cmp.Or(o.PhoneWait, 5*time.Second)
	a := &Agent{o: o, log: o.Log, calls: make(map[string]*Call), legs: make(map[string]*leg), invites: make(map[string]*Call), busy: make(map[string]int), room: make(map[string]time.Time), cancelled: make(map[string]time.Time),
		parks: make(map[string]*Call), hairpins: make(map[string]int), waits: make(map[string][]*Call), lost: make(map[string][]SavedDialog),
		done: make(chan struct{}), began: time.Now()}
	rand.Read(a.secret[:])
	return a
}

// Totals returns the live counters.
func (a *Agent) Totals() *Totals { return &a.totals }

// Stop ends every call with BYE and waits for the calls' goroutines.
func (a *Agent) Stop() {
	a.mu.Lock()
	if !a.stop {
		close(a.done)
	}
	a.stop = true
	calls := make([]*Call, 0, len(a.calls))
	for _, c := range a.calls {
		calls = append(calls, c)
	}
	a.mu.Unlock()
	for _, c := range calls {
		c.post(gotStop{causeStopped})
	}
	a.wg.Wait()
}

// Handle takes every request but REGISTER: within a dialog to its call, outside of one an INVITE opens a call and
// OPTIONS is answered. The rest gets its status (RFC 3261 §8.2).
func (a *Agent) Handle(tx *stack.ServerTx) {
	req := tx.Request()
	if mf := req.MaxForwards(); mf != nil && mf.Val() == 0 && req.Method != sip.OPTIONS {
		tx.Reply(483, "Too Many Hops")
		return
	}
	if tag, _ := req.To().Params.Get("tag"); tag != "" {
		a.inDialog(tx, tag)
		return
	}
	switch req.Method {
	case sip.INVITE:
		a.invite(tx)
	case sip.OPTIONS:
		tx.Reply(200, "OK", sip.NewHeader("Allow", allow), sip.NewHeader("Accept", "application/sdp"), sip.NewHeader("Supported", supported(tx.Conn())))
	case sip.BYE, sip.UPDATE, sip.PRACK, sip.INFO, sip.NOTIFY:
		tx.Reply(481, "Call/Transaction Does Not Exist")
	case sip.REFER:
		tx.Reply(403, "Only Within A Call")
	default:
		tx.Reply(405, "Method Not Allowed", sip.NewHeader("Allow", allow))
	}
}

func (a *Agent) inDialog(tx *stack.ServerTx, tag string) {
	req := tx.Request()
	l := a.find(req.CallID().Value(), tag)
	if l == nil || !l.owns(tx.Conn(), req) {
		tx.Reply(481, "Call/Transaction Does Not Exist")
		return
	}
	if !l.call.post(gotRequest{l, tx}) {
		tx.Reply(481, "Call/Transaction Does Not Exist")
	}
}

// Ack takes the ACK of a 2xx.
func (a *Agent) Ack(c *stack.Conn, req *sip.Request) {
	tag, _ := req.To().Params.Get("tag")
	if l := a.find(req.CallID().Value(), tag); l != nil && l.owns(c, req) {
		l.call.post(gotAck{l, req})
	}
}

// owns reports whether a request that names the leg's dialog may act on it: the other tag fits, and it comes on the
// leg's connection, from the same phone on a new one, or from the same trunk.
func (l *leg) owns(c *stack.Conn, req *sip.Request) bool {
	if tag, _ := req.From().Params.Get("tag"); tag != l.remoteTag() || c.Side() != l.side {
		return false
	}
	if l.side == stack.Trunk {
		return l.trunk != nil && l.call.agent.isTrunk(c, l.trunk.ID)
	}
	return c.Remote().Addr() == l.source
}

// isTrunk reports whether a connection is the trunk's.
func (a *Agent) isTrunk(c *stack.Conn, trunk string) bool {
	id, _ := c.Get().(string)
	return id == trunk || a.o.IsTrunk != nil && a.o.IsTrunk(c, trunk)
}

func (a *Agent) find(callID, tag string) *leg {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.legs[dialogKey(callID, tag)]
}

func (a *Agent) addLeg(l *leg) {
	if a.o.OnLeg != nil {
		a.o.OnLeg(l.call.id, l.dlg.callID)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.legs[l.dlg.key()] = l
}

func (a *Agent) dropLeg(l *leg) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.legs[l.dlg.key()] == l {
		delete(a.legs, l.dlg.key())
	}
}

func (a *Agent) remove(c *Call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.calls, c.id)
	a.unmerge(c)
}
