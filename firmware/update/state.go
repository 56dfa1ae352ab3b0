package update

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Slot is one of the card's two places for the box's software.
type Slot byte

// The slots.
const (
	A Slot = 'a'
	B Slot = 'b'
)

// String is the slot's letter; that of no slot is 0.
func (s Slot) String() string {
	if !s.valid() {
		return "0"
	}
	return string(rune(s))
}

func (s Slot) valid() bool { return s == A || s == B }

// Other is the other slot.
func (s Slot) Other() Slot {
	if s == A {
		return B
	}
	return A
}

// MarshalText is the slot's letter.
func (s Slot) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads it.
func (s *Slot) UnmarshalText(text []byte) error {
	*s = letter(string(text))
	return nil
}

// State says which slot boots (board/README.md, "Boot state").
type State struct {
	Seq    uint32
	Slot   Slot // to boot
	Good   Slot // confirmed last
	Tries  int  // of Slot, as long as it is not Good
	Failed Slot // whose tries were used up; 0: none
}

// factory is what counts when neither file does.
var factory = State{Slot: A, Good: A}

const (
	stateSize = 512
	maxTries  = 2
)

// encode is the state as a file, in U-Boot's format of an environment.
func (s State) encode() []byte {
	b := make([]byte, stateSize)
	copy(b[4:], fmt.Sprintf("failed=%s\x00good=%s\x00seq=%x\x00slot=%s\x00tries=%d\x00", s.Failed, s.Good, s.Seq, s.Slot, s.Tries))
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b
}

// decode reads a file; false when it does not count.
func decode(b []byte) (s State, ok bool) {
	if len(b) != stateSize || binary.LittleEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return State{}, false
	}
	values := make(map[string]string)
	for text := range strings.SplitSeq(string(b[4:]), "\x00") {
		if text == "" {
			break
		}
		if key, value, ok := strings.Cut(text, "="); ok {
			values[key] = value
		}
	}
	seq, err := strconv.ParseUint(values["seq"], 16, 32)
	if err != nil || seq == 0 || values["seq"] != strconv.FormatUint(seq, 16) {
		return State{}, false
	}
	s = State{Seq: uint32(seq), Slot: letter(values["slot"]), Good: letter(values["good"]), Failed: letter(values["failed"])}
	if !s.Slot.valid() || !s.Good.valid() || !s.Failed.valid() && values["failed"] != "0" {
		return State{}, false
	}
	s.Tries = strings.Index("012", values["tries"])
	return s, s.Tries >= 0 && len(values["tries"]) == 1
}

// letter is the slot of a letter; 0 for anything else.
func letter(text string) Slot {
	if text == "a" || text == "b" {
		return Slot(text[0])
	}
	return 0
}

// readState finds the file that counts; at is its number.
func (c *Card) readState() (s State, at int) {
	s, at = factory, 1
	for n := range 2 {
		b, err := c.readAll(c.statePath(n), stateSize)
		if err != nil {
			continue
		}
		if found, ok := decode(b); ok && found.Seq > s.Seq {
			s, at = found, n
		}
	}
	return s, at
}

// writeState writes the file that does not count, whole and in place; when it returns nil the state is on the card.
func (c *Card) writeState(s State) error {
	now, at := c.readState()
	if now.Seq == 1<<32-1 {
		return fmt.Errorf("boot state: no number is left; flash the card anew")
	}
	s.Seq = now.Seq + 1
	if err := c.writeThrough(c.statePath(1-at), s.encode()); err != nil {
		return fmt.Errorf("boot state: %w", err)
	}
	if got, _ := c.readState(); got != s {
		return fmt.Errorf("boot state: the card does not keep what is written")
	}
	return nil
}

// switchedMark notes in RAM that this boot has written which slot the next one starts.
const switchedMark = "switched"

// switchTo writes a state whose slot the next start is to boot.
func (c *Card) switchTo(s State) error {
	if err := c.mark(switchedMark); err != nil {
		return fmt.Errorf("note the switch: %w", err)
	}
	return c.writeState(s)
}

// switched reports whether a new start boots another slot because this boot has said so. Without that note the boot script was told
// the same before, and could not: the slot is damaged, or the card refuses its count of tries. Starting again ends nowhere else.
func (c *Card) switched(s State) bool {
	_, err := os.Stat(filepath.Join(c.Marks, switchedMark))
	return err == nil && s.Slot != c.Running
}

func (c *Card) statePath(n int) string { return fmt.Sprintf("%s/state/%d", c.Boot, n) }
