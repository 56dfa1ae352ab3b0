package b2bua

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// sealers are who seals under which key in one session; the fake relay minds them in every test, as the real one does.
type sealers struct{ box, peers map[string]bool }

// mind checks a stream against the rules of shared keys.
func (l *fakeLeg) mind(s Stream) error {
	if s.Send.Suite == "" {
		return nil
	}
	k := &l.s.keys
	if k.box == nil {
		k.box, k.peers = map[string]bool{}, map[string]bool{}
	}
	k.peers[string(s.Recv.Key)] = true
	send, fault := string(s.Send.Key), ""
	again := l.stream.Shared && bytes.Equal(l.stream.Send.Key, s.Send.Key)
	switch {
	case !s.Shared && k.peers[send]:
		fault = "the box would seal with a peer's key"
	case s.Shared && k.box[send]:
		fault = "a peer would get a key that the box has sealed with as another peer's"
	case s.Shared && !again && slices.ContainsFunc(l.s.legs, func(o *fakeLeg) bool { return o.side == Trunk && !o.closed }):
		fault = "a key is shared where a trunk is in the call"
	case s.Shared && !again && len(slices.DeleteFunc(slices.Clone(l.s.legs), func(o *fakeLeg) bool { return o.closed })) > 2:
		fault = "a key is shared while the call forks"
	}
	if !s.Shared {
		k.box[send] = true
	}
	if fault == "" {
		return nil
	}
	l.m.faults = append(l.m.faults, fault)
	return errors.New(fault)
}

// sharingWorld is a world whose phones may have each other's keys.
func sharingWorld(t *testing.T, change func(*site.Document)) *world {
	w := newWorld(t, change)
	w.agent.o.SharedKeys = true
	return w
}

// owner is a phone with one key of its own, which it keeps, and a session description that grows.
type owner struct {
	*ua
	key     sdp.Crypto
	version uint64
}

func (w *world) owner(ext string) *owner { return own(w.phone(ext)) }

func own(u *ua) *owner {
	k, err := sdp.NewKey(sdp.AES128SHA80, rand.Reader)
	if err != nil {
		panic(err)
	}
	return &owner{ua: u, key: k}
}

// says is an offer, or with a description of the box an answer to it in the line that suits the phone's key.
func (p *owner) says(dir sdp.Direction, to *sdp.Description, codecs ...sdp.Codec) []byte {
	p.w.t.Helper()
	p.version++
	return p.repeats(dir, to, codecs...)
}

// repeats says so without a new version.
func (p *owner) repeats(dir sdp.Direction, to *sdp.Description, codecs ...sdp.Codec) []byte {
	p.w.t.Helper()
	if len(codecs) == 0 {
		codecs = []sdp.Codec{pcmu, ev8}
	}
	l := sdp.Local{Addr: netip.MustParseAddrPort("127.0.0.1:4200"), SessionID: 11, Version: p.version, Profile: "RTP/SAVP", Codecs: codecs, Direction: dir}
	k := p.key
	if to != nil {
		i := slices.IndexFunc(to.Crypto, func(c sdp.Crypto) bool { return c.Suite == k.Suite })
		if i < 0 {
			p.w.t.Fatalf("%s is not offered its suite: %v", p.name, to.Crypto)
		}
		k.Tag, l.Lines, l.Index = to.Crypto[i].Tag, to.Lines, to.Index
	}
	l.Crypto = []sdp.Crypto{k}
	b, err := l.Marshal()
	if err != nil {
		p.w.t.Fatal(err)
	}
	return b
}

// calls dials with the phone's own offer.
func (p *owner) calls(to string, codecs ...sdp.Codec) *outgoing {
	return p.send(p.request(sip.INVITE, p.name, to, p.says(sdp.SendRecv, nil, codecs...)))
}

// accepts answers an INVITE and returns what it was offered.
func (p *owner) accepts(tx *stack.ServerTx, codecs ...sdp.Codec) (*outgoing, *sdp.Description) {
	p.w.t.Helper()
	d := described(p.w.t, tx.Request())
	res := tx.Response(200, "OK")
	res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: p.name, Host: "127.0.0.1", Port: int(p.conn.Local().Port())}})
	setSDP(res, p.says(d.Direction.Reverse(), d, codecs...))
	dlg := dialogFrom(tx)
	tx.Respond(res)
	p.acked()
	return &outgoing{u: p.ua, dlg: dlg}, d
}

func described(t *testing.T, m sip.Message) *sdp.Description {
	t.Helper()
	d, err := sdp.Parse(m.Body())
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Body())
	}
	return d
}

// shared is a plain call of two phones that have each other's keys.
func shared(t *testing.T, w *world) (a, b *owner, caller, callee *outgoing) {
	t.Helper()
	a, b = w.owner("1001"), w.owner("1002")
	caller = a.calls("1002")
	callee, offered := b.accepts(b.incoming(sip.INVITE))
	answered := described(t, caller.up(nil))
	caller.within(sip.UPDATE, nil).wait(200) // the ACK has been taken
	if !sameKey(offered.Crypto[0], a.key) || !sameKey(answered.Crypto[0], b.key) || len(answered.Crypto) != 1 {
		t.Fatal("the phones have not got each other's keys")
	}
	w.sharing(true, true)
	return a, b, caller, callee
}

// sharing waits until the newest session's legs are as told.
func (w *world) sharing(want ...bool) {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		var got []bool
		_, legs := w.media.last()
		for _, l := range legs {
			if !l.closed {
				got = append(got, l.stream.Shared)
			}
		}
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("shared %v, want %v", got, want)
		}
	}
}

// rekeyed answers a re-INVITE of the box, which must bring a key that is neither phone's.
func (p *owner) rekeyed(others ...*owner) *sdp.Description {
	p.w.t.Helper()
	_, d := p.accepts(p.incoming(sip.INVITE))
	p.fresh(d, others...)
	return d
}

func (p *owner) fresh(d *sdp.Description, others ...*owner) {
	p.w.t.Helper()
	for _, o := range append(others, p) {
		if slices.ContainsFunc(d.Crypto, func(c sdp.Crypto) bool { return sameKey(c, o.key) }) {
			p.w.t.Errorf("%s is offered the key of %s", p.name, o.name)
		}
	}
}

// gone answers what comes until so many dialogs have ended.
func (p *owner) gone(dialogs int) {
	p.w.t.Helper()
	for dialogs > 0 {
		select {
		case tx := <-p.requests:
			tx.Reply(200, "OK")
			if tx.Request().Method == sip.BYE {
				dialogs--
			}
		case <-time.After(deadline):
			p.w.t.Fatalf("%s waits for BYE", p.name)
		}
	}
}

// linkedLegs waits until one session's open legs are as told.
func (w *world) linkedLegs(want ...bool) {
	w.t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		w.media.mu.Lock()
		for _, s := range w.media.sessions {
			var got []bool
			for _, l := range s.legs {
				if !l.closed {
					got = append(got, l.stream.Shared)
				}
			}
			if !s.closed && slices.Equal(got, want) {
				w.media.mu.Unlock()
				return
			}
		}
		w.media.mu.Unlock()
	}
	w.t.Fatalf("no session with legs that share %v", want)
}

// hears waits until the newest session's leg is played a prompt.
func (w *world) hears(leg int, p Prompt) {
	w.t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, legs := w.media.last(); len(legs) > leg && slices.Contains(legs[leg].plays, p) {
			return
		}
	}
	w.t.Fatalf("leg %d does not hear %s", leg, p)
}
