package trace

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// PcapNG block types and options (draft-ietf-opsawg-pcapng).
const (
	sectionHeader   = 0x0A0D0D0A
	interfaceBlock  = 1
	enhancedPacket  = 6
	byteOrderMagic  = 0x1A2B3C4D
	linkIPv4        = 228 // LINKTYPE_IPV4: the packet begins with its IPv4 header
	optEnd          = 0
	optComment      = 1
	optName         = 2 // if_name
	optResolution   = 9 // if_tsresol
	optApplication  = 4 // shb_userappl
	optPacketFlags  = 2 // epb_flags
	inbound         = 1
	outbound        = 2
	headersOfPacket = 28 // IPv4 and UDP
)

// WritePcap writes messages as a capture (pcapng) that Wireshark, tshark and sngrep read. On the wire they went over TLS;
// here each is a UDP datagram in the clear, so that no key is needed and none is in the file. There are two interfaces,
// access and trunk.
func WritePcap(w io.Writer, msgs []Message) error {
	var b block
	b.begin(sectionHeader)
	b.u32(byteOrderMagic)
	b.u16(1)
	b.u16(0)
	b.u64(^uint64(0)) // length of the section: not told
	b.option(optApplication, "Holdfast; SIP over TLS shown as UDP, secrets overwritten")
	b.end()
	for _, name := range []string{"access", "trunk"} {
		b.begin(interfaceBlock)
		b.u16(linkIPv4)
		b.u16(0)
		b.u32(0) // no limit to a packet's length
		b.option(optName, name)
		b.option(optResolution, "\x06") // microseconds
		b.end()
	}
	for i, m := range msgs {
		b.packet(uint16(i), m)
	}
	if _, err := w.Write(b.buf); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}

// block is a row of pcapng blocks, little endian.
type block struct {
	buf   []byte
	start int
}

func (b *block) u16(v uint16) { b.buf = binary.LittleEndian.AppendUint16(b.buf, v) }
func (b *block) u32(v uint32) { b.buf = binary.LittleEndian.AppendUint32(b.buf, v) }
func (b *block) u64(v uint64) { b.buf = binary.LittleEndian.AppendUint64(b.buf, v) }

func (b *block) pad() {
	for (len(b.buf)-b.start)%4 != 0 {
		b.buf = append(b.buf, 0)
	}
}

func (b *block) begin(kind uint32) {
	b.start = len(b.buf)
	b.u32(kind)
	b.u32(0) // length, see end
}

func (b *block) option(code uint16, value string) {
	b.u16(code)
	b.u16(uint16(len(value)))
	b.buf = append(b.buf, value...)
	b.pad()
}

func (b *block) end() {
	b.u32(optEnd)
	b.pad()
	length := uint32(len(b.buf) - b.start + 4)
	b.u32(length)
	binary.LittleEndian.PutUint32(b.buf[b.start+4:], length)
}

func (b *block) packet(id uint16, m Message) {
	data := m.Data[:min(len(m.Data), longest)]
	src, dst := m.Remote, m.Local
	var iface, flags uint32 = 0, inbound
	if m.Out {
		src, dst, flags = dst, src, outbound
	}
	if m.Side == "trunk" {
		iface = 1
	}
	us := uint64(m.At.UnixNano() / int64(time.Microsecond))
	length := uint32(len(data) + headersOfPacket)
	b.begin(enhancedPacket)
	b.u32(iface)
	b.u32(uint32(us >> 32))
	b.u32(uint32(us))
	b.u32(length)
	b.u32(length)
	ip := [headersOfPacket]byte{0: 0x45, 8: 64, 9: 17} // IPv4 without options, TTL 64, UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(length))
	binary.BigEndian.PutUint16(ip[4:], id)
	from, to := src.Addr().Unmap(), dst.Addr().Unmap()
	if from.Is4() && to.Is4() {
		a, z := from.As4(), to.As4()
		copy(ip[12:], a[:])
		copy(ip[16:], z[:])
	}
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(ip[20:], src.Port())
	binary.BigEndian.PutUint16(ip[22:], dst.Port())
	binary.BigEndian.PutUint16(ip[24:], uint16(len(data)+8)) // no checksum: 0 (RFC 768)
	b.buf = append(append(b.buf, ip[:]...), data...)
	b.pad()
	b.u16(optPacketFlags)
	b.u16(4)
	b.u32(flags)
	if m.Call != "" {
		b.option(optComment, "call "+m.Call)
	}
	b.end()
}
