package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"holdfast/firmware/record"
)

// event is a line of an incident's journal. One of its fields says what happened.
type event struct {
	At      time.Time      `json:"at"`
	Change  *record.Change `json:"change,omitempty"`
	Scene   *Scene         `json:"scene,omitempty"` // with a change
	Phone   *arrival       `json:"phone,omitempty"`
	Call    *record.Call   `json:"call,omitempty"`
	Restart bool           `json:"restart,omitempty"` // the program began anew
	Close   bool           `json:"close,omitempty"`   // it turned out that the incident had ended with the restart
}

// arrival is a user's phone that registered.
type arrival struct {
	User   string `json:"user"`
	Phones int    `json:"phones"`
}

// Scene is how the box stood at a change of mode.
type Scene struct {
	Serial  uint64    `json:"serial"`
	Source  string    `json:"source"`
	Fetched time.Time `json:"fetched,omitzero"`
	Trunks  []Trunk   `json:"trunks"`            // Began is whether it is up now
	Here    []string  `json:"here,omitempty"`    // users with a phone here
	Running []string  `json:"running,omitempty"` // calls
}

// Bounds of one incident; what is beyond is counted.
const (
	mostEvents  = 100_000
	mostBytes   = 24 << 20
	longestLine = 4 << 20 // the scene of a big branch
)

// readJournal reads what is whole of a journal; a line that a power cut has torn ends it.
func readJournal(path string) ([]event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	var out []event
	lines := bufio.NewScanner(io.LimitReader(f, 2*mostBytes))
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var e event
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if json.Unmarshal(lines.Bytes(), &e) == nil && len(out) < mostEvents {
			out = append(out, e)
		}
	}
	if err := lines.Err(); err != nil {
		return out, fmt.Errorf("journal: %w", err)
	}
	return out, nil
}
