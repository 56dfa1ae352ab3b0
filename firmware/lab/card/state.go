package card

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// State is the boot state: which slot boots.
type State struct {
	Seq        uint32
	Slot, Good string // a or b
	Tries      int
	Failed     string // 0, a or b
}

var errState = errors.New("no sound boot state")

// State reads both files and says which counts.
func (c *Card) State() (s State, file int, err error) {
	err = errState
	for n := range 2 {
		data, e := c.Get(fmt.Sprintf("state/%d", n))
		if e != nil {
			return s, 0, e
		}
		if got, e := parseState(data); e == nil && got.Seq > s.Seq {
			s, file, err = got, n, nil
		}
	}
	return s, file, err
}

// SetState writes a state over the file that does not count, with the next sequence number.
func (c *Card) SetState(s State) error {
	now, file, err := c.State()
	if err != nil {
		return err
	}
	s.Seq = now.Seq + 1
	return c.overwrite(fmt.Sprintf("state/%d", 1-file), s.encode())
}

// Tear destroys the state file that counts.
func (c *Card) Tear() error {
	s, file, err := c.State()
	if err != nil {
		return err
	}
	data := s.encode()
	copy(data[20:], "torn")
	return c.overwrite(fmt.Sprintf("state/%d", file), data)
}

func (s State) encode() []byte {
	data := make([]byte, 512)
	text := fmt.Sprintf("failed=%s\x00good=%s\x00seq=%x\x00slot=%s\x00tries=%d\x00", s.Failed, s.Good, s.Seq, s.Slot, s.Tries)
	copy(data[4:], text)
	binary.LittleEndian.PutUint32(data, crc32.ChecksumIEEE(data[4:]))
	return data
}

func parseState(data []byte) (s State, err error) {
	if len(data) != 512 || crc32.ChecksumIEEE(data[4:]) != binary.LittleEndian.Uint32(data) {
		return s, errState
	}
	values := map[string]string{}
	text, _, _ := strings.Cut(string(data[4:]), "\x00\x00")
	for _, entry := range strings.Split(text, "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		values[key] = value
	}
	seq, err := strconv.ParseUint(values["seq"], 16, 32)
	if err != nil {
		return s, errState
	}
	tries, err := strconv.Atoi(values["tries"])
	if err != nil {
		return s, errState
	}
	return State{Seq: uint32(seq), Slot: values["slot"], Good: values["good"], Tries: tries, Failed: values["failed"]}, nil
}
