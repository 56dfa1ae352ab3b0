package demo

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"holdfast/firmware/lab/script"
)

// kept checks the box's records against what the phones and the SBC saw: one record for each call that was made,
// with the status that its caller got, packets on each leg of an answered one, and the changes of mode in order.
func (s *story) kept(ctx context.Context, n *script.Notes) error {
	var want []int
	var keys [][]byte
	for _, p := range s.People {
		for _, c := range p.Phone.Calls() {
			keys = append(keys, c.Media().Keys()...)
			if c.Outgoing() {
				want = append(want, c.Status())
			}
		}
	}
	for _, c := range s.SBC.Calls() {
		if c.Outgoing() {
			want = append(want, c.Status())
		}
	}
	slices.Sort(want)
	if err := poll(ctx, func() error { return s.callRecords(want, keys) }); err != nil {
		return err
	}
	n.Measure("calls recorded", float64(len(want)), "")
	return poll(ctx, func() error {
		var modes []string
		err := s.record("mode", func(line []byte) error {
			var r struct{ To, Cause string }
			if err := json.Unmarshal(line, &r); err != nil {
				return err
			}
			if r.Cause == "" {
				return fmt.Errorf("a change of mode without a cause: %s", line)
			}
			modes = append(modes, r.To)
			return nil
		})
		if all := strings.Join(modes, ", "); err == nil && all != "resilience, recovering, normal" {
			err = fmt.Errorf("modes recorded: %s", all)
		}
		return err
	})
}

func (s *story) callRecords(want []int, keys [][]byte) error {
	var got []int
	err := s.record("call", func(line []byte) error {
		var r struct {
			ID       string
			Status   int
			EndCause string `json:"end_cause"`
			Legs     []struct {
				Codec, Suite string
				RxPackets    int `json:"rx_packets"`
			}
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		got = append(got, r.Status)
		if r.EndCause == "" {
			return fmt.Errorf("call %s without a cause of its end", r.ID)
		}
		answered := 0
		for _, l := range r.Legs {
			if l.RxPackets > 0 && l.Codec != "" && l.Suite != "" {
				answered++
			}
		}
		if r.Status == 200 && answered < 2 {
			return fmt.Errorf("call %s was answered, but %d of its legs have codec, suite and packets", r.ID, answered)
		}
		for _, k := range keys {
			if strings.Contains(string(line), base64.StdEncoding.EncodeToString(k)) {
				return fmt.Errorf("call %s is recorded with a key", r.ID)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d calls recorded with status %v, but callers made %d with %v", len(got), got, len(want), want)
	}
	return nil
}

// record reads the lines of one kind of record.
func (s *story) record(kind string, each func(line []byte) error) error {
	f, err := os.Open(filepath.Join(s.Dir, "data", "records", kind+".jsonl"))
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if err := each(lines.Bytes()); err != nil {
			return fmt.Errorf("records: %w", err)
		}
	}
	return lines.Err()
}
