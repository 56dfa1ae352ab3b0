package voice

import (
	"bytes"
	_ "embed"
	"encoding/binary"
)

// Two recordings of genuine Opus packets (RFC 6716), so that a listener knows which of the two it hears. All frames
// of both differ from each other. frames/README.md says how they were made.
var (
	//go:embed frames/a.frames
	framesA []byte
	//go:embed frames/b.frames
	framesB []byte
)

// opusFrames splits a recording: each frame behind its length as two bytes, big endian.
func opusFrames(recording int) [][]byte {
	data := framesA
	if recording == RecordingB {
		data = framesB
	}
	var out [][]byte
	for len(data) >= 2 {
		n := int(binary.BigEndian.Uint16(data))
		out = append(out, data[2:2+n])
		data = data[2+n:]
	}
	return out
}

// Recordings of the Opus voices.
const (
	RecordingA = iota + 1
	RecordingB
)

// opusLoop plays a recording round and round.
type opusLoop struct {
	frames [][]byte
	at     int
}

func (o *opusLoop) next() []byte {
	f := o.frames[o.at]
	o.at = (o.at + 1) % len(o.frames)
	return f
}

// opusEar compares what arrives with the recordings, byte for byte.
type opusEar struct {
	frames     [][]byte
	good, bad  int
	recording  int
	next       int
	lastSeq    uint16
	synced     bool
	outOfOrder int // frames that are genuine but not the one due at this sequence number
}

func (e *opusEar) hear(seq uint16, payload []byte) {
	if e.synced {
		due := (e.next + int(int16(seq-e.lastSeq-1))) % len(e.frames)
		if due < 0 {
			due += len(e.frames)
		}
		if bytes.Equal(payload, e.frames[due]) {
			e.good, e.next, e.lastSeq = e.good+1, (due+1)%len(e.frames), seq
			return
		}
	}
	for _, r := range []int{RecordingA, RecordingB} {
		frames := opusFrames(r)
		for i, f := range frames {
			if bytes.Equal(payload, f) {
				if e.synced {
					e.outOfOrder++
				}
				e.good++
				e.frames, e.recording, e.next, e.lastSeq, e.synced = frames, r, (i+1)%len(frames), seq, true
				return
			}
		}
	}
	e.bad++
}

// skip notes that a sequence number carried no Opus frame (a telephone event in its place).
func (e *opusEar) skip(uint16) { e.synced = false }
