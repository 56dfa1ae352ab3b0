package box

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"holdfast/sip/stack"
	"holdfast/sip/trace"
)

// buildTrace takes the memory for SIP messages, where the settings give any or a server wants copies.
func (b *Box) buildTrace() (err error) {
	if err = b.buildHomer(); err != nil {
		return err
	}
	o := trace.Options{Bytes: b.cfg.Trace.MemoryMiB << 20}
	switch {
	case b.homer != nil:
		o.Tap = b.homer.Send
		if o.Bytes == 0 {
			o.Bytes = 1 // the least that there is: it is what takes out the secrets
		}
	case o.Bytes == 0:
		return nil
	}
	b.trace = trace.New(o)
	return nil
}

// tracer is the stack's hook; nil when nobody looks.
func (b *Box) tracer() func(*stack.Conn, bool, []byte) {
	if b.trace == nil {
		return nil
	}
	return func(c *stack.Conn, out bool, msg []byte) {
		b.trace.Add(trace.Message{At: time.Now(), Side: c.Side().String(), Out: out, UDP: c.Over() == stack.UDP, Local: c.Local(), Remote: c.Remote(),
			Flow: c.Flow(), Data: msg})
	}
}

// traceLeg says which Call-IDs are one call; nil when nobody looks.
func (b *Box) traceLeg() func(call, callID string) {
	if b.trace == nil {
		return nil
	}
	return b.trace.Link
}

var errNoTrace = errors.New("no SIP messages are kept: write memory_mib = 4 in [trace] of the boot file")

// TracedCalls are the last calls of which messages are kept.
func (b *Box) TracedCalls(n int) ([]trace.Summary, error) {
	if b.trace == nil {
		return nil, errNoTrace
	}
	return b.trace.Calls(n), nil
}

// Ladder is the signalling of a call.
func (b *Box) Ladder(call string) (trace.Ladder, error) {
	msgs, err := b.traced(call)
	if err != nil {
		return trace.Ladder{}, err
	}
	return trace.NewLadder(call, msgs, b.participant), nil
}

// Capture is the signalling of a call as a capture file.
func (b *Box) Capture(w io.Writer, call string) error {
	msgs, err := b.traced(call)
	if err != nil {
		return err
	}
	return trace.WritePcap(w, msgs)
}

func (b *Box) traced(call string) ([]trace.Message, error) {
	if b.trace == nil {
		return nil, errNoTrace
	}
	msgs := b.trace.Call(call)
	if len(msgs) == 0 {
		return nil, fmt.Errorf("nothing is kept of a call %q: `holdfast trace` lists those that there is something of", call)
	}
	return msgs, nil
}

// participant names a trunk by its address; phones are named by what they say.
func (b *Box) participant(m trace.Message) string {
	if m.Side != stack.Trunk.String() {
		return ""
	}
	for _, t := range b.site.Load().Doc().Trunks {
		if a, err := netip.ParseAddrPort(t.Address); err == nil && a.Addr() == m.Remote.Addr() {
			return t.ID
		}
	}
	return ""
}
