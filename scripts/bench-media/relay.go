package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime/pprof"
	"time"

	"holdfast/media/relay"
)

// side is one leg of a call.
type side struct {
	Phone      netip.AddrPort `json:"phone"` // where the phone is
	Box        netip.AddrPort `json:"box"`   // where the relay is, for this phone
	Suite      string         `json:"suite"` // "": plain RTP
	Says, Hear []byte         // keys: what the phone seals with, what the relay seals with towards it
}

// order is what the relay process is asked for, once.
type order struct {
	Calls   [][2]side `json:"calls"`
	Shared  bool      `json:"shared"`
	Threads int       `json:"threads"`
	Profile string    `json:"profile"`
}

// outcome is what the relay process tells when it ends.
type outcome struct {
	Counts relay.Counts `json:"counts"`
}

// serveRelay is Holdfast's real relay without signalling: one order of calls in, their ports out, until standard input ends; whatever else it is asked it answers with the number of its goroutines.
func serveRelay(in io.Reader, out io.Writer) error {
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	var o order
	if err := from.Decode(&o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	local := netip.MustParseAddr("127.0.0.1")
	r, err := relay.New(relay.Config{
		AccessAddr: local, TrunkAddr: local, PortMin: 20000, PortMax: 29999, Drain: time.Minute, Silence: time.Minute, DSCP: 46,
		Workers: o.Threads, SharedKeys: true,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	if err := to.Encode("idle"); err != nil {
		return err
	}
	if err := from.Decode(new(string)); err != nil { // the conductor has measured the idle process
		return err
	}
	for i := range o.Calls {
		if err := place(r, &o.Calls[i], o.Shared); err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
	}
	if err := to.Encode(o.Calls); err != nil {
		return err
	}
	o.Calls = nil
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for {
		var word string
		if err := from.Decode(&word); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		if err := to.Encode(state()); err != nil {
			return err
		}
	}
	counts := r.Counts()
	cancel()
	if err := <-done; err != nil {
		return err
	}
	return to.Encode(outcome{counts})
}

// place sets up one call. A shared key is never the trunk's, so that both legs face phones then.
func place(r *relay.Relay, call *[2]side, shared bool) error {
	s := r.Open("bench", relay.Options{})
	var legs [2]*relay.Leg
	for i := range legs {
		facing := relay.Access
		if i == 1 && !shared {
			facing = relay.Trunk
		}
		var err error
		if legs[i], err = s.AddLeg(facing); err != nil {
			return err
		}
		call[i].Box = legs[i].Local()
	}
	s.Connect(legs[0], legs[1])
	for i, l := range legs {
		c := call[i]
		stream := relay.Stream{
			Remote: c.Phone, Audio: relay.Payload{Type: 0, Clock: 8000}, Event: relay.Payload{Type: 101, Clock: 8000},
			ToPeer: true, FromPeer: true, Shared: shared,
		}
		if c.Suite != "" {
			stream.Recv = relay.Crypto{Suite: c.Suite, Key: c.Says}
			stream.Send = relay.Crypto{Suite: c.Suite, Key: c.Hear}
		}
		if err := l.Set(stream); err != nil {
			return err
		}
	}
	return nil
}
