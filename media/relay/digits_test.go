package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/media/rtp"
	"holdfast/media/udp"
)

// report is one packet of a telephone event.
type report struct {
	at       int // ms
	code     uint8
	sequence uint16
	stamp    uint32
	duration uint16
	end      bool
	marker   bool
}

// keys puts reports into leg a of a stage and gives the digits that come out, with what they lasted in ms.
func (s *stage) keys(t testing.TB, reports []report, until int) (digits string, held []int) {
	t.Helper()
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	start, ticked := s.now, 0
	listen := func() {
		for len(s.session.Events()) > 0 {
			e := <-s.session.Events()
			if e.Leg != s.la || e.Digit == 0 || e.Silent || e.Done != 0 {
				t.Fatalf("event %+v", e)
			}
			digits += string(e.Digit)
			held = append(held, int(e.For.Milliseconds()))
		}
	}
	tick := func(to int) {
		for ; ticked+5 <= to; ticked += 5 {
			s.now = start + time.Duration(ticked+5)*time.Millisecond
			s.la.w.Tick(s.now)
		}
		listen()
	}
	for _, r := range reports {
		tick(r.at)
		pkt := buffer[:rtp.FixedSize+rtp.EventSize]
		(&rtp.Header{PayloadType: 101, Sequence: r.sequence, Timestamp: r.stamp, SSRC: s.a.ssrc, Marker: r.marker}).Put(pkt)
		body := pkt[rtp.FixedSize:]
		body[0], body[1] = r.code, 10
		if r.end {
			body[1] |= 0x80
		}
		binary.BigEndian.PutUint16(body[2:], r.duration)
		rtpPort{s.la}.Receive(pkt, s.a.stream.Remote, start+time.Duration(r.at)*time.Millisecond)
		listen()
	}
	tick(until)
	return digits, held
}

func TestDigits(t *testing.T) {
	const no, last = false, true
	tests := []struct {
		name    string
		reports []report
		digits  string
		held    []int
	}{
		{"one", []report{{0, 1, 10, 800, 160, no, true}, {20, 1, 11, 800, 320, no, no}, {40, 1, 12, 800, 480, last, no}, {40, 1, 13, 800, 480, last, no},
			{40, 1, 14, 800, 480, last, no}}, "1", []int{60}},
		{"every key", []report{{0, 0, 1, 100, 80, last, true}, {50, 9, 2, 200, 80, last, true}, {100, 10, 3, 300, 80, last, true}, {150, 11, 4, 400, 80, last, true},
			{200, 12, 5, 500, 80, last, true}, {250, 15, 6, 600, 80, last, true}}, "09*#AD", []int{10, 10, 10, 10, 10, 10}},
		{"no key: flash, tones", []report{{0, 16, 1, 100, 80, last, true}, {50, 36, 2, 200, 80, last, true}}, "", nil},
		{"end lost", []report{{0, 5, 1, 100, 160, no, true}, {20, 5, 2, 100, 320, no, no}}, "5", []int{40}},
		{"end lost, another key", []report{{0, 5, 1, 100, 160, no, true}, {100, 6, 9, 900, 160, no, true}, {120, 6, 10, 900, 320, last, no}}, "56", []int{20, 40}},
		{"end lost, the same key again", []report{{0, 5, 1, 100, 160, no, true}, {20, 5, 2, 100, 320, no, no}, {160, 5, 9, 1500, 160, no, true}, {180, 5, 10, 1500, 320, last, no}},
			"55", []int{40, 40}},
		{"beginning lost", []report{{0, 5, 4, 100, 640, last, no}, {0, 5, 5, 100, 640, last, no}}, "5", []int{80}},
		{"only one report", []report{{0, 7, 4, 100, 0, no, no}}, "7", []int{0}},
		{"out of order", []report{{0, 5, 1, 100, 160, no, true}, {20, 5, 3, 100, 480, last, no}, {25, 5, 2, 100, 320, no, no}, {30, 5, 4, 100, 480, last, no}}, "5", []int{60}},
		{"end before all else", []report{{0, 5, 3, 100, 480, last, no}, {10, 5, 1, 100, 160, no, true}, {20, 5, 2, 100, 320, no, no}}, "5", []int{60}},
		{"late end of the key before", []report{{0, 5, 1, 100, 160, no, true}, {40, 6, 5, 900, 160, no, true}, {50, 5, 4, 100, 320, last, no}, {60, 6, 6, 900, 320, last, no}},
			"56", []int{20, 40}},
		{"duplicates", []report{{0, 5, 1, 100, 160, no, true}, {1, 5, 1, 100, 160, no, true}, {20, 5, 2, 100, 320, last, no}, {21, 5, 2, 100, 320, last, no}}, "5", []int{40}},
		{"a gap longer than a release", []report{{0, 5, 1, 100, 160, no, true}, {600, 5, 20, 100, 4960, no, no}, {620, 5, 21, 100, 5120, last, no}}, "5", []int{20}},
		{"two in a row", []report{{0, 5, 1, 100, 400, last, true}, {60, 5, 9, 900, 400, last, true}}, "55", []int{50, 50}},
		{"one timestamp for all", []report{{0, 5, 1, 0, 160, no, true}, {20, 5, 2, 0, 320, last, no}, {20, 5, 3, 0, 320, last, no}, {300, 5, 20, 0, 160, no, true},
			{320, 5, 21, 0, 320, last, no}, {400, 6, 30, 0, 160, no, true}, {420, 6, 31, 0, 320, last, no}}, "556", []int{40, 40, 40}},
		{"timestamps that run on", []report{{0, 5, 1, 100, 160, no, true}, {20, 5, 2, 260, 320, no, no}, {40, 5, 3, 420, 480, last, no}, {40, 5, 4, 580, 480, last, no},
			{40, 5, 5, 740, 480, last, no}}, "5", []int{60}},
		{"held for long: segments", []report{{0, 5, 1, 100, 65280, no, true}, {20, 5, 2, 100, 65440, no, no}, {40, 5, 3, 65635, 65, no, no}, {60, 5, 4, 65635, 320, last, no}},
			"5", []int{8220}},
		{"over the end of the numbers", []report{{0, 5, 65535, 100, 160, no, true}, {20, 5, 0, 100, 320, no, no}, {40, 5, 1, 100, 480, last, no}, {41, 5, 65535, 100, 160, no, no}}, "5", []int{60}},
		{"numbers that came round", []report{{0, 5, 1000, 100, 160, last, true}, {60000, 6, 900, 900, 160, last, true}}, "56", []int{20, 20}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, "", "")
			digits, held := s.keys(t, tt.reports, 62000)
			if digits != tt.digits {
				t.Fatalf("got %q, want %q", digits, tt.digits)
			}
			for i := range held {
				if held[i] != tt.held[i] {
					t.Errorf("digit %d was held for %d ms, want %d", i, held[i], tt.held[i])
				}
			}
			if s.la.w.Tick(s.now+time.Second) != 0 || len(s.la.w.keypads) != 0 {
				t.Error("a key stays down")
			}
		})
	}
}

// Whatever the network loses, repeats and mixes up: a press of which anything arrives in time is reported once, in order.
func TestDigitsOverABadNetwork(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	s := newStage(t, "", "")
	for round := range 1000 {
		s.a.ssrc++ // another stream
		var reports []report
		want := ""
		sequence, at := uint16(rnd.Uint32()), 0
		for range 8 {
			code := uint8(rnd.IntN(12))
			stamp := uint32(round)<<20 + uint32(at)*8 // on the time line of the audio
			var press []report
			for i := range 6 {
				sequence++
				press = append(press, report{at + 20*i, code, sequence, stamp, uint16(160 * min(i+1, 4)), i >= 3, i == 0})
			}
			var arrived []report
			for _, r := range press {
				if rnd.IntN(3) > 0 {
					arrived = append(arrived, r)
					if rnd.IntN(5) == 0 {
						arrived = append(arrived, r)
					}
				}
			}
			rnd.Shuffle(len(arrived), func(i, j int) { arrived[i], arrived[j] = arrived[j], arrived[i] })
			for i := range arrived {
				arrived[i].at = at + 10*i
			}
			if len(arrived) > 0 {
				want += string(digitNames[code])
			}
			reports = append(reports, arrived...)
			at += 150 + rnd.IntN(800)
		}
		if got, _ := s.keys(t, reports, at+1000); got != want {
			t.Fatalf("round %d: got %q, want %q", round, got, want)
		}
	}
}

func TestDigitsWithoutRoom(t *testing.T) {
	s := newStage(t, "", "")
	for range eventRoom {
		s.la.tell(Event{Leg: s.la, Digit: '1'})
	}
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	pkt := s.a.next(101, digit(160, true), true)
	rtpPort{s.la}.Receive(buffer[:copy(buffer, pkt)], s.a.stream.Remote, s.now)
	if n := s.relay.Counts().Drops["unread"]; n != 1 || s.la.Stats().Dropped != 0 {
		t.Errorf("%d digits counted as unread", n)
	}
	s.session.Close()
	if s.la.w.Tick(s.now+time.Second) != 0 {
		t.Error("a closed leg's key is waited for")
	}
}

// A key that is down when the call ends must not be reported to a session that is closed.
func TestKeyDownAtTheEnd(t *testing.T) {
	s := newStage(t, "", "")
	if digits, _ := s.keys(t, []report{{0, 5, 1, 100, 160, false, true}}, 50); digits != "" {
		t.Fatalf("%q", digits)
	}
	s.session.Close()
	if s.la.w.Tick(s.now+time.Second) != 0 || len(s.la.w.keypads) != 0 {
		t.Error("a closed leg's key is waited for")
	}
}

func TestDigitsAllocateNothing(t *testing.T) {
	s := newStage(t, "", "")
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	pkt := s.a.next(101, digit(160, false), true)
	n := uint32(0)
	if a := testing.AllocsPerRun(200, func() {
		for i := range 3 {
			n++
			p := buffer[:copy(buffer, pkt)]
			binary.BigEndian.PutUint16(p[2:], uint16(n))
			binary.BigEndian.PutUint32(p[4:], n/3*8000)
			if i == 2 {
				p[13] |= 0x80
			}
			rtpPort{s.la}.Receive(p, s.a.stream.Remote, s.now)
		}
		s.tick(1)
		<-s.session.Events()
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// FuzzDigits: whatever reports come, there is no more than one digit for each, none without one, and no key stays down.
func FuzzDigits(f *testing.F) {
	f.Add([]byte{5, 0x0a, 0, 160, 1, 0, 5, 0x8a, 1, 64, 1, 0}, true)
	f.Add([]byte{1, 0x0a, 0xff, 0xff, 1, 0, 1, 0x0a, 0, 10, 1, 9, 16, 0x80, 0, 0, 200, 3}, false)
	s := newStage(f, "", "")
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	f.Fuzz(func(t *testing.T, b []byte, marker bool) {
		s.a.ssrc++
		sequence, stamp, reports, digits := uint16(0), uint32(0), 0, 0
		take := func() {
			for len(s.session.Events()) > 0 {
				if e := <-s.session.Events(); e.Digit == 0 || e.For < 0 {
					t.Fatalf("event %+v", e)
				}
				digits++
			}
		}
		// Six bytes are a report: its body, how far its number is off, how far its timestamp; in the last one's upper bits the time.
		for ; len(b) >= 6; b = b[6:] {
			sequence += uint16(int8(b[4]))
			stamp += uint32(b[5]&0x0f) * 80
			s.now += time.Duration(b[5]>>4) * 40 * time.Millisecond
			pkt := buffer[:rtp.FixedSize+rtp.EventSize]
			(&rtp.Header{PayloadType: 101, Sequence: sequence, Timestamp: stamp, SSRC: s.a.ssrc, Marker: marker}).Put(pkt)
			copy(pkt[rtp.FixedSize:], b[:4])
			reports++
			rtpPort{s.la}.Receive(pkt, s.a.stream.Remote, s.now)
			s.tick(1)
			take()
		}
		s.now += time.Second
		if _, more := s.tick(1); more || s.la.keypad.down {
			t.Fatal("a key stays down")
		}
		if take(); digits > reports {
			t.Fatalf("%d digits out of %d reports", digits, reports)
		}
	})
}
