package prompt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

var errShort = errors.New("it is cut off")

// Parse reads a frame file. The Frames refer to b, which must not be changed any more.
func Parse(b []byte) (*Frames, error) {
	f, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("frame file: %w", err)
	}
	return f, nil
}

func parse(b []byte) (*Frames, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%d bytes are more than %d", len(b), MaxFile)
	}
	if len(b) < len(magic)+2 || string(b[:len(magic)]) != magic {
		return nil, errors.New("it does not begin as one")
	}
	if v := b[len(magic)]; v != version {
		return nil, fmt.Errorf("version %d is not %d", v, version)
	}
	r := reader{rest: b[len(magic)+1:]}
	f := &Frames{codec: string(r.take(int(r.byte())))}
	f.clock, f.step = r.long(), r.long()
	distinct, played := int(r.short()), int(r.long())
	if r.failed {
		return nil, errShort
	}
	// Each distinct frame takes 3 bytes at least and each played one 2: counts beyond that are not believed.
	if distinct == 0 || played < distinct || played > maxCount || 3*distinct+2*played > len(r.rest) {
		return nil, fmt.Errorf("%d distinct frames played %d times do not fit", distinct, played)
	}
	f.distinct, f.order = make([][]byte, distinct), make([]uint16, played)
	known := make(map[string]bool, distinct)
	for i := range f.distinct {
		p := r.take(int(r.short()))
		if r.failed {
			return nil, errShort
		}
		if known[string(p)] {
			return nil, fmt.Errorf("frame %d is there twice", i)
		}
		known[string(p)] = true
		f.distinct[i] = p
	}
	next := 0 // the distinct frame that has not been played yet
	for i := range f.order {
		n := r.short()
		if int(n) > next || int(n) >= distinct {
			return nil, fmt.Errorf("frame %d to play is number %d, out of turn", i, n)
		}
		if int(n) == next {
			next++
		}
		f.order[i] = n
	}
	sum := r.long()
	switch {
	case r.failed:
		return nil, errShort
	case len(r.rest) != 0:
		return nil, fmt.Errorf("%d bytes follow its end", len(r.rest))
	case sum != crc32.Checksum(b[:len(b)-4], castagnoli):
		return nil, errors.New("its checksum is wrong")
	case next != distinct:
		return nil, fmt.Errorf("%d distinct frames are never played", distinct-next)
	}
	return f, f.check()
}

// reader takes numbers from the front; after the end they are zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) short() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) long() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}
