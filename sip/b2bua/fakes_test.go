package b2bua

import (
	"errors"
	"net/netip"
	"sync"

	"holdfast/sip/stack"
)

// fakeTrunks hands out the connections that the test's SBCs have opened.
type fakeTrunks struct {
	mu    sync.Mutex
	conns map[string]*stack.Conn
	down  map[string]bool
	hangs map[string]bool // takes the wish for a connection and says nothing

	second map[string]*stack.Conn // where the first is silent
	slow   chan struct{}          // the second takes until this is closed; nil: no time
	asked  chan struct{}          // told when it is wanted
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

// Renew hands out the SBC's second connection, where it has one, in the place of the first.
func (f *fakeTrunks) Renew(id string, silent *stack.Conn, do func(*stack.Conn, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns[id] == silent && f.second[id] != nil {
		f.conns[id] = f.second[id]
	}
	switch conn := f.conns[id]; {
	case f.hangs[id]:
	case conn == silent:
		go do(nil, errors.New("no route to host"))
	default:
		slow := f.slow
		go func() {
			if slow != nil {
				f.asked <- struct{}{}
				<-slow
			}
			do(conn, nil)
		}()
	}
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
