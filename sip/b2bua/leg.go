package b2bua

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/emiago/sipgo/sip"

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
	plainOK  bool        // a device that the site allows plain RTP

	conn    *stack.Conn
	flow    atomic.Uint64 // of conn; read by the agent
	source  netip.Addr    // the peer's address; fixed before the leg is known to the agent
	peerTag atomic.Value  // string; the peer's tag, read by the agent
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
	stats  LegStats         // at that time
	id     uint64           // session id of the box's o= line
	local  sdp.Local        // what the box said last
	said   bool             // something was said
	keys   []sdp.Crypto     // offered by the box and not answered yet
	offer  []sdp.Codec      // codecs offered by the box and not answered yet
	peer   *sdp.Description // what the peer said last
	early  *sdp.Description // the answer that a branch has given before its 2xx
	can    []sdp.Codec      // what the peer has shown to know

	codecs    sdp.Stream // in force, numbered for sending to the peer
	ours      sdp.Stream // in force, numbered as the peer sends
	send      sdp.Crypto // the box's key in force
	recv      sdp.Crypto // the peer's
	lastAudio Stream     // what was set last
	silent    *timer     // when a silent peer is probed again
	dead      bool       // nothing is heard of the peer's signalling
	watch     *timer     // when it is asked whether it is there

	foreign  bool       // send is another peer's key: the box never seals with it
	lent     sdp.Crypto // the caller's key, as offered to the leg
	due      *tune      // waits for a key of the box's own
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

// openMedia takes ports for the leg.
func (l *leg) openMedia() error {
	m, err := l.call.media.AddLeg(l.mediaSide())
	for try := 0; err != nil && l.call.makeRoom(try); try++ {
		m, err = l.call.media.AddLeg(l.mediaSide())
	}
	if err != nil {
		return err
	}
	l.media = m
	if l.id != 0 {
		return nil // a dialog that goes on in another call keeps its o= line
	}
	var id [8]byte
	rand.Read(id[:])
	l.id = binary.BigEndian.Uint64(id[:]) >> 2 // numeric and below 2^62, as RFC 8866 §5.2 wants it
	return nil
}

// say writes a description and remembers it; the version grows when it differs from the last (RFC 3264 §8).
func (l *leg) say(d sdp.Local) ([]byte, error) {
	d.Addr, d.SessionID = l.media.Local(), l.id
	d.Version = l.local.Version
	if l.said && !d.Equal(l.local) || !l.said {
		d.Version++
	}
	body, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("describe leg %s: %w", l.name, err)
	}
	l.local, l.said = d, true
	return body, nil
}

// profile for an offer of the box: the peer's own once it is known.
func (l *leg) profile() string {
	if l.peer != nil {
		return l.peer.Profile
	}
	if l.plainOK {
		return "RTP/AVP"
	}
	return "RTP/SAVP"
}

// offerCodecs makes an offer to the peer. In an established dialog the key in force is kept, so that the peer's
// stream runs on; a first offer has fresh keys for every suite.
func (l *leg) offerCodecs(codecs []sdp.Codec, dir sdp.Direction) ([]byte, error) {
	d := sdp.Local{Profile: l.profile(), Codecs: codecs, Direction: dir, Ptime: l.call.ptime()}
	if l.peer != nil {
		d.Lines, d.Index, d.Mux = l.peer.Lines, l.peer.Index, l.peer.Mux
	}
	switch {
	case l.foreign:
		key, err := l.ownKey()
		if err != nil {
			return nil, err
		}
		d.Crypto = []sdp.Crypto{key}
	case l.send.Suite != "":
		d.Crypto = []sdp.Crypto{l.send}
	case l.profile() != "RTP/AVP" || !l.plainOK:
		keys, err := sdp.NewKeys(sdp.DefaultSuites(), rand.Reader)
		if err != nil {
			return nil, err
		}
		d.Crypto = l.withLent(keys)
	}
	l.keys, l.offer = d.Crypto, codecs
	return l.say(d)
}

// Errors of a negotiation, each with the status that it means.
var (
	errNoSRTP   = errors.New("the offer has no usable SRTP key")
	errBadReply = errors.New("the answer does not fit the offer")
)

// takeAnswer checks the peer's answer to the box's offer and makes its keys those in force. The codec is agreed by the
// caller.
func (l *leg) takeAnswer(d *sdp.Description) error {
	if len(l.keys) > 0 {
		ours, theirs, ok := sdp.MatchCrypto(l.keys, d.Crypto)
		if !ok {
			return fmt.Errorf("%w: no key of an offered suite", errBadReply)
		}
		l.send, l.recv = ours, theirs
		l.foreign, l.misled = l.lent.Suite != "" && sameKey(ours, l.lent), false
	} else if d.Secure() {
		return fmt.Errorf("%w: SRTP where plain RTP was offered", errBadReply)
	}
	l.heardSDP(d)
	return nil
}

// heardSDP notes what the peer said.
func (l *leg) heardSDP(d *sdp.Description) {
	l.peer = d
	l.can = merge(sdp.Filter(d.Codecs), l.can)
}

// merge appends to a what only b has.
func merge(a, b []sdp.Codec) []sdp.Codec {
	out := slices.Clone(a)
	for _, c := range b {
		if len(out) < 32 && !slices.ContainsFunc(out, c.Same) {
			out = append(out, c)
		}
	}
	return out
}

// takeOffer checks the security of the peer's offer and prepares the key that the answer will carry. The key in force
// is kept when the peer keeps the suite.
func (l *leg) takeOffer(d *sdp.Description) error {
	theirs, ok := sdp.SelectCrypto(d.Crypto)
	if ok && l.send.Suite != "" {
		for _, c := range d.Crypto { // stay with the suite in force where it is offered again
			if c.Suite == l.recv.Suite {
				theirs = c
				break
			}
		}
	}
	switch {
	case ok:
		ours := l.send
		if ours.Suite != theirs.Suite || string(l.recv.Key) != string(theirs.Key) || l.foreign && !l.repeats(d) {
			var err error
			if ours, err = theirs.Answer(rand.Reader); err != nil {
				return err
			}
			l.foreign = false
		}
		ours.Tag, ours.Spelling = theirs.Tag, theirs.Spelling
		l.send, l.recv = ours, theirs
	case d.Secure() || !l.plainOK:
		return errNoSRTP
	}
	l.heardSDP(d)
	return nil
}

// secures reports whether takeOffer would take the offer's security.
func (l *leg) secures(d *sdp.Description) bool {
	_, ok := sdp.SelectCrypto(d.Crypto)
	return ok || !d.Secure() && l.plainOK
}

// answer describes the leg in answer to the peer's offer.
func (l *leg) answer(dir sdp.Direction) ([]byte, error) {
	d := sdp.Local{Profile: l.peer.Profile, Codecs: l.codecs.Codecs(), Direction: dir.And(l.peer.Direction.Reverse()), Ptime: l.call.ptime(),
		Mux: l.peer.Mux, Lines: l.peer.Lines, Index: l.peer.Index}
	if l.send.Suite != "" {
		d.Crypto = []sdp.Crypto{l.send}
	}
	return l.say(d)
}

// apply puts what was negotiated into effect in the relay. other is the direction that the other side allows.
func (l *leg) apply(other sdp.Direction) error {
	if l.media == nil || l.peer == nil || l.codecs.Audio.Clock == 0 {
		return nil
	}
	p := l.peer
	s := Stream{
		Remote: p.Remote, RemoteRTCP: p.RTCP, Mux: p.Mux,
		Recv:  Crypto{Suite: l.recv.Suite, Key: l.recv.Key, MKI: l.recv.MKI},
		Send:  Crypto{Suite: l.send.Suite, Key: l.send.Key},
		Audio: Payload{l.codecs.Audio.Type, l.codecs.Audio.Clock}, RecvAudio: Payload{l.ours.Audio.Type, l.ours.Audio.Clock},
		Codec: l.codecs.Audio.Name,
		Event: Payload{l.codecs.Event.Type, l.codecs.Event.Clock}, RecvEvent: Payload{l.ours.Event.Type, l.ours.Event.Clock},
		CN:          l.codecs.Noise.Clock != 0,
		ToPeer:      p.Direction.Receives() && other.Sends(),
		FromPeer:    p.Direction == sdp.SendRecv && other.Receives(), // who holds, and who is held, may well be silent
		FixedSource: l.plainOK && l.recv.Suite == "", Shared: l.foreign,
	}
	if s.Remote.Addr().IsUnspecified() { // hold of RFC 2543: the old address stays for the day it is resumed
		s.Remote, s.ToPeer = l.lastAudio.Remote, false
	}
	l.lastAudio = s
	return l.media.Set(s)
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
	if l.user == nil {
		return l.strangersConn()
	}
	var back *stack.Conn
	for _, b := range l.call.agent.o.Bindings(l.user.ID) {
		c, ok := l.call.agent.o.Stack.Conn(uint64(b.Flow))
		switch {
		case b.Flow == 0 || !ok:
		case l.instance != "" && b.Instance == l.instance || l.instance == "" && l.binding == b.URI:
			l.use(c)
			return c
		case l.instance == "" && b.Instance == "" && c.Remote().Addr() == l.source && back == nil:
			back = c // it has no name of its own, and another port now
		}
	}
	if back != nil {
		l.use(back)
	}
	return back
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
