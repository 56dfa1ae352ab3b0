package box

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
	"weak"

	"holdfast/firmware/lab/ca"
	"holdfast/firmware/lab/memnet"
	"holdfast/firmware/lab/raw"
	"holdfast/media/prompt"
	"holdfast/media/relay"
	"holdfast/sip/access"
	"holdfast/sip/b2bua"
	"holdfast/sip/registrar"
	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
	"holdfast/sip/trunk"
)

// rigSilence without a packet: the box asks by OPTIONS whether the party is still there.
const rigSilence = 2 * time.Second

// The rig is the box's signalling wired as buildSIP wires it, always serving, with short timers, over the machine's
// loopback with the real relay, or over a network in memory with media that stand still.

const (
	rigDomain = "branch.example"
	rigSecret = "secret"
)

var (
	rigPhones = netip.MustParseAddr("127.0.70.1") // the box, towards phones
	rigTrunk  = netip.MustParseAddr("127.0.70.2") // the box, towards the SBC
	rigSBC    = netip.MustParseAddr("127.0.70.3")
)

type rig struct {
	t         testing.TB
	net       rigNet
	authority *ca.Authority
	site      *site.Site
	stack     *stack.Stack
	registrar *registrar.Registrar
	access    *access.Server
	trunks    *trunk.Set
	relay     *relay.Relay // nil in memory
	media     b2bua.Media
	calls     *b2bua.Agent
	sbc       *rigSBCServer

	mu       sync.Mutex
	invites  []weak.Pointer[stack.ServerTx] // alive as long as anything remembers the call
	records  int
	recorded map[string]bool // by call
	dialogs  []overheard
	help     []b2bua.EmergencyEvent
}

// rigNet is where phones, SBC and box meet.
type rigNet interface {
	stack.Network
	dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error)
}

// loopback is the machine's.
type loopback struct{}

func (loopback) Listen(a netip.AddrPort) (net.Listener, error) { return net.Listen("tcp4", a.String()) }

func (loopback) Dial(ctx context.Context, local netip.Addr, remote string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	return d.DialContext(ctx, "tcp4", remote)
}

func (loopback) ListenPacket(a netip.AddrPort) (stack.PacketConn, error) {
	return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a))
}

func (l loopback) dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	return l.Dial(ctx, local, remote.String())
}

// inMemory is a network where each address has a distance of its own, so that no two things happen at the same time.
type inMemory struct{ *memnet.Net }

func (inMemory) ListenPacket(netip.AddrPort) (stack.PacketConn, error) {
	return nil, errors.ErrUnsupported
}

func (n inMemory) Dial(ctx context.Context, local netip.Addr, remote string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(remote)
	if err != nil {
		return nil, err
	}
	return n.dial(ctx, local, to)
}

func (n inMemory) dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	b := local.As4()
	return n.Net.Dial(ctx, local, remote, time.Millisecond+time.Duration(int(b[2])*256+int(b[3]))*1013*time.Nanosecond)
}

type rigOptions struct {
	net      rigNet
	users    int // extensions from 1000
	limits   stack.Limits
	timers   stack.Timers
	change   func(*site.Document)
	pairs    int                            // media ports; 0: plenty
	spare    int                            // of them for emergency calls
	patience time.Duration                  // with trunks in emergency calls; 0: the default
	calls    int                            // ordinary calls at once; 0: the default
	tap      func(out bool, m *raw.Message) // what the SBC hears (false) and says
	shared   bool                           // phones may have each other's keys
}

func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, net: o.net, recorded: map[string]bool{}}
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	var err error
	r.authority, err = ca.New("rig")
	must(err)
	boxCert, err := r.authority.Leaf([]string{"box.branch.example"}, rigPhones)
	must(err)
	trunkCert, err := r.authority.Leaf([]string{"trunk.holdfast.test"}, rigTrunk)
	must(err)
	r.sbc, err = newRigSBC(r, o.tap)
	must(err)
	r.site = rigSite(t, o.users, r.sbc.addr.String(), o.change)

	r.registrar = registrar.New(registrar.Options{})
	r.stack = stack.New(stack.Options{Network: o.net, Limits: o.limits, Timers: o.timers,
		Urgent:    func(c *stack.Conn, q *stack.Request) bool { return r.calls.Urgent(c, q) },
		OnRequest: r.request,
		OnAck:     func(c *stack.Conn, q *stack.Request) { r.calls.Ack(c, q) },
		OnCancel:  func(c *stack.Conn, q *stack.Request) (string, bool) { return r.calls.Cancel(c, q) },
		OnClosed: func(c *stack.Conn) {
			r.trunks.Lost(c)
			r.registrar.FlowGone(registrar.Flow(c.Flow()))
		},
		Authorize: func(c *stack.Conn) error {
			if c.Side() != stack.Trunk {
				return nil
			}
			id, err := r.trunks.Identify(c.PeerCertificate())
			c.Set(id)
			return err
		}})
	r.trunks = trunk.New(trunk.Options{Stack: r.stack, Roots: r.authority.Pool, Retry: 100 * time.Millisecond,
		Certificate: func() (*tls.Certificate, error) { return &trunkCert, nil }})
	r.trunks.Update(r.site.Doc().Trunks)
	r.access = access.New(access.Options{Site: func() *site.Site { return r.site }, Registrar: r.registrar,
		Gate: func() access.Gate { return access.Gate{Open: true} }})
	if _, real := o.net.(loopback); real {
		r.relay, err = relay.New(relay.Config{AccessAddr: rigPhones, TrunkAddr: rigTrunk, PortMin: 20000, PortMax: uint16(20000 + 2*cmp.Or(o.pairs, 5000) - 1),
			Reserved: o.spare, Drain: 50 * time.Millisecond, Silence: rigSilence, Workers: 1, SharedKeys: o.shared})
		must(err)
		prompts, err := prompt.Default()
		must(err)
		r.media = anchor{r.relay, prompts}
	} else {
		r.media = &still{}
	}
	r.calls = b2bua.New(b2bua.Options{Log: rigLog(), Stack: r.stack, Media: r.media, Trunks: r.trunks, TrunkPatience: time.Second, SharedKeys: o.shared,
		Site: func() *site.Site { return r.site }, Policy: func() route.Policy { return route.Policy{Serve: true} },
		Authenticate: r.access.Authenticate, Known: r.access.Known, Prove: r.access.Prove, MaxCalls: o.calls, EmergencyPatience: o.patience, OnEmergency: func(e b2bua.EmergencyEvent) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.help = append(r.help, e)
		},
		Bindings: func(id string) []registrar.Binding { return r.registrar.Bindings(time.Now(), id) },
		OnEnd: func(rec b2bua.Record) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.records++
			if r.recorded[rec.ID] {
				t.Errorf("call %s has two records", rec.ID)
			}
			r.recorded[rec.ID] = true
		}})
	phones := &tls.Config{Certificates: []tls.Certificate{boxCert}}
	must(r.stack.Listen(stack.Access, netip.AddrPortFrom(rigPhones, 0), phones))
	must(r.stack.Listen(stack.Trunk, netip.AddrPortFrom(rigTrunk, 0), trunk.ServerConfig(func() (*tls.Certificate, error) { return &trunkCert, nil }, r.authority.Pool)))
	return r
}

// run starts it and returns what stops it, in the box's order.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	under := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				r.t.Error(err)
			}
		})
	}
	under(r.sbc.run)
	if r.relay != nil {
		under(r.relay.Run)
	}
	under(r.stack.Run)
	under(r.trunks.Run)
	return func() {
		r.calls.Stop()
		cancel()
		wg.Wait()
		if n := r.stack.Counters().Faults.Load(); n > 0 {
			r.t.Errorf("%d messages set off a fault", n)
		}
	}
}

func (r *rig) request(tx *stack.ServerTx) {
	if tx.Method() == "REGISTER" && tx.Conn().Side() == stack.Access {
		r.access.Register(tx)
		return
	}
	if tx.Method() == "INVITE" {
		r.mu.Lock()
		r.invites = append(r.invites, weak.Make(tx))
		r.mu.Unlock()
	}
	r.calls.Handle(tx)
}

// overhear remembers a dialog of a phone.
func (r *rig) overhear(d overheard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.dialogs) < 1000 {
		r.dialogs = append(r.dialogs, d)
	}
}

// remembered counts the INVITEs that something still holds: a call's goroutine, a timer, a map.
func (r *rig) remembered() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.invites {
		if p.Value() != nil {
			n++
		}
	}
	return n
}

func extension(n int) string { return fmt.Sprint(1000 + n) }

func rigSite(t testing.TB, users int, sbc string, change func(*site.Document)) *site.Site {
	t.Helper()
	d := &site.Document{Version: site.FormatVersion, Serial: 1,
		Site:     site.Info{ID: "rig", Name: "Rig", Domain: rigDomain, Timezone: "UTC", MainNumber: "+12175550100"},
		DialPlan: site.DialPlan{Country: "US", AreaCode: "217", ExternalPrefix: "9", NationalPrefix: "1", InternationalPrefix: "011", SiteCode: "801"},
		Trunks:   []site.Trunk{{ID: "sbc", Address: sbc, TLSName: "sbc.carrier.example", OptionsInterval: 1}},
	}
	for n := range users {
		e := extension(n)
		ha1 := map[string]string{}
		for _, a := range []string{"SHA-256", "MD5"} {
			h, err := site.HA1(a, e, rigDomain, rigSecret)
			if err != nil {
				t.Fatal(err)
			}
			ha1[a] = h
		}
		d.Users = append(d.Users, site.User{ID: "user-" + e, Name: "Inside Name " + e, Extension: e, BYOCNumbers: []string{"+1217555" + e}, Auth: site.Auth{Username: e, HA1: ha1}})
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

// still are media without packets. The embedded interfaces stand for what a call may learn to ask of media later.
type still struct {
	mu         sync.Mutex
	port       uint16
	open, legs int
}

type stillSession struct {
	b2bua.MediaSession
	m      *still
	events chan b2bua.MediaEvent
	legs   []*stillLeg
	closed bool
}

type stillLeg struct {
	b2bua.MediaLeg
	m      *still
	side   b2bua.Side
	port   uint16
	silent *time.Timer
	closed bool
}

func (m *still) Open(string, b2bua.MediaOptions) b2bua.MediaSession {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open++
	return &stillSession{m: m, events: make(chan b2bua.MediaEvent, 16)}
}

func (s *stillSession) AddLeg(side b2bua.Side) (b2bua.MediaLeg, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.port += 2
	s.m.legs++
	l := &stillLeg{m: s.m, side: side, port: s.m.port}
	s.legs = append(s.legs, l)
	l.silent = time.AfterFunc(rigSilence, func() { // nobody ever sends a packet
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		if !s.closed && !l.closed {
			select {
			case s.events <- b2bua.MediaEvent{Leg: l, Silent: true, For: rigSilence}:
			default:
			}
		}
	})
	return l, nil
}

func (s *stillSession) Connect(a, b b2bua.MediaLeg)     {}
func (s *stillSession) Events() <-chan b2bua.MediaEvent { return s.events }

func (s *stillSession) Close() {
	s.m.mu.Lock()
	closed := s.closed
	s.closed = true
	if !closed {
		s.m.open--
		close(s.events)
	}
	s.m.mu.Unlock()
	for _, l := range s.legs {
		l.Close()
	}
}

func (l *stillLeg) Local() netip.AddrPort {
	if l.side == b2bua.Trunk {
		return netip.AddrPortFrom(rigTrunk, l.port)
	}
	return netip.AddrPortFrom(rigPhones, l.port)
}

func (l *stillLeg) Play(b2bua.Prompt, b2bua.PlayOptions) (uint64, error) { return 1, nil }
func (l *stillLeg) StopPlay()                                            {}
func (l *stillLeg) Continue(b2bua.MediaLeg)                              {}
func (l *stillLeg) Set(b2bua.Stream) error                               { return nil }
func (l *stillLeg) Stats() b2bua.LegStats                                { return b2bua.LegStats{RxPackets: 1} }

func (l *stillLeg) Close() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.silent.Stop()
		l.m.legs--
	}
}

// rigLog writes to the file that RIG_LOG names, if any.
func rigLog() *slog.Logger {
	f, err := os.Create(os.Getenv("RIG_LOG"))
	if err != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
