package report

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/mode"
	"holdfast/firmware/outbox"
	"holdfast/firmware/record"
)

// dirVariable makes the test binary the program that is killed.
const dirVariable = "HOLDFAST_REPORT_KILL_DIR"

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

// life is a box with reports only; it ends when ctx does.
func life(ctx context.Context, t testing.TB, dir string, settle time.Duration) (*Collector, *outbox.Box, *sync.WaitGroup, error) {
	box, err := outbox.Open(filepath.Join(dir, "outbox"), outbox.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	o := options(t, filepath.Join(dir, "reports"), box)
	o.Settle = settle
	c, err := New(o)
	if err != nil {
		return nil, nil, nil, err
	}
	var all sync.WaitGroup
	all.Go(func() { box.Run(ctx) })
	all.Go(func() { c.Run(ctx) })
	return c, box, &all, nil
}

// victim has incident after incident, says when each begins and when its report is safe, and waits to be killed.
func victim(dir string) error {
	c, _, _, err := life(context.Background(), new(testing.T), dir, time.Millisecond)
	if err != nil {
		return err
	}
	c.Begin(mode.Normal, time.Now())
	for {
		c.Change(moved(time.Now(), mode.Normal, mode.Resilience))
		id := c.Status().Open // of the one that the last kill cut off, where there is one: the outage goes on
		fmt.Println("began", id)
		for k := range 5 {
			c.Phone(fmt.Sprint("u", 1001+k), 1, time.Now())
			c.Call(record.Call{ID: fmt.Sprint("c", k), Kind: "reject", Status: 404, Start: time.Now(), End: time.Now()})
			time.Sleep(time.Millisecond)
		}
		c.Change(moved(time.Now(), mode.Resilience, mode.Normal))
		for c.Status().Due > 0 {
			time.Sleep(100 * time.Microsecond)
		}
		fmt.Println("safe", id)
	}
}

// TestKill kills the program at many moments. What was said to be safe is delivered under its one key, nothing is
// delivered under two, and what the journal had of an incident that was cut off becomes its report.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	began, safe := make(map[string]bool), make(map[string]bool)
	for round := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), dirVariable+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for seen := 0; lines.Scan(); {
			var what, id string
			if _, err := fmt.Sscan(lines.Text(), &what, &id); err != nil {
				t.Fatal(err)
			}
			if what == "safe" {
				safe[id] = true
			} else {
				began[id] = true
			}
			if seen++; seen == 2+round%2 { // in the middle of an incident, or just after a report: a different moment each time
				go func() {
					time.Sleep(time.Duration(round) * 700 * time.Microsecond)
					cmd.Process.Kill()
				}()
			}
		}
		cmd.Wait()
	}
	if len(began) < 6 || len(safe) < 6 {
		t.Fatalf("only %d incidents, %d reports", len(began), len(safe))
	}

	ctx, cancel := context.WithCancel(t.Context())
	c, box, all, err := life(ctx, t, dir, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	c.Begin(mode.Normal, time.Now())
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if s := c.Status(); s.Open == "" && s.Due == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", c.Status())
		}
	}
	delivered := make(map[string]int)
	deliver, stop := context.WithCancel(ctx)
	go func() {
		for box.Stats().Pending > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		stop()
	}()
	if err := box.Deliver(deliver, Kind, func(_ context.Context, e outbox.Entry) error {
		var d Delivery
		if err := json.Unmarshal(e.Payload, &d); err != nil {
			return err
		}
		if d.Key != d.Report.Key() {
			t.Errorf("%s under the key %s", d.Report.ID, d.Key)
		}
		delivered[d.Key]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for id := range safe {
		r, err := c.Get(id)
		if err != nil || r.Phones.Came != 5 || r.Calls.Total != 5 {
			t.Errorf("%s: %+v %v", id, r, err)
		}
		if delivered["report-b-"+id] == 0 {
			t.Errorf("%s was safe and is not delivered", id)
		}
	}
	list, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if !began[s.ID] || delivered["report-b-"+s.ID] == 0 {
			t.Errorf("report %s: began %v, delivered %d times", s.ID, began[s.ID], delivered["report-b-"+s.ID])
		}
	}
	if len(delivered) != len(list) {
		t.Errorf("%d reports on the card, %d keys delivered", len(list), len(delivered))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "reports", "*"+journalSuffix)); len(left) > 0 {
		t.Errorf("journals are left: %v", left)
	}
	t.Logf("%d incidents began, %d reports, %d of them safe before a kill", len(began), len(list), len(safe))
	cancel()
	all.Wait()
}
