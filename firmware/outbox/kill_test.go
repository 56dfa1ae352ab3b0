package outbox

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// TestKilled kills a real process in full flight.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("OUTBOX_VICTIM"); dir != "" {
		b, err := Open(dir, Options{SegmentBytes: 20000})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		go b.Run(context.Background())
		var out sync.Mutex
		for g := range 8 {
			go func() {
				for n := 0; ; n++ {
					id, err := b.Append(context.Background(), "call", fmt.Append(nil, g, " ", n))
					if err == nil && n%3 == 0 {
						err = b.Done(context.Background(), id)
					}
					if err != nil {
						fmt.Println("error", err)
						os.Exit(1)
					}
					out.Lock()
					fmt.Println(id.Seq, n%3 == 0)
					out.Unlock()
				}
			}()
		}
		select {}
	}
	dir := t.TempDir()
	kept, finished := map[uint64]bool{}, map[uint64]bool{}
	for range 3 {
		victim := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		victim.Env = append(os.Environ(), "OUTBOX_VICTIM="+dir)
		pipe, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		count, enough := 0, 200+rand.IntN(800)
		for lines := bufio.NewScanner(pipe); lines.Scan(); count++ {
			var seq uint64
			var done bool
			if _, err := fmt.Sscan(lines.Text(), &seq, &done); err != nil {
				t.Fatal(lines.Text())
			}
			if kept[seq] || finished[seq] {
				t.Fatalf("number %d was given twice", seq)
			}
			if done {
				finished[seq] = true
			} else {
				kept[seq] = true
			}
			if count == enough {
				victim.Process.Kill()
			}
		}
		victim.Wait()
		b, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[uint64]bool{}
		for id := range pending(t, b, "call") {
			got[id.Seq] = true
			if finished[id.Seq] {
				t.Errorf("%d was done and comes again", id.Seq)
			}
		}
		for seq := range kept {
			if !got[seq] {
				t.Errorf("%d was acknowledged and is lost", seq)
			}
		}
		for _, g := range b.segments {
			g.file.Close()
		}
	}
	t.Logf("%d kept, %d done", len(kept), len(finished))
}
