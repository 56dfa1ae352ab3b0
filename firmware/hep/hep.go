// Package hep copies the box's SIP to a server that collects it (Homer and others), in the Homer Encapsulation Protocol,
// version 3. What is sent is what sip/trace keeps: secrets are overwritten. Copies may be lost, and are counted; a call
// never waits for them.
package hep

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"log/slog"
	"net/netip"

	"holdfast/firmware/feed"
	"holdfast/sip/trace"
)

// Options of an Exporter.
type Options struct {
	Address   string
	Transport string      // udp, tcp or tls
	TLS       *tls.Config // with tls
	CaptureID uint32      // the box's number at the server
	Node      string      // the box's name
	Log       *slog.Logger
}

// Exporter sends copies.
type Exporter struct {
	id   uint32
	node string
	feed *feed.Feed
}

// New makes an Exporter; nothing is sent before Run.
func New(o Options) (*Exporter, error) {
	f := feed.Options{What: "homer", Network: o.Transport, Address: o.Address, Log: o.Log}
	if o.Transport == "tls" {
		f.Network, f.TLS = "tcp", o.TLS
	}
	one, err := feed.New(f)
	if err != nil {
		return nil, err
	}
	return &Exporter{o.CaptureID, o.Node, one}, nil
}

// Send takes a copy of a message whose secrets are overwritten (trace.Options.Tap). It never waits.
func (e *Exporter) Send(m trace.Message) { e.feed.Send(encode(m, e.id, e.node)) }

// Run sends until ctx ends.
func (e *Exporter) Run(ctx context.Context) error { return e.feed.Run(ctx) }

// Status is how it goes.
func (e *Exporter) Status() feed.Status { return e.feed.Status() }

// Chunk types of the generic vendor 0 (HEP3 network protocol specification, rev. 12).
const (
	chunkFamily      = 0x01
	chunkProtocol    = 0x02
	chunkSource      = 0x03 // IPv4
	chunkDestination = 0x04
	chunkSourcePort  = 0x07
	chunkDestPort    = 0x08
	chunkSeconds     = 0x09
	chunkMicros      = 0x0a
	chunkPayloadType = 0x0b
	chunkCaptureID   = 0x0c
	chunkPayload     = 0x0f
	chunkCorrelation = 0x11
	chunkNode        = 0x13
)

const (
	familyIPv4 = 2
	overTCP    = 6 // what it was on the wire, TLS taken off
	overUDP    = 17
	typeSIP    = 1
	// longest payload: the packet has 16 bits for its length, and UDP takes no more than 65,507 bytes.
	longest = 65000
)

// encode makes a HEP3 packet.
func encode(m trace.Message, id uint32, node string) []byte {
	src, dst := m.Remote, m.Local
	if m.Out {
		src, dst = dst, src
	}
	data := m.Data[:min(len(m.Data), longest)]
	node, call := node[:min(len(node), 64)], m.Call[:min(len(m.Call), 64)]
	b := make([]byte, 0, 160+len(data)+len(node)+len(call))
	b = append(b, "HEP3\x00\x00"...)
	chunk := func(kind uint16, value ...byte) {
		b = binary.BigEndian.AppendUint16(b, 0) // vendor
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, uint16(len(value)+6))
		b = append(b, value...)
	}
	number := func(kind uint16, v uint32) { chunk(kind, binary.BigEndian.AppendUint32(nil, v)...) }
	port := func(kind uint16, v uint16) { chunk(kind, binary.BigEndian.AppendUint16(nil, v)...) }
	chunk(chunkFamily, familyIPv4)
	over := byte(overTCP)
	if m.UDP {
		over = overUDP
	}
	chunk(chunkProtocol, over)
	address := func(kind uint16, a netip.Addr) { // the box speaks IPv4 only
		if a = a.Unmap(); a.Is4() {
			chunk(kind, a.AsSlice()...)
		}
	}
	address(chunkSource, src.Addr())
	address(chunkDestination, dst.Addr())
	port(chunkSourcePort, src.Port())
	port(chunkDestPort, dst.Port())
	number(chunkSeconds, uint32(m.At.Unix()))
	number(chunkMicros, uint32(m.At.Nanosecond()/1000))
	chunk(chunkPayloadType, typeSIP)
	number(chunkCaptureID, id)
	if node != "" {
		chunk(chunkNode, []byte(node)...)
	}
	if call != "" {
		chunk(chunkCorrelation, []byte(call)...) // both legs of a call have one
	}
	chunk(chunkPayload, data...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return b
}
