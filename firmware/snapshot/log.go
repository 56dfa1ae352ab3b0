package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// magic begins a file of this format; another version is another format.
const magic = "holdfast snapshot 1\n"

type operation byte

const (
	put    operation = 'p'
	remove operation = 'r'
)

// A record is: length of the rest, CRC-32C of the rest, operation, length of section, section, length of key, key, value.
// Lengths of section and key have 2 bytes, the others 4, all little-endian.
const fixed = 4 + 4 + 1 + 2 + 2

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func recordSize(section, key string, value []byte) int64 {
	return int64(fixed + len(section) + len(key) + len(value))
}

func appendRecord(b []byte, op operation, section, key string, value []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(recordSize(section, key, value)-8))
	b = append(b, 0, 0, 0, 0, byte(op))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(section)))
	b = append(b, section...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, key...)
	b = append(b, value...)
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

var errTorn = errors.New("torn or corrupt record")

// nextRecord takes one record off data; value is a copy.
func nextRecord(data []byte) (op operation, section, key string, value, rest []byte, err error) {
	if len(data) < fixed {
		return 0, "", "", nil, nil, errTorn
	}
	length := int64(binary.LittleEndian.Uint32(data))
	sum := binary.LittleEndian.Uint32(data[4:])
	if length < fixed-8 || length > int64(len(data)-8) {
		return 0, "", "", nil, nil, errTorn
	}
	body, rest := data[8:8+length], data[8+length:]
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, "", "", nil, nil, errTorn
	}
	op = operation(body[0])
	n := int(binary.LittleEndian.Uint16(body[1:]))
	body = body[3:]
	if n+2 > len(body) {
		return 0, "", "", nil, nil, errTorn
	}
	section = string(body[:n])
	body = body[n:]
	n = int(binary.LittleEndian.Uint16(body))
	body = body[2:]
	if n > len(body) || op != put && op != remove {
		return 0, "", "", nil, nil, errTorn
	}
	return op, section, string(body[:n]), append([]byte(nil), body[n:]...), rest, nil
}

// replay fills the live entries from a file; it says what was wrong with it. What stands before the fault is kept: a
// kill in the middle of a write leaves a torn last record, which was never acknowledged.
func (s *File) replay(data []byte) (fault string) {
	if len(data) < len(magic) || string(data[:len(magic)]) != magic {
		return "not a snapshot of this version"
	}
	for rest := data[len(magic):]; len(rest) > 0; {
		op, section, key, value, after, err := nextRecord(rest)
		if err != nil {
			return fmt.Sprintf("%v at byte %d; %d bytes ignored", err, len(data)-len(rest), len(rest))
		}
		rest = after
		if old, had := s.live[section][key]; had {
			s.used -= recordSize(section, key, old)
			delete(s.live[section], key)
		}
		if op == put {
			if s.live[section] == nil {
				s.live[section] = make(map[string][]byte)
			}
			s.live[section][key] = value
			s.used += recordSize(section, key, value)
		}
	}
	return ""
}

// readBounded reads a file that cannot be longer than a snapshot gets.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const most = 2*MaxLive + 2*slack
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if len(data) > most {
		return nil, fmt.Errorf("longer than %d bytes", most)
	}
	return data, nil
}
