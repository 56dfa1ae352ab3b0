package prompt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Limits of a frame file.
const (
	MaxFile  = 4 << 20 // bytes
	MaxFrame = 1275    // bytes; what Opus may need (RFC 6716 §3.4), and what fits a packet
	maxCount = 1<<16 - 1
	maxName  = 16
)

const (
	magic   = "HFFRAMES"
	version = 1
)

// Frames is one prompt in one codec: the payloads of its RTP packets. It is immutable.
type Frames struct {
	codec    string
	clock    uint32
	step     uint32
	distinct [][]byte
	order    []uint16
}

// New makes Frames from payloads in the order of playing, each step units of a clock in Hz long. It keeps the payloads.
func New(codec string, clock, step uint32, payloads [][]byte) (*Frames, error) {
	f := &Frames{codec: codec, clock: clock, step: step}
	if len(payloads) > maxCount {
		return nil, fmt.Errorf("frames in %s: %d are too many", codec, len(payloads))
	}
	known := make(map[string]uint16, len(payloads))
	for _, p := range payloads {
		n, ok := known[string(p)]
		if !ok {
			n = uint16(len(f.distinct))
			known[string(p)] = n
			f.distinct = append(f.distinct, p)
		}
		f.order = append(f.order, n)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("frames in %s: %w", codec, err)
	}
	return f, nil
}

// Codec is the name in a=rtpmap.
func (f *Frames) Codec() string { return f.codec }

// Clock is the RTP clock in Hz.
func (f *Frames) Clock() uint32 { return f.clock }

// Step is the length of every frame in clock units.
func (f *Frames) Step() uint32 { return f.step }

// Period is the length of every frame.
func (f *Frames) Period() time.Duration {
	return time.Duration(f.step) * time.Second / time.Duration(f.clock)
}

// Len is the number of frames to play.
func (f *Frames) Len() int { return len(f.order) }

// Frame is the i-th payload to play, from 0. It must not be changed.
func (f *Frames) Frame(i int) []byte { return f.distinct[f.order[i]] }

// Duration is the length of the whole.
func (f *Frames) Duration() time.Duration { return time.Duration(f.Len()) * f.Period() }

// check is what holds for all Frames, however they came.
func (f *Frames) check() error {
	if len(f.codec) == 0 || len(f.codec) > maxName {
		return fmt.Errorf("a codec's name has 1 to %d letters, not %d", maxName, len(f.codec))
	}
	for _, c := range []byte(f.codec) {
		if c <= ' ' || c > '~' || c == '/' {
			return fmt.Errorf("%q is no codec's name", f.codec)
		}
	}
	if f.clock < 8000 || f.clock > 192000 {
		return fmt.Errorf("a clock of %d Hz is not from 8000 to 192000", f.clock)
	}
	if ms := uint64(f.step) * 1000 / uint64(f.clock); ms < 10 || ms > 60 || ms*uint64(f.clock) != uint64(f.step)*1000 {
		return fmt.Errorf("a frame of %d units at %d Hz is no whole number of milliseconds from 10 to 60", f.step, f.clock)
	}
	if len(f.order) == 0 {
		return errors.New("there is no frame to play")
	}
	for i, p := range f.distinct {
		if len(p) == 0 || len(p) > MaxFrame {
			return fmt.Errorf("frame %d has %d bytes, not 1 to %d", i, len(p), MaxFrame)
		}
		if err := fits(f, p); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append writes the frame file to dst.
func (f *Frames) Append(dst []byte) []byte {
	be, start := binary.BigEndian, len(dst)
	dst = append(dst, magic...)
	dst = append(dst, version, byte(len(f.codec)))
	dst = append(dst, f.codec...)
	dst = be.AppendUint32(dst, f.clock)
	dst = be.AppendUint32(dst, f.step)
	dst = be.AppendUint16(dst, uint16(len(f.distinct)))
	dst = be.AppendUint32(dst, uint32(len(f.order)))
	for _, p := range f.distinct {
		dst = be.AppendUint16(dst, uint16(len(p)))
		dst = append(dst, p...)
	}
	for _, n := range f.order {
		dst = be.AppendUint16(dst, n)
	}
	return be.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}
