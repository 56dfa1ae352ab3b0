package relay

import (
	"testing"
	"time"

	"holdfast/media/rtp"
)

func digit(duration uint16, end bool) string {
	flags := byte(10)
	if end {
		flags |= 0x80
	}
	return string([]byte{5, flags, byte(duration >> 8), byte(duration)})
}

// A digit as baresip sends it beside Opus: its timestamp lies on the audio time line (48000 Hz), its duration counts at 8000 Hz.
func TestEventsAreRetimed(t *testing.T) {
	opus := Payload{96, 48000}
	tests := []struct {
		name     string
		from, to Payload
		in, out  []uint16
	}{
		{"8000 to 48000", Payload{101, 8000}, Payload{97, 48000}, []uint16{160, 320, 480, 480, 480}, []uint16{960, 1920, 2880, 2880, 2880}},
		{"48000 to 8000", Payload{97, 48000}, Payload{101, 8000}, []uint16{960, 1920, 2880, 2880, 2880}, []uint16{160, 320, 480, 480, 480}},
		{"too long", Payload{101, 8000}, Payload{97, 48000}, []uint16{10000, 11000, 12000, 12000, 12000}, []uint16{60000, 65535, 65535, 65535, 65535}},
		{"same clock", Payload{101, 8000}, Payload{110, 8000}, []uint16{160, 320, 480, 480, 480}, []uint16{160, 320, 480, 480, 480}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCall(t, run(t, config()), "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
			c.a.stream.Audio, c.b.stream.Audio = opus, Payload{111, 48000}
			c.a.stream.Event, c.b.stream.Event = tt.from, tt.to
			c.set(t)
			c.a.say(c.la, "audio")
			last := c.b.hears("audio")
			c.a.stamp += 800 // 960 after the audio
			started := c.a.stamp
			for i, d := range tt.in {
				c.a.sequence++
				end := i >= 2
				c.a.send(c.la, c.a.packet(tt.from.Type, digit(d, end), i == 0))
				got := c.b.hear()
				if want := digit(tt.out[i], end); string(got.Payload) != want {
					t.Errorf("report %d: %x, want %x", i, got.Payload, want)
				}
				if got.PayloadType != tt.to.Type || got.Marker != (i == 0) || got.SSRC != last.SSRC || got.SequenceNumber != last.SequenceNumber+1+uint16(i) {
					t.Errorf("report %d: %v", i, got)
				}
				if got.Timestamp != last.Timestamp+800 {
					t.Errorf("report %d: timestamp %d, want %d", i, got.Timestamp, last.Timestamp+800)
				}
			}
			c.a.stamp = started + 2880
			c.a.say(c.la, "more audio")
			if got := c.b.hears("more audio"); got.Timestamp != last.Timestamp+800+2880+160 {
				t.Errorf("audio after the digit at %d", got.Timestamp-last.Timestamp)
			}
		})
	}
}

func TestEventWithoutCounterpart(t *testing.T) {
	c := newCall(t, run(t, config()), "", "")
	c.b.stream.Event = Payload{}
	c.set(t)
	c.a.send(c.la, c.a.next(101, digit(160, false), true))
	c.a.send(c.la, c.a.next(101, "x", true))
	c.a.say(c.la, "audio")
	c.b.hears("audio")
	if st := c.la.Stats(); st.Dropped != 2 {
		t.Errorf("stats %+v", st)
	}
}

// A peer whose events count on a time line of their own: they are put where the audio is.
func TestEventTimeLine(t *testing.T) {
	var o outgoing
	o.adopt(&endpoint{ssrc: 7, sequence: 100, stamp: 5000})
	leg := &Leg{}
	at := time.Second
	send := func(seq uint16, stamp uint32, k kind) rtp.Header {
		t.Helper()
		h := rtp.Header{SSRC: 1, Sequence: seq, Timestamp: stamp}
		if !o.number(&h, leg, 1, k, 48000, at) {
			t.Fatal("refused")
		}
		return h
	}
	first := send(1, 1_000_000, audio)
	at += 20 * time.Millisecond
	foreign := send(2, 77, event) // nowhere near the audio
	if d := foreign.Timestamp - first.Timestamp; d != 960 {
		t.Errorf("event lies %d after the audio", d)
	}
	at += 20 * time.Millisecond
	if again := send(3, 77, event); again.Timestamp != foreign.Timestamp {
		t.Error("the event moved")
	}
	at += 20 * time.Millisecond
	if h := send(4, 1_000_000+3*960, audio); h.Timestamp-first.Timestamp != 3*960 {
		t.Errorf("audio went to %d", h.Timestamp-first.Timestamp)
	}
	at += 20 * time.Millisecond
	if h := send(5, 9_999_999, event); h.Timestamp-first.Timestamp != 4*960 {
		t.Errorf("the next event lies at %d", h.Timestamp-first.Timestamp)
	}
	// Another event with the same timestamp, after a pause.
	at += eventPause
	again := send(6, 9_999_999, event)
	if d := again.Timestamp - first.Timestamp; d != 4*960+2*48000 {
		t.Errorf("the same timestamp again lies at %d", d)
	}
	at -= eventPause
	// An event before any audio of its source, a second after the last audio.
	at += 980 * time.Millisecond
	fresh := &Leg{}
	h := rtp.Header{SSRC: 2, Sequence: 9, Timestamp: 4}
	if !o.number(&h, fresh, 2, event, 48000, at) || h.Timestamp-first.Timestamp != 3*960+48000 {
		t.Errorf("event of a new source lies at %d", h.Timestamp-first.Timestamp)
	}
	h = rtp.Header{SSRC: 2, Sequence: 10, Timestamp: 123456}
	if !o.number(&h, fresh, 2, audio, 48000, at) || h.Timestamp-first.Timestamp != 3*960+48000 || !h.Marker {
		t.Errorf("its audio lies at %d", h.Timestamp-first.Timestamp)
	}
}
