package emergency

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// line is one step as it is written down, in RAM and on the card; the first of a call has the facts.
type line struct {
	Call  string `json:"call"`
	Facts *Facts `json:"facts,omitempty"`
	Step
}

func newLine(f Facts, s Step) line {
	l := line{Call: f.ID, Step: s}
	if s.Kind == Recognised {
		l.Facts = &f
	}
	return l
}

// Line is a step as the card keeps it.
func Line(e Emergency, s Step) ([]byte, error) {
	text, err := json.Marshal(newLine(e.Facts, s))
	if err != nil {
		return nil, fmt.Errorf("emergency: %w", err)
	}
	return text, nil
}

// maxFile bounds what is read of one file, in bytes.
const maxFile = 16 << 20

// Read puts together the records that stand in the card's files, the oldest first. What a power cut has torn is left out.
func Read(dir, kind string) ([]Emergency, error) {
	files, err := filepath.Glob(filepath.Join(dir, kind+"*.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("emergency records: %w", err)
	}
	var all []line
	var faults []error
	for _, path := range files {
		lines, err := readFile(path)
		all = append(all, lines...)
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return assemble(all), fmt.Errorf("emergency records: %w", err)
	}
	return assemble(all), nil
}

func readFile(path string) (lines []line, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	scan := bufio.NewScanner(io.LimitReader(f, maxFile))
	scan.Buffer(nil, 64<<10)
	for scan.Scan() {
		var l line
		if json.Unmarshal(scan.Bytes(), &l) == nil {
			lines = append(lines, l)
		}
	}
	return lines, scan.Err()
}

// assemble makes records of lines in any order; a step that comes twice counts once.
func assemble(all []line) []Emergency {
	byCall := make(map[string][]line)
	for _, l := range all {
		if l.Call != "" && l.Seq > 0 {
			byCall[l.Call] = append(byCall[l.Call], l)
		}
	}
	out := make([]Emergency, 0, len(byCall))
	for id, lines := range byCall {
		slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.Seq, b.Seq) })
		lines = slices.CompactFunc(lines, func(a, b line) bool { return a.Seq == b.Seq })
		f := Facts{ID: id, At: lines[0].At}
		var steps []Step
		for _, l := range lines {
			if l.Facts != nil {
				f = *l.Facts
				f.ID = id
			}
			steps = append(steps, l.Step)
		}
		out = append(out, fold(f, steps))
	}
	slices.SortFunc(out, func(a, b Emergency) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Merge is the records of two sources by call: the longer one of each.
func Merge(a, b []Emergency) []Emergency {
	byID := make(map[string]Emergency, len(a)+len(b))
	for _, e := range append(slices.Clone(a), b...) {
		if old, ok := byID[e.ID]; !ok || len(e.Steps) > len(old.Steps) {
			byID[e.ID] = e
		}
	}
	out := make([]Emergency, 0, len(byID))
	for _, e := range byID {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Emergency) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return out
}
