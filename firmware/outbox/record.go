package outbox

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// A segment begins with: segmentMagic, the queue's name (8 bytes), the next sequence number when it was made (8), CRC-32C
// of all that. The number keeps one from being given twice when the segments that tell of it are gone.
// Each record is: recordMagic, length of the body (4 bytes), CRC-32C (4 bytes) over queue name and body, body.
// An entry's body is 'e', sequence number (8), time in Unix nanoseconds (8), length of the kind (1), kind, payload.
// A done note's body is 'd', sequence number (8). A jump of the clock's is 'j', nanoseconds (8), see jump.go. Numbers are
// little-endian.
//
// The queue's name in the CRC makes it impossible for what is carried to pass for a record when a damaged file is
// searched for the next good one.
var (
	segmentMagic = []byte("HFOUTBX1")
	recordMagic  = []byte{0xf5, 'H', 'F', 0x00}
)

const (
	headerSize = 8 + 8 + 8 + 4
	prefixSize = 4 + 4 + 4
	entryFixed = 1 + 8 + 8 + 1
	doneSize   = 1 + 8
	maxBody    = entryFixed + 255 + MaxPayload
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func header(queue [8]byte, nextSeq uint64) []byte {
	b := append(append([]byte(nil), segmentMagic...), queue[:]...)
	b = binary.LittleEndian.AppendUint64(b, nextSeq)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readHeader reads what header wrote; false when it is damaged.
func readHeader(data []byte) (queue [8]byte, nextSeq uint64, ok bool) {
	if len(data) < headerSize {
		return queue, 0, false
	}
	copy(queue[:], data[8:])
	nextSeq = binary.LittleEndian.Uint64(data[16:])
	return queue, nextSeq, bytes.Equal(data[:headerSize], header(queue, nextSeq))
}

func checksum(queue [8]byte, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(queue[:], castagnoli), castagnoli, body)
}

func frame(queue [8]byte, body []byte) []byte {
	b := make([]byte, 0, prefixSize+len(body))
	b = append(b, recordMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, checksum(queue, body))
	return append(b, body...)
}

func entryRecord(e Entry) []byte {
	body := make([]byte, 0, entryFixed+len(e.Kind)+len(e.Payload))
	body = append(body, 'e')
	body = binary.LittleEndian.AppendUint64(body, e.ID.Seq)
	body = binary.LittleEndian.AppendUint64(body, uint64(e.At.UnixNano()))
	body = append(body, byte(len(e.Kind)))
	body = append(body, e.Kind...)
	return frame(e.ID.Queue, append(body, e.Payload...))
}

func doneRecord(id ID) []byte {
	return frame(id.Queue, binary.LittleEndian.AppendUint64([]byte{'d'}, id.Seq))
}

func jumpRecord(queue [8]byte, by time.Duration) []byte {
	return frame(queue, binary.LittleEndian.AppendUint64([]byte{'j'}, uint64(by)))
}

// record is one that was read.
type record struct {
	done  bool
	jump  time.Duration // of the clock; 0: it is none
	entry Entry         // of a done note, the ID only
	size  int64         // of the whole record
}

// readRecord reads the record at the start of data; false when there is no whole and good one. Payload is part of data.
func readRecord(queue [8]byte, data []byte) (r record, ok bool) {
	if len(data) < prefixSize || !bytes.Equal(data[:4], recordMagic) {
		return r, false
	}
	length := int64(binary.LittleEndian.Uint32(data[4:]))
	if length < doneSize || length > maxBody || length > int64(len(data)-prefixSize) {
		return r, false
	}
	body := data[prefixSize : prefixSize+length]
	if checksum(queue, body) != binary.LittleEndian.Uint32(data[8:]) {
		return r, false
	}
	r.size = prefixSize + length
	if body[0] == 'j' && length == doneSize {
		r.jump = time.Duration(binary.LittleEndian.Uint64(body[1:]))
		return r, r.jump != 0
	}
	r.entry.ID = ID{queue, binary.LittleEndian.Uint64(body[1:])}
	switch {
	case body[0] == 'd' && length == doneSize:
		r.done = true
		return r, true
	case body[0] == 'e' && length >= entryFixed:
		r.entry.At = time.Unix(0, int64(binary.LittleEndian.Uint64(body[9:]))).UTC()
		kind := int(body[17])
		if len(body) < entryFixed+kind {
			return r, false
		}
		r.entry.Kind = string(body[entryFixed : entryFixed+kind])
		r.entry.Payload = body[entryFixed+kind:]
		return r, true
	}
	return r, false
}

// nextRecord is the offset of the first good record at or after from; -1 when there is none.
func nextRecord(queue [8]byte, data []byte, from int) int {
	for at := from; ; at++ {
		found := bytes.Index(data[at:], recordMagic)
		if found < 0 {
			return -1
		}
		at += found
		if _, ok := readRecord(queue, data[at:]); ok {
			return at
		}
	}
}
