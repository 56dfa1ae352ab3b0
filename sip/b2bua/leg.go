package b2bua

import (
	"net/netip"
	"sync/atomic"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/location"
	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// leg is one side of a call: a dialog with a phone or an SBC, its media leg, and what both sides have said in SDP.
type leg struct {
	call *Call
	name string // "a" for the caller, "b1", "b2"… for the branches
	side stack.Side

	user     *site.User  // a phone's
	trunk    *site.Trunk // an SBC's
	instance string      // of the phone, to find it again on a new connection
	binding  string      // contact URI of the phone's binding
	plainOK  bool        // a device that the site allows plain RTP, or a phone that calls for help with it

	conn    *stack.Conn
	flow    atomic.Uint64  // of conn; read by the agent
	source  netip.Addr     // the peer's address; fixed before the leg is known to the agent
	at      netip.AddrPort // of a device on UDP: where it is reached, with a connection or without
	peerTag atomic.Value   // string; the peer's tag, read by the agent
	dlg     dialog

	shown route.CallerID // the party as others see it
	own   bool           // the Call-ID is the box's (RFC 3261 §14.1)

	saved    string       // the key of the dialog in Dialogs; "": not there
	restored *SavedDialog // of the program's last life, and not yet reached in this one
	takes    *leg         // whose place a phone that takes part wants

	uas       *stack.ServerTx // the INVITE of a phone that takes part in a running call
	invite    *stack.ClientTx // a branch's INVITE
	body      []byte          // what that offered, should it have to be sent again
	branch    string          // of its Via
	early1xx  string          // the tag that a trunk has told before its answer
	bodyType  string          // SDP, or a multipart with a location
	elin      string          // that an emergency call shows; "": the trunk's main number
	extra     []sip.Header    // and with which headers
	pending   bool            // a branch's final response is still to come
	cancelled bool            // a branch that is given up
	heard     bool            // a trunk has said something, a 100 at least
	counted   bool            // it takes one of the trunk's calls
	patience  *timer          // a trunk's first response is awaited
	progress  *timer          // a trunk's ringing or answer is awaited (emergency calls)
	status    int             // final status of a branch that failed, 0 while it is trying

	answered bool               // a 2xx was received from or sent to this leg
	acked    bool               // their 2xx was acknowledged by us
	over     bool               // BYE sent or received
	moved    *leg               // what the leg has become in another call
	onAck    func(*sip.Request) // a 2xx of the box awaits its ACK
	ackSeq   uint32             // with this CSeq
	owes     bool               // which brings the answer to the box's offer
	resend   *timer             // and is sent again until then

	reliable map[string]uint32 // last RSeq by the peer's tag (RFC 3262)
	session  session           // RFC 4028
	updates  bool              // the peer knows UPDATE

	media  MediaLeg
	before MediaLeg         // in the call that the dialog comes from
	closed bool             // media was closed
	plays  bool             // a prompt
	hears  Prompt           // which, or which it is to hear; "": none
	stats  LegStats         // at that time
	id     uint64           // session id of the box's o= line
	local  sdp.Local        // what the box said last
	said   bool             // something was said
	keys   []sdp.Crypto     // offered by the box and not answered yet
	offer  []sdp.Codec      // codecs offered by the box and not answered yet
	peer   *sdp.Description // what the peer said last
	early  *sdp.Description // the answer that a branch has given before its 2xx
	can    []sdp.Codec      // what the peer has shown to know

	codecs        sdp.Stream // in force, numbered for sending to the peer
	ours          sdp.Stream // in force, numbered as the peer sends
	send          sdp.Crypto // the box's key in force
	recv          sdp.Crypto // the peer's
	lastAudio     Stream     // what was set last
	silent        *timer     // when a silent peer is probed again
	dead          bool       // nothing is heard of the peer's signalling
	mute          bool       // no sound came from a party of an emergency call: it was told
	undecryptable bool       // sound came, and could not be decrypted
	watch         *timer     // when it is asked whether it is there

	foreign  bool       // send is another peer's key: the box never seals with it
	lent     sdp.Crypto // the caller's key, as offered to the leg
	due      *tune      // waits for a key of the box's own
	asked    bool       // to go on with its sound (hold.go)
	misled   bool       // the peer has accepted a key that the box does not know to be in force
	keyTries int        // of giving it another key
	keyPause bool       // before the next
}

// AOR names the leg's person or trunk in logs and records.
func (l *leg) aor() string {
	switch {
	case l.user != nil:
		return l.user.ID
	case l.trunk != nil:
		return "trunk " + l.trunk.ID
	}
	return "unknown"
}

func (l *leg) mediaSide() Side {
	if l.side == stack.Trunk {
		return Trunk
	}
	return Access
}

// use makes c the leg's connection.
func (l *leg) use(c *stack.Conn) {
	l.conn = c
	l.flow.Store(c.Flow())
	l.at = netip.AddrPort{}
	if c.Over() == stack.UDP {
		l.at = c.Remote()
	}
	if !l.source.IsValid() {
		l.source = c.Remote().Addr()
	}
}

// remoteTag is the peer's tag, "" while it has none.
func (l *leg) remoteTag() string {
	tag, _ := l.peerTag.Load().(string)
	return tag
}

// wipe zeroes the leg's keys.
func (l *leg) wipe() {
	l.send.Wipe()
	l.recv.Wipe()
	l.lent.Wipe()
	for _, k := range l.keys {
		k.Wipe()
	}
}

// connection is the leg's open connection: the one that the dialog was made on, or the one that the phone has come
// back on. nil if there is none now.
func (l *leg) connection() *stack.Conn {
	if l.conn != nil && !l.conn.Closed() {
		return l.conn
	}
	if l.trunk != nil {
		if c, ok := l.call.agent.o.Trunks.Open(l.trunk.ID); ok {
			l.use(c)
			return c
		}
		return nil
	}
	back, likely := l.registered()
	if back == nil {
		back = l.call.device(l.at)
	}
	if back == nil {
		back = likely
	}
	if back == nil && l.user == nil {
		back = l.strangersConn()
	}
	if back != nil {
		l.use(back)
	}
	return back
}

// registered is the connection that the user's phone has registered on, or one that is likely its: it has no name of its own, and
// another port now. nil where there is none.
func (l *leg) registered() (sure, likely *stack.Conn) {
	if l.user == nil {
		return nil, nil
	}
	for _, b := range l.call.agent.o.Bindings(l.user.ID) {
		c, ok := l.call.agent.o.Stack.Conn(uint64(b.Flow))
		switch {
		case b.Flow == 0 || !ok:
		case l.instance != "" && b.Instance == l.instance || l.instance == "" && l.binding == b.URI:
			return c, nil
		case l.instance == "" && b.Instance == "" && c.Remote().Addr() == l.source && likely == nil:
			likely = c
		}
	}
	return nil, likely
}

// device is the flow of a device on UDP, whose address is all that there is to it: also where the flow was given up, or the
// program has begun anew. nil if the site names no device there. For an emergency call it stays as long as a callback may come.
func (c *Call) device(at netip.AddrPort) *stack.Conn {
	conn := c.agent.o.Stack.Reach(at)
	if conn != nil && c.emergency && !conn.Authenticated() {
		conn.KeepFor(elin.Window)
	}
	return conn
}

// request starts a transaction in the dialog; do runs on the call's goroutine with its end, once. A 2xx to an INVITE
// that comes again is acknowledged again.
func (l *leg) request(req *sip.Request, do func(*sip.Response, error)) {
	c := l.connection()
	if c == nil {
		do(nil, stack.ErrConnClosed)
		return
	}
	call, answered := l.call, false
	once := func(res *sip.Response, err error) {
		if answered {
			if err == nil && res.StatusCode < 300 && req.Method == sip.INVITE {
				l.ack(res.CSeq().SeqNo, nil)
			}
			return
		}
		answered = true
		do(res, err)
	}
	_, err := call.send(c, req, func(res *sip.Response, err error) {
		if err == nil && res.StatusCode < 200 {
			return
		}
		call.post(gotReply{l, res, err, once})
	})
	if err != nil {
		do(nil, err)
	}
}

// forward hands an input on when the leg's dialog has gone over to another call.
func (l *leg) forward(in any) bool {
	if l.moved == nil {
		return false
	}
	switch in := in.(type) {
	case gotRequest:
		tx := in.tx
		if !l.moved.call.post(gotRequest{l.moved, tx}) {
			tx.Reply(481, "Call/Transaction Does Not Exist")
		}
	case gotAck:
		l.moved.call.post(gotAck{l.moved, in.req})
	}
	return true
}

// identify finds which of the user's phones the leg is on, so that it is found again on a new connection.
func (l *leg) identify() {
	if l.user == nil || l.conn == nil {
		return
	}
	for _, b := range l.call.agent.o.Bindings(l.user.ID) {
		if uint64(b.Flow) == l.conn.Flow() {
			l.instance, l.binding = b.Instance, b.URI
			return
		}
	}
}

// learn notes what a message says of its sender's abilities.
func (l *leg) learn(m sip.Message) {
	if len(m.GetHeaders("allow")) > 0 {
		l.updates = lists(m, "allow", "UPDATE")
	}
}

// bye ends the leg's dialog, once.
func (l *leg) bye() {
	if l.over || !l.answered {
		return
	}
	l.over = true
	if s := l.restored; s != nil { // as soon as it can be reached
		l.restored, l.saved = nil, ""
		s.Help, s.Seq = nil, min(l.dlg.localSeq, 1<<30-1)
		l.call.agent.o.Dialogs.Keep(s.Key, *s)
		l.call.agent.bury([]SavedDialog{*s})
		return
	}
	c := l.connection()
	if c == nil && l.trunk != nil {
		// The trunk's connection fell: its dialog is ended over a new one.
		dlg, cfg := l.dlg, l.call.agent.o.Trunks
		cfg.Connect(l.trunk.ID, func(c *stack.Conn, err error) {
			if err == nil {
				l.call.send(c, dlg.request(sip.BYE, c), func(*sip.Response, error) {})
			}
		})
		return
	}
	if c == nil {
		l.call.log.Warn("cannot hang up: the phone's connection is gone", "leg", l.name, "aor", l.aor())
		return
	}
	l.call.send(c, l.dlg.request(sip.BYE, c), func(*sip.Response, error) {})
}

// ack acknowledges a 2xx to the box's INVITE (RFC 3261 §13.2.2.4).
func (l *leg) ack(seq uint32, body []byte) {
	c := l.connection()
	if c == nil {
		return
	}
	req := l.dlg.numbered(sip.ACK, seq, c)
	setSDP(req, body)
	c.Write(req)
	l.acked = true
}

func setSDP(m sip.Message, body []byte) { setBody(m, location.SDP, body) }

func setBody(m sip.Message, mediaType string, body []byte) {
	if body != nil {
		m.AppendHeader(sip.NewHeader("Content-Type", mediaType))
	}
	m.SetBody(body)
}
