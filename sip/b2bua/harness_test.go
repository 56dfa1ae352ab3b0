package b2bua

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// world is an agent behind a real TLS stack, with phones and SBCs that the test plays.
type world struct {
	t      *testing.T
	agent  *Agent
	stack  *stack.Stack
	media  *fakeMedia
	trunks *fakeTrunks
	site   *site.Site
	tls    *tls.Config

	mu       sync.Mutex
	bindings map[string][]registrar.Binding
	users    map[uint64]string // by flow: whom the connection belongs to
	records  []Record
	help     []EmergencyEvent
	pinSaves int
	news     chan struct{}
	serving  bool
	cloud    bool // it is there
	saved    map[string]SavedDialog
	cut      []string
	g711     []bool
	life     *life
}

// life is one of the program's lives; after its end nothing that it says counts.
type life struct {
	w    *world
	over bool
}

// Keep and Forget make the world the store of its dialogs.
func (l *life) Keep(key string, d SavedDialog) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if !l.over {
		l.w.saved[key] = d
	}
}

func (l *life) Forget(key string) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if !l.over {
		delete(l.w.saved, key)
	}
}

func (l *life) helped(e EmergencyEvent) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if !l.over {
		l.w.help = append(l.w.help, e)
	}
}

func (l *life) ended(r Record) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if !l.over {
		l.w.records = append(l.w.records, r)
		l.w.news <- struct{}{}
	}
}

// Keep saves a dialog by hand.
func (w *world) Keep(key string, d SavedDialog) { w.life.Keep(key, d) }

func (w *world) dialogs() (list []SavedDialog) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.saved {
		list = append(list, d)
	}
	return list
}

func (w *world) heardCodecs(_ *site.User, _ string, g711 bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.g711 = append(w.g711, g711)
}

func (w *world) wasCut(call string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = append(w.cut, call)
}

// deadline of anything that a test waits for.
const deadline = 10 * time.Second

func newWorld(t *testing.T, change func(*site.Document)) *world {
	t.Helper()
	w := &world{t: t, media: &fakeMedia{}, bindings: map[string][]registrar.Binding{}, users: map[uint64]string{}, news: make(chan struct{}, 64), serving: true, saved: map[string]SavedDialog{}}
	w.site = document(t, change)
	w.tls = selfSigned(t)
	w.stack = stack.New(stack.Options{
		Timers:    stack.Timers{T1: 20 * time.Millisecond, T2: 80 * time.Millisecond},
		OnRequest: func(tx *stack.ServerTx) { w.current().Handle(tx) },
		OnAck:     func(c *stack.Conn, r *sip.Request) { w.current().Ack(c, r) },
		OnStray:   func(c *stack.Conn, r *sip.Response) { w.current().Stray(c, r) },
	})
	w.trunks = &fakeTrunks{conns: map[string]*stack.Conn{}, down: map[string]bool{}, hangs: map[string]bool{}}
	w.begin()
	local := netip.MustParseAddrPort("127.0.0.1:0")
	for _, side := range []stack.Side{stack.Access, stack.Trunk} {
		if err := w.stack.Listen(side, local, w.tls); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.stack.Run(ctx) }()
	t.Cleanup(func() {
		w.agent.Stop()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.clean()
	})
	return w
}

// current is the program in its present life, for the stack's goroutines.
func (w *world) current() *Agent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.agent
}

// begin begins a life of the program.
func (w *world) begin() {
	l := &life{w: w}
	agent := New(Options{Dialogs: l, SessionExpires: 4 * time.Second, MinSE: 2 * time.Second, PhoneWait: 300 * time.Millisecond, ResumeWait: 700 * time.Millisecond, OnCut: w.wasCut, OnCodecs: w.heardCodecs, Log: testLog(w.t), TrunkPatience: 700 * time.Millisecond, EmergencyPatience: 600 * time.Millisecond, EmergencyProgress: 1200 * time.Millisecond, Stack: w.stack, Media: w.media, Trunks: w.trunks,
		Site: func() *site.Site { return w.site }, Policy: func() route.Policy { return route.Policy{Serve: w.serving, Cloud: w.cloud} },
		Bindings: w.list, Authenticate: w.authenticate,
		OnEmergency: l.helped,
		SavePins: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.pinSaves++
		},
		Known: func(tx *stack.ServerTx) (*site.User, bool) {
			return w.site.UserByUsername(tx.Request().From().Address.User)
		},
		OnEnd: l.ended})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agent, w.life = agent, l
}

// clean checks that nothing of any call is left.
func (w *world) clean() {
	w.agent.mu.Lock()
	defer w.agent.mu.Unlock()
	if len(w.agent.hairpins) > 0 || len(w.agent.parks) > 0 || len(w.agent.waits) > 0 || len(w.saved) > 0 {
		w.t.Errorf("left behind: parked %v, waiting %v, saved %v", w.agent.parks, w.agent.waits, w.saved)
	}
	if len(w.agent.calls) > 0 || len(w.agent.legs) > 0 || len(w.agent.busy) > 0 {
		w.t.Errorf("left behind: %d calls, %d legs, busy %v", len(w.agent.calls), len(w.agent.legs), w.agent.busy)
	}
	w.media.mu.Lock()
	defer w.media.mu.Unlock()
	if w.media.open > 0 {
		w.t.Errorf("%d media sessions left open", w.media.open)
	}
	for _, fault := range w.media.faults {
		w.t.Error(fault)
	}
}

func (w *world) list(id string) []registrar.Binding {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]registrar.Binding(nil), w.bindings[id]...)
}

func (w *world) authenticate(tx *stack.ServerTx) (*site.User, bool) {
	u, ok := w.site.UserByUsername(tx.Request().From().Address.User)
	if !ok {
		tx.Reply(401, "Unauthorized")
	}
	return u, ok
}

// ended waits for the next call record.
func (w *world) ended() Record {
	w.t.Helper()
	select {
	case <-w.news:
	case <-time.After(deadline):
		w.t.Fatal("no call record")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records[len(w.records)-1]
}

// ua is a phone or an SBC played by the test, on one connection.
type ua struct {
	w        *world
	name     string
	stack    *stack.Stack
	conn     *stack.Conn
	requests chan *stack.ServerTx
	acks     chan *sip.Request
	cancels  chan *stack.ServerTx
}

// connect opens a connection; phone decides the side.
func (w *world) connect(name string, side stack.Side) *ua {
	w.t.Helper()
	u := &ua{w: w, name: name, requests: make(chan *stack.ServerTx, 16), acks: make(chan *sip.Request, 16), cancels: make(chan *stack.ServerTx, 16)}
	u.stack = stack.New(stack.Options{
		OnRequest: func(tx *stack.ServerTx) {
			if tx.Request().Method == sip.INVITE {
				tx.OnCancel(func() { u.cancels <- tx })
			}
			u.requests <- tx
		},
		OnAck: func(_ *stack.Conn, r *sip.Request) { u.acks <- r },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.stack.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	before := map[uint64]bool{}
	for _, c := range w.stack.Conns() {
		before[c.Flow()] = true
	}
	conn, err := u.stack.Dial(ctx, w.stack.Addr(side).String(), &tls.Config{InsecureSkipVerify: true}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	u.conn = conn
	// The box's end of this connection is the one that is new and has our address.
	for end := time.Now().Add(deadline); ; {
		for _, c := range w.stack.Conns() {
			if !before[c.Flow()] && c.Remote() == conn.Local() {
				w.bind(name, side, c)
				return u
			}
		}
		if time.Now().After(end) {
			w.t.Fatal("the box did not accept")
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *world) bind(name string, side stack.Side, c *stack.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if side == stack.Trunk {
		c.Set(name)
		c.SetAuthenticated()
		w.trunks.mu.Lock()
		w.trunks.conns[name] = c
		w.trunks.mu.Unlock()
		return
	}
	if _, known := w.site.UserByUsername(name); !known {
		return // a stranger
	}
	c.SetAuthenticated()
	id := "u" + name
	uri := fmt.Sprintf("sip:%s@%s;transport=tls", name, c.Remote())
	w.bindings[id] = append(w.bindings[id], registrar.Binding{AOR: id, Contact: registrar.Contact{URI: uri, Q: 1}, Flow: registrar.Flow(c.Flow())})
}

// phone connects and registers extension ext.
func (w *world) phone(ext string) *ua { return w.connect(ext, stack.Access) }

// sbc connects as the trunk.
func (w *world) sbc(id string) *ua { return w.connect(id, stack.Trunk) }

// request builds a request outside of a dialog.
func (u *ua) request(m sip.RequestMethod, from, to string, body []byte) *sip.Request {
	req := sip.NewRequest(m, sip.Uri{Scheme: "sip", User: to, Host: "lsp.test"})
	f := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: from, Host: "lsp.test"}, Params: sip.NewParams()}
	f.Params.Add("tag", stack.NewTag())
	req.AppendHeader(f)
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: to, Host: "lsp.test"}})
	id := sip.CallIDHeader(stack.NewCallID())
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: m})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: u.name, Host: u.conn.Local().Addr().String(), Port: int(u.conn.Local().Port())}})
	setSDP(req, body)
	return req
}

// outgoing is a call that a ua makes.
type outgoing struct {
	u   *ua
	req *sip.Request
	tx  *stack.ClientTx
	res chan *sip.Response
	dlg dialog // once answered
}

func (u *ua) send(req *sip.Request) *outgoing {
	u.w.t.Helper()
	o := &outgoing{u: u, req: req, res: make(chan *sip.Response, 32)}
	tx, err := u.conn.Send(req, func(r *sip.Response, err error) {
		if err != nil {
			r = sip.NewResponse(-1, err.Error())
		}
		o.res <- r
	})
	if err != nil {
		u.w.t.Fatal(err)
	}
	o.tx = tx
	return o
}

// call dials with an offer of the given codecs.
func (u *ua) call(to string, codecs ...sdp.Codec) *outgoing {
	from := u.name
	if u.w.isTrunk(u.name) {
		from = "+13125550177"
	}
	return u.send(u.request(sip.INVITE, from, to, offer(codecs...)))
}

func (w *world) isTrunk(name string) bool {
	_, ok := w.site.Trunk(name)
	return ok
}

// wait returns the first response with one of the statuses; others before it are skipped only if provisional.
func (o *outgoing) wait(status int) *sip.Response {
	o.u.w.t.Helper()
	for {
		select {
		case r := <-o.res:
			if r.StatusCode == status {
				return r
			}
			if r.StatusCode < 100 || r.StatusCode >= 200 {
				o.u.w.t.Fatalf("%s got %d %s, want %d", o.u.name, r.StatusCode, r.Reason, status)
			}
		case <-time.After(deadline):
			o.u.w.t.Fatalf("%s waits for %d", o.u.name, status)
		}
	}
}

// up waits for 200 and acknowledges it.
func (o *outgoing) up(body []byte) *sip.Response {
	o.u.w.t.Helper()
	res := o.wait(200)
	o.dlg = dialog{callID: o.req.CallID().Value(), local: party{uri: o.req.From().Address}, remote: party{uri: o.req.To().Address}, localSeq: o.req.CSeq().SeqNo}
	o.dlg.local.tag, _ = o.req.From().Params.Get("tag")
	o.dlg.accepted(res)
	ack := o.dlg.numbered(sip.ACK, o.dlg.localSeq, o.u.conn)
	setSDP(ack, body)
	o.u.conn.Write(ack)
	return res
}

// within sends a request in the dialog.
func (o *outgoing) within(m sip.RequestMethod, body []byte) *outgoing {
	req := o.dlg.request(m, o.u.conn)
	if body != nil {
		setSDP(req, body)
	}
	return o.u.send(req)
}

// incoming waits for a request of the method; provisional junk does not come here.
func (u *ua) incoming(m sip.RequestMethod) *stack.ServerTx {
	u.w.t.Helper()
	for {
		select {
		case tx := <-u.requests:
			if tx.Request().Method == m {
				return tx
			}
			u.w.t.Fatalf("%s got %s, want %s", u.name, tx.Request().Method, m)
		case <-time.After(deadline):
			u.w.t.Fatalf("%s waits for %s", u.name, m)
		}
	}
}

// answer accepts an INVITE with one codec and returns the dialog as the ua sees it.
func (u *ua) answer(tx *stack.ServerTx, codecs ...sdp.Codec) *outgoing {
	u.w.t.Helper()
	res := tx.Response(200, "OK")
	res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: u.name, Host: "127.0.0.1", Port: int(u.conn.Local().Port())}})
	setSDP(res, answerTo(u.w.t, tx.Request().Body(), codecs...))
	d := dialogFrom(tx)
	tx.Respond(res)
	return &outgoing{u: u, dlg: d}
}

func (u *ua) acked() *sip.Request {
	u.w.t.Helper()
	select {
	case r := <-u.acks:
		return r
	case <-time.After(deadline):
		u.w.t.Fatalf("%s waits for ACK", u.name)
	}
	return nil
}

// cancelled waits for a CANCEL and returns the INVITE that it cancels.
func (u *ua) cancelled() *stack.ServerTx {
	u.w.t.Helper()
	select {
	case tx := <-u.cancels:
		return tx
	case <-time.After(deadline):
		u.w.t.Fatalf("%s waits for CANCEL", u.name)
	}
	return nil
}

func (u *ua) bye() {
	u.w.t.Helper()
	u.incoming(sip.BYE).Reply(200, "OK")
}

var (
	pcmu = sdp.Codec{Type: 0, Name: sdp.PCMU, Clock: 8000, Channels: 1}
	pcma = sdp.Codec{Type: 8, Name: sdp.PCMA, Clock: 8000, Channels: 1}
	opus = sdp.Codec{Type: 111, Name: sdp.Opus, Clock: 48000, Channels: 2}
	ev8  = sdp.Codec{Type: 101, Name: sdp.Event, Clock: 8000, Channels: 1, Fmtp: "0-15"}
)

// offer is an SRTP offer of a phone.
func offer(codecs ...sdp.Codec) []byte { return directed(sdp.SendRecv, codecs...) }

var offerKeys = func() []sdp.Crypto {
	k, err := sdp.NewKeys([]string{sdp.AES128SHA80}, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}()

func directed(dir sdp.Direction, codecs ...sdp.Codec) []byte {
	if len(codecs) == 0 {
		codecs = []sdp.Codec{opus, pcmu, ev8}
	}
	l := sdp.Local{Addr: netip.MustParseAddrPort("127.0.0.1:4000"), SessionID: 7, Version: 1, Profile: "RTP/SAVP", Crypto: offerKeys, Codecs: codecs, Direction: dir}
	b, err := l.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

func answerTo(t *testing.T, body []byte, codecs ...sdp.Codec) []byte {
	t.Helper()
	d, err := sdp.Parse(body)
	if err != nil {
		t.Fatalf("offer of the box: %v\n%s", err, body)
	}
	if len(codecs) == 0 {
		codecs = []sdp.Codec{pcmu, ev8}
	}
	c, err := d.Crypto[0].Answer(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := sdp.Local{Addr: netip.MustParseAddrPort("127.0.0.1:4100"), SessionID: 9, Version: 1, Profile: d.Profile, Crypto: []sdp.Crypto{c},
		Codecs: codecs, Direction: d.Direction.Reverse(), Lines: d.Lines, Index: d.Index}
	b, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func document(t *testing.T, change func(*site.Document)) *site.Site {
	t.Helper()
	d := &site.Document{Version: 1, Serial: 1,
		Site:     site.Info{ID: "t", Name: "Test", Domain: "lsp.test", Timezone: "UTC", MainNumber: "+12175550100"},
		DialPlan: site.DialPlan{Country: "US", AreaCode: "217", ExternalPrefix: "9", NationalPrefix: "1", InternationalPrefix: "011", SiteCode: "801"},
		Trunks:   []site.Trunk{{ID: "sbc1", Address: "127.0.0.1:5061", TLSName: "sbc1.test"}, {ID: "sbc2", Address: "127.0.0.2:5061", TLSName: "sbc2.test"}},
	}
	for _, ext := range []string{"1001", "1002", "1003"} {
		ha1, err := site.HA1("MD5", ext, "lsp.test", "secret")
		if err != nil {
			t.Fatal(err)
		}
		d.Users = append(d.Users, site.User{ID: "u" + ext, Name: "User " + ext, Extension: ext, BYOCNumbers: []string{"+1217555" + ext},
			Auth: site.Auth{Username: ext, HA1: map[string]string{"MD5": ha1}}})
	}
	if change != nil {
		change(d)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "box"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// fakeTrunks hands out the connections that the test's SBCs have opened.
type fakeTrunks struct {
	mu    sync.Mutex
	conns map[string]*stack.Conn
	down  map[string]bool
	hangs map[string]bool // takes the wish for a connection and says nothing
}

func (f *fakeTrunks) Connect(id string, do func(*stack.Conn, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.conns[id]
	if f.hangs[id] {
		return
	}
	if !ok || f.down[id] {
		go do(nil, errors.New("connection refused"))
		return
	}
	go do(c, nil)
}

func (f *fakeTrunks) Open(id string) (*stack.Conn, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.conns[id]
	return c, ok && !f.down[id] && !c.Closed()
}

func (f *fakeTrunks) Up(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conns[id] != nil && !f.down[id]
}

// fakeMedia records what calls ask of the relay.
type fakeMedia struct {
	opened   MediaOptions // of the newest session
	mu       sync.Mutex
	open     int
	noPorts  bool
	onAdd    func() // a leg is wanted
	onClose  func() // a leg was closed; mu is held
	port     uint16
	sessions []*fakeSession
	faults   []string // against the rules of shared keys
}

type fakeSession struct {
	m      *fakeMedia
	legs   []*fakeLeg
	links  [][2]*fakeLeg
	keys   sealers
	events chan MediaEvent
	closed bool
}

type fakeLeg struct {
	m      *fakeMedia
	s      *fakeSession
	side   Side
	port   uint16
	before *fakeLeg // what it goes on from
	stream Stream
	sets   int
	plays  []Prompt // in order; "" where one was stopped
	closed bool
}

func (m *fakeMedia) Open(_ string, o MediaOptions) MediaSession {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened = o
	m.open++
	s := &fakeSession{m: m, events: make(chan MediaEvent, 4)}
	m.sessions = append(m.sessions, s)
	return s
}

func (s *fakeSession) AddLeg(side Side) (MediaLeg, error) {
	if s.m.onAdd != nil {
		s.m.onAdd()
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.noPorts {
		return nil, ErrNoPorts
	}
	s.m.port += 2
	l := &fakeLeg{m: s.m, s: s, side: side, port: 20000 + s.m.port}
	s.legs = append(s.legs, l)
	return l, nil
}

func (s *fakeSession) Connect(a, b MediaLeg) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.links = append(s.links, [2]*fakeLeg{a.(*fakeLeg), b.(*fakeLeg)})
}

func (s *fakeSession) Events() <-chan MediaEvent { return s.events }

func (s *fakeSession) Close() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.m.open--
		close(s.events)
	}
}

func (l *fakeLeg) Local() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), l.port)
}

func (l *fakeLeg) Continue(old MediaLeg) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.before = old.(*fakeLeg)
}

func (l *fakeLeg) Set(s Stream) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	err := l.mind(s)
	l.stream, l.sets = s, l.sets+1
	return err
}

func (l *fakeLeg) Play(p Prompt, o PlayOptions) (uint64, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.stream.Shared {
		l.m.faults = append(l.m.faults, "the box would seal "+string(p)+" under another peer's key")
	}
	l.plays = append(l.plays, p)
	return uint64(len(l.plays)), nil
}

func (l *fakeLeg) StopPlay() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.plays = append(l.plays, "")
}

func (l *fakeLeg) Stats() LegStats { return LegStats{RxPackets: 1} }

func (l *fakeLeg) Close() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.closed = true
	if l.m.onClose != nil {
		l.m.onClose()
	}
}

// last is the newest session's legs, with copies of their streams.
func (m *fakeMedia) last() (s *fakeSession, legs []fakeLeg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s = m.sessions[len(m.sessions)-1]
	for _, l := range s.legs {
		legs = append(legs, fakeLeg{side: l.side, port: l.port, before: l.before, stream: l.stream, sets: l.sets, plays: l.plays, closed: l.closed})
	}
	return s, legs
}

// leg is the leg on a port.
func (m *fakeMedia) leg(port uint16) fakeLeg {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sessions {
		for _, l := range s.legs {
			if l.port == port {
				return fakeLeg{side: l.side, port: l.port, before: l.before}
			}
		}
	}
	return fakeLeg{}
}

func header(m sip.Message, name string) string {
	var v []string
	for _, h := range m.GetHeaders(name) {
		v = append(v, h.Value())
	}
	return strings.Join(v, " | ")
}

// testLog shows the agent's log with the test that failed.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
