package emergency

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"holdfast/firmware/outbox"
	"holdfast/firmware/snapshot"
)

// dirVariable makes the test binary the program that is killed.
const dirVariable = "HOLDFAST_KILL_TEST_DIR"

// story is an emergency call from its beginning to its end, as the box notes it.
var story = []struct {
	point string
	take  func(*Journal) error
}{
	{"recognised", func(j *Journal) error { return j.Begin(room204("c1")) }},
	{"before the first INVITE", add(Step{Kind: Invite, Trunk: "sbc-a", ELIN: "+12175559000"})},
	{"trunk failed", add(Step{Kind: TrunkFailed, Trunk: "sbc-a", Status: 503})},
	{"before the second INVITE", add(Step{Kind: Invite, Trunk: "sbc-b", ELIN: "+12175559100"})},
	{"notice rings", add(Step{Kind: NoticeRung, Who: "reception"})},
	{"answered", add(Step{Kind: Answered, Trunk: "sbc-b", Status: 200})},
	{"notice seen", add(Step{Kind: NoticeSeen, Who: "reception"})},
	{"acknowledged", func(j *Journal) error { return j.Acknowledge("c1", "reception", ByKey) }},
	{"ended", add(Step{Kind: Ended, Text: "hangup"})},
	{"called back", add(Step{Kind: Callback, Trunk: "sbc-b", ELIN: "+12175559100"})},
}

func add(s Step) func(*Journal) error { return func(j *Journal) error { return j.Add("c1", s) } }

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim takes one step for each line that it reads, and says when the step is taken. It writes to a card at the same
// time, as the box does.
func victim(dir string) error {
	j, box, err := life(dir)
	if err != nil {
		return err
	}
	go box.Run(context.Background())
	go j.Follow(context.Background(), "card", toCard(box))
	in := bufio.NewScanner(os.Stdin)
	for _, s := range story {
		if !in.Scan() {
			return in.Err()
		}
		if err := s.take(j); err != nil {
			return err
		}
		fmt.Println(s.point)
	}
	for in.Scan() { // until it is killed
	}
	return in.Err()
}

func life(dir string) (*Journal, *outbox.Box, error) {
	box, err := outbox.Open(filepath.Join(dir, "outbox"), outbox.Options{})
	if err != nil {
		return nil, nil, err
	}
	f, _, err := snapshot.Open(filepath.Join(dir, "snapshot"))
	if err != nil {
		return nil, nil, err
	}
	j, err := New(Options{Snapshot: f, Followers: []string{"card"}})
	return j, box, err
}

func toCard(box *outbox.Box) func(context.Context, Emergency, Step) error {
	return func(ctx context.Context, e Emergency, s Step) error {
		text, err := Line(e, s)
		if err == nil {
			_, err = box.Append(ctx, "emergency", text)
		}
		return err
	}
}

// TestKilled: whatever the step after which the program is killed, the next life knows all of them, goes on from there,
// and the card gets every step.
func TestKilled(t *testing.T) {
	for taken := range len(story) + 1 {
		name := "nothing yet"
		if taken > 0 {
			name = story[taken-1].point
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			kill(t, dir, taken)

			j, box, err := life(dir)
			must(t, err)
			e, known := j.Get("c1")
			if known != (taken > 0) || len(e.Steps) != taken {
				t.Fatalf("%d of %d steps are known: %+v", len(e.Steps), taken, e.Steps)
			}
			if taken == 0 {
				return
			}
			reached := func(point string) bool {
				for _, s := range story[:taken] {
					if s.point == point {
						return true
					}
				}
				return false
			}
			elin := ""
			if reached("before the first INVITE") {
				elin = "+12175559000"
			}
			if reached("before the second INVITE") {
				elin = "+12175559100"
			}
			if open := len(j.Open()) == 1; open == reached("ended") || e.Answered.IsZero() == reached("answered") || e.ELIN != elin ||
				(len(j.Unnoticed()) == 0) != reached("acknowledged") || e.Caller.Device != "room-204" {
				t.Errorf("after the restart: %+v", e)
			}
			for _, s := range story[taken:] { // the call goes on
				must(t, s.take(j))
			}
			onCard(t, j, box)
		})
	}
}

// onCard lets the card catch up and requires every step of the story there.
func onCard(t *testing.T, j *Journal, box *outbox.Box) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan struct{}, 2)
	go func() { box.Run(ctx); ended <- struct{}{} }()
	go func() { j.Follow(ctx, "card", toCard(box)); ended <- struct{}{} }()
	seen := make(map[int]bool)
	for after := uint64(0); len(seen) < len(story); {
		entry, err := box.Next(ctx, "emergency", after)
		must(t, err)
		after = entry.ID.Seq
		var l line
		must(t, json.Unmarshal(entry.Payload, &l))
		seen[l.Seq] = true
	}
	cancel()
	<-ended
	<-ended
}

// kill runs the victim until it has taken so many steps, and kills it.
func kill(t *testing.T, dir string, steps int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirVariable+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said := bufio.NewScanner(out)
	for n := range steps {
		fmt.Fprintln(in)
		if !said.Scan() || said.Text() != story[n].point {
			t.Errorf("the victim said %q, want %q", said.Text(), story[n].point)
		}
	}
	must(t, cmd.Process.Kill())
	cmd.Wait() // it was killed: that is its error
}
