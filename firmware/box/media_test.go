package box

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"holdfast/media/prompt"
	"holdfast/media/relay"
	"holdfast/sip/b2bua"
)

// The adapter, with the prompts of the program and a real socket as the phone.
func TestPromptsThroughTheAdapter(t *testing.T) {
	here := netip.MustParseAddr("127.0.0.1")
	r, err := relay.New(relay.Config{AccessAddr: here, TrunkAddr: here, PortMin: 19800, PortMax: 19899, Drain: time.Second, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	defer func() { cancel(); <-done }()
	prompts, err := prompt.Default()
	if err != nil {
		t.Fatal(err)
	}
	phone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	phone.SetDeadline(time.Now().Add(30 * time.Second))

	s := anchor{r, prompts}.Open("test", b2bua.MediaOptions{})
	defer s.Close()
	l, err := s.AddLeg(b2bua.Access)
	if err != nil {
		t.Fatal(err)
	}
	stream := b2bua.Stream{
		Remote: phone.LocalAddr().(*net.UDPAddr).AddrPort(), Audio: b2bua.Payload{Type: 96, Clock: 48000}, Codec: "opus",
		Event: b2bua.Payload{Type: 101, Clock: 8000}, ToPeer: true, FromPeer: true, FixedSource: true,
	}
	if err := l.Set(stream); err != nil {
		t.Fatal(err)
	}
	for _, p := range []b2bua.Prompt{b2bua.HoldMusic, b2bua.RingBack, b2bua.SilentPrompt, b2bua.EmergencyNotice, b2bua.AllTrunksDead, b2bua.NotInService, b2bua.NobodyThere} {
		if _, err := l.Play(p, b2bua.PlayOptions{}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := l.Play("nonsense", b2bua.PlayOptions{}); !errors.Is(err, b2bua.ErrNoPrompt) {
		t.Errorf("error %v", err)
	}
	n, err := l.Play(b2bua.SilentPrompt, b2bua.PlayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-s.Events(); e.PlayDone != n || e.Leg != l {
		t.Errorf("event %+v, want the end of %d", e, n)
	}
	// The end of a key, as a phone sends it.
	digit := []byte{0x80, 101, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 3, 0x8a, 0x03, 0x20}
	if _, err := phone.WriteToUDPAddrPort(digit, l.Local()); err != nil {
		t.Fatal(err)
	}
	if e := <-s.Events(); e.Digit != '3' || e.For != 100*time.Millisecond || e.Leg != l {
		t.Errorf("event %+v", e)
	}
	stream.Codec, stream.Audio = "G726-32", b2bua.Payload{Type: 97, Clock: 8000}
	if err := l.Set(stream); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Play(b2bua.HoldMusic, b2bua.PlayOptions{Loop: true}); !errors.Is(err, b2bua.ErrNoPrompt) {
		t.Errorf("error %v", err)
	}
	s.Close()
	s.Close()
	if _, ok := <-s.Events(); ok {
		t.Error("events after the end")
	}
}
