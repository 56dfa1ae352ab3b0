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
	pace   pace

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
const deadline = 20 * time.Second

// pace is how long the box waits for others.
type pace struct {
	timers                                             stack.Timers
	session, phone, resume, trunk, emergency, progress time.Duration
}

// patient is for tests whose parties do what they should: no clock of the box runs out before the test's own deadline, however
// busy the machine is.
func patient() pace {
	return pace{timers: stack.Timers{T1: 20 * time.Millisecond, B: 2 * deadline}, session: 2 * time.Hour, phone: 2 * deadline, resume: 2 * deadline,
		trunk: 2 * deadline, emergency: 2 * deadline, progress: 2 * deadline}
}

// hasty is for tests about a clock that runs out. Who does answer has more than a second for it.
func hasty() pace {
	return pace{timers: stack.Timers{T1: 20 * time.Millisecond, T2: 80 * time.Millisecond, B: 2 * time.Second}, session: 4 * time.Second,
		phone: time.Second, resume: 2 * time.Second, trunk: 1500 * time.Millisecond, emergency: 1500 * time.Millisecond, progress: 3 * time.Second}
}

func hastyIf(waits bool) pace {
	if waits {
		return hasty()
	}
	return patient()
}

func newWorld(t *testing.T, change func(*site.Document)) *world {
	t.Helper()
	return newWorldAt(t, patient(), change)
}

// limitedWorld is one whose stack has other limits.
func limitedWorld(t *testing.T, change func(*site.Document), limits stack.Limits) *world {
	t.Helper()
	return makeWorld(t, patient(), change, limits)
}

func newWorldAt(t *testing.T, p pace, change func(*site.Document)) *world {
	t.Helper()
	return makeWorld(t, p, change, stack.Limits{})
}

func makeWorld(t *testing.T, p pace, change func(*site.Document), limits stack.Limits) *world {
	t.Helper()
	w := &world{t: t, pace: p, media: &fakeMedia{}, bindings: map[string][]registrar.Binding{}, users: map[uint64]string{}, news: make(chan struct{}, 64), serving: true, saved: map[string]SavedDialog{}}
	w.site = document(t, change)
	w.tls = selfSigned(t)
	w.stack = stack.New(stack.Options{
		Limits:    limits,
		Timers:    p.timers,
		OnRequest: func(tx *stack.ServerTx) { w.current().Handle(tx) },
		OnAck:     func(c *stack.Conn, r *sip.Request) { w.current().Ack(c, r) },
		Urgent:    func(c *stack.Conn, r *sip.Request) bool { return w.current().Urgent(c, r) },
		OnStray:   func(c *stack.Conn, r *sip.Response) { w.current().Stray(c, r) },
		OnCancel:  func(c *stack.Conn, r *sip.Request) (string, bool) { return w.current().Cancel(c, r) },
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
	agent := New(Options{Dialogs: l, SessionExpires: w.pace.session, MinSE: 2 * time.Second, PhoneWait: w.pace.phone, ResumeWait: w.pace.resume, OnCut: w.wasCut, OnCodecs: w.heardCodecs, Log: testLog(w.t), TrunkPatience: w.pace.trunk, EmergencyPatience: w.pace.emergency, EmergencyProgress: w.pace.progress, Stack: w.stack, Media: w.media, Trunks: w.trunks,
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
	if n := w.stack.Counters().Faults.Load(); n > 0 {
		w.t.Errorf("%d messages set off a fault", n)
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

// connect opens a connection; phone decides the side.
func (w *world) connect(name string, side stack.Side) *ua {
	w.t.Helper()
	u := &ua{w: w, name: name, requests: make(chan *stack.ServerTx, 16), acks: make(chan *sip.Request, 16), cancels: make(chan *stack.ServerTx, 16)}
	u.stack = stack.New(stack.Options{
		Timers: stack.Timers{T1: deadline}, // says nothing twice by itself
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

func (w *world) isTrunk(name string) bool {
	_, ok := w.site.Trunk(name)
	return ok
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
