package sdp

import (
	"slices"
	"strings"
)

// DefaultOffer is what the box offers for a phone that has made no offer itself.
func DefaultOffer() []Codec {
	return []Codec{
		{111, Opus, 48000, 2, "useinbandfec=1"},
		{0, PCMU, 8000, 1, ""},
		{8, PCMA, 8000, 1, ""},
		{18, G729, 8000, 1, "annexb=no"},
		{101, Event, 8000, 1, "0-16"},
		{110, Event, 48000, 1, "0-16"},
	}
}

// OfferTo makes the list to offer to the second party out of what the first has offered: filtered, and with
// telephone-event at the clock of every audio codec in it and at 8000 Hz if the first party has telephone-event at any clock
// (the relay re-times; many phones know 8000 alone, beside Opus too). used is what has been agreed or offered in the second party's dialog before, nil at first: a format keeps its payload
// type there, and a type is not given to another format (RFC 3264 §8.3.2). Empty if no audio codec is left.
func OfferTo(offered, used []Codec) []Codec {
	list := Filter(offered)
	if !slices.ContainsFunc(list, Codec.Audio) {
		return nil
	}
	if i := slices.IndexFunc(list, func(c Codec) bool { return c.Name == Event }); i >= 0 {
		list = completeEvents(list, list[i].Fmtp)
	}
	return renumber(list, used)
}

func completeEvents(list []Codec, fmtp string) []Codec {
	var clocks []uint32
	for _, c := range list {
		if c.Audio() {
			clocks = append(clocks, c.Clock)
		}
	}
	for _, clock := range append(clocks, 8000) {
		event := Codec{Name: Event, Clock: clock, Channels: 1, Fmtp: fmtp}
		if slices.ContainsFunc(list, event.Same) {
			continue
		}
		var ok bool
		if event.Type, ok = free(list, nil); ok {
			list = append(list, event)
		}
	}
	return list
}

func renumber(list, used []Codec) []Codec {
	var out []Codec
	for _, c := range list {
		if i := slices.IndexFunc(used, c.Same); i >= 0 && !typed(out, used[i].Type) {
			c.Type = used[i].Type
		} else if typed(used, c.Type) || typed(out, c.Type) {
			var ok bool
			if c.Type, ok = free(out, used); !ok {
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

// free finds a dynamic payload type in neither list, from the usual 101 on.
func free(a, b []Codec) (uint8, bool) {
	for i := range uint8(32) {
		if pt := 96 + (i+5)%32; !typed(a, pt) && !typed(b, pt) {
			return pt, true
		}
	}
	return 0, false
}

func typed(list []Codec, pt uint8) bool {
	return slices.ContainsFunc(list, func(c Codec) bool { return c.Type == pt })
}

// Stream is what one party's audio is made of: one codec, and if both parties have them events and comfort noise.
type Stream struct {
	Audio Codec
	Event Codec // telephone-event; Clock 0: none
	Noise Codec // comfort noise; Clock 0: none
}

// Codecs is the stream as an answer lists it.
func (s Stream) Codecs() []Codec {
	list := []Codec{s.Audio}
	if s.Event.Clock != 0 {
		list = append(list, s.Event)
	}
	if s.Noise.Clock != 0 {
		list = append(list, s.Noise)
	}
	return list
}

// Agreement is the one codec that two parties speak.
type Agreement struct {
	A Stream // for the first party, numbered as it offered; parameters are the second party's
	B Stream // the second party, numbered as it answered: what to send to it
	// Ours is B numbered as the box offered it: what B sends with (RFC 3264 §5.1, §6.1). It differs from B only if B has
	// answered with payload types of its own, which it should not.
	Ours Stream
}

// Agree fixes the codec: the first of the second party's answer that the box offered and the first party has. a is the first
// party's list, offered what OfferTo made of it, answered the second party's answer. ErrNoCodec: 488.
func Agree(a, offered, answered []Codec) (Agreement, error) {
	a, answered = Filter(a), Filter(answered)
	for _, b := range answered {
		i, j := slices.IndexFunc(a, b.Same), slices.IndexFunc(offered, b.Same)
		if !b.Audio() || i < 0 || j < 0 {
			continue
		}
		g := Agreement{A: Stream{Audio: a[i]}, B: Stream{Audio: b}, Ours: Stream{Audio: offered[j]}}
		g.A.Audio.Fmtp, g.B.Audio.Fmtp = agreeFmtp(a[i], b)
		g.agreeEvents(a, offered, answered)
		g.agreeNoise(a, offered, answered)
		return g, nil
	}
	return Agreement{}, ErrNoCodec
}

// agreeFmtp: the parameters say what their writer can take, so each party hears the other's. Annex B of G.729 is for both or for
// none: it is on unless one of them says no (RFC 7261 §3.1).
func agreeFmtp(a, b Codec) (forA, forB string) {
	if a.Name == G729 && (noAnnexB(a) || noAnnexB(b)) {
		return "annexb=no", "annexb=no"
	}
	return b.Fmtp, a.Fmtp
}

func noAnnexB(c Codec) bool { return strings.Contains(c.Fmtp, "annexb=no") }

func (g *Agreement) agreeEvents(a, offered, answered []Codec) {
	forA, okA := event(a, g.A.Audio.Clock, nil)
	forB, okB := event(answered, g.B.Audio.Clock, offered)
	if !okA || !okB {
		return
	}
	g.A.Event, g.B.Event = forA, forB
	g.A.Event.Fmtp, g.B.Event.Fmtp = forB.Fmtp, forA.Fmtp
	g.Ours.Event = offered[slices.IndexFunc(offered, forB.Same)]
}

// event picks telephone-event, at the audio codec's clock if it can (RFC 4733 §2.1), and if within is not nil, only what is in there.
func event(list []Codec, clock uint32, within []Codec) (best Codec, ok bool) {
	for _, c := range list {
		if c.Name != Event || within != nil && !slices.ContainsFunc(within, c.Same) {
			continue
		}
		if c.Clock == clock {
			return c, true
		}
		if !ok {
			best, ok = c, true
		}
	}
	return best, ok
}

func (g *Agreement) agreeNoise(a, offered, answered []Codec) {
	noise := Codec{Name: Noise, Clock: g.A.Audio.Clock, Channels: 1}
	i, j, k := slices.IndexFunc(a, noise.Same), slices.IndexFunc(offered, noise.Same), slices.IndexFunc(answered, noise.Same)
	if i >= 0 && j >= 0 && k >= 0 {
		g.A.Noise, g.Ours.Noise, g.B.Noise = a[i], offered[j], answered[k]
	}
}
