package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"

	"holdfast/firmware/lab/script"
)

// traced asks the box for the signalling of every call on record: each begins with an INVITE that reached the box, and no
// key and no password of a phone is in it.
func (s *story) traced(ctx context.Context, n *script.Notes) error {
	var secrets [][]byte
	for _, p := range s.People {
		for _, c := range p.Phone.Calls() {
			for _, k := range c.Media().Keys() {
				secrets = append(secrets, []byte(base64.StdEncoding.EncodeToString(k)))
			}
		}
		secrets = append(secrets, []byte(p.Password))
	}
	calls, messages := 0, 0
	err := s.record("call", func(line []byte) error {
		var r struct{ ID string }
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		args := []string{"trace", r.ID, "--json", "--socket", filepath.Join(s.Box.RunDir, "holdfast.sock")}
		out, err := exec.CommandContext(ctx, s.Box.Binary, args...).Output()
		if err != nil {
			return fmt.Errorf("holdfast trace %s: %w", r.ID, err)
		}
		var l struct {
			Arrows []struct {
				To     int
				Method string
				Status int
			}
			Participants []struct{ Side string }
		}
		if err := json.Unmarshal(out, &l); err != nil {
			return fmt.Errorf("holdfast trace %s: %w", r.ID, err)
		}
		if len(l.Arrows) < 2 || l.Arrows[0].Method != "INVITE" || l.Arrows[0].Status != 0 || l.Participants[l.Arrows[0].To].Side != "box" {
			return fmt.Errorf("the ladder of call %s does not begin with an INVITE: %.300s", r.ID, out)
		}
		for _, secret := range secrets {
			if bytes.Contains(out, secret) {
				return fmt.Errorf("the ladder of call %s shows a secret", r.ID)
			}
		}
		calls, messages = calls+1, messages+len(l.Arrows)
		return nil
	})
	if err == nil && calls == 0 {
		err = fmt.Errorf("no call is on record")
	}
	n.Saw("%d ladders with %d messages, none with a secret", calls, messages)
	return err
}
