package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/lab/board"
	"holdfast/firmware/lab/script"
)

// runQEMUTest runs the story of the real image on an emulated board: several lanes of it beside each other, each a process of its own
// in a network namespace of its own.
func runQEMUTest(ctx context.Context, args []string) int {
	fs := flag.NewFlagSet("qemu-test", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage) }
	o := board.Options{Seed: rand.Uint64()}
	only := fs.String("only", "", "")
	fs.StringVar(&o.Image, "image", "dist/image/qemu-virt", "")
	fs.IntVar(&o.Cuts, "cuts", 3, "")
	fs.Uint64Var(&o.Seed, "seed", o.Seed, "")
	fs.StringVar(&o.Dir, "dir", "", "")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 || o.Cuts < 0 {
		return exitUsage
	}
	if os.Getenv(inside) != "" {
		o.Parts = strings.Split(*only, ",")
		return runLane(ctx, o)
	}
	if _, err := os.Stat(filepath.Join(o.Image, "card.img")); err != nil {
		fmt.Fprintf(os.Stderr, "holdfast-lab: no card to start from: %v\nbuild it with: make image BOARD=qemu-virt   (or name its folder with --image)\n", err)
		return exitUsage
	}
	lanes := board.Lanes()
	if *only != "" {
		lanes = [][]string{strings.Split(*only, ",")}
	}
	temporary := o.Dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "holdfast-board-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
			return exitUsage
		}
		o.Dir = dir
	}
	fmt.Printf("The card of %s in QEMU's virt machine, with software emulation; -seed %d\n\n", o.Image, o.Seed)
	verdicts, first, err := runLanes(ctx, lanes, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
	}
	failed, skipped := script.Failed(verdicts)
	bad := len(failed) + skipped
	if temporary && bad == 0 && err == nil {
		os.RemoveAll(o.Dir)
	} else {
		fmt.Printf("Console, card and files: %s\n", o.Dir)
	}
	last := fmt.Sprintf("qemu-test: %d passed, %d failed", len(verdicts)-bad, bad)
	if first > 0 {
		last += fmt.Sprintf("; first REGISTER after %.1f s", first.Seconds())
	}
	fmt.Println(last)
	if bad > 0 || err != nil {
		return exitFailed
	}
	return 0
}

// runLanes starts the lanes, the first alone until its first step is done, and shows how they go.
func runLanes(ctx context.Context, lanes [][]string, o board.Options) (all []script.Verdict, first time.Duration, err error) {
	screen := script.NewScreen(os.Stdout, isTerminal(os.Stdout))
	var (
		wait     sync.WaitGroup
		mu       sync.Mutex
		verdicts = make([][]script.Verdict, len(lanes))
		quiet    = make(chan struct{})
		begun    sync.Once
	)
	for i, parts := range lanes {
		wait.Go(func() {
			if i == 0 {
				defer begun.Do(func() { close(quiet) })
			} else {
				<-quiet
			}
			dir := filepath.Join(o.Dir, strings.Join(parts, "-"))
			args := []string{"qemu-test", "--image", o.Image, "--cuts", strconv.Itoa(o.Cuts), "--seed", strconv.FormatUint(o.Seed, 10),
				"--dir", dir, "--only", strings.Join(parts, ",")}
			failed := laneProcess(ctx, args, func(n news) {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case n.Begins != "":
					screen.Line("…     ", "%s", n.Begins)
				case n.Verdict != nil:
					verdicts[i] = append(verdicts[i], *n.Verdict)
					screen.End(0, 0, *n.Verdict)
					if i == 0 {
						begun.Do(func() { close(quiet) })
					}
				case n.First > 0:
					first = n.First
				}
			})
			mu.Lock()
			defer mu.Unlock()
			if failed != nil && err == nil {
				err = fmt.Errorf("%s: %w", strings.Join(parts, ", "), failed)
			}
		})
	}
	wait.Wait()
	for _, v := range verdicts {
		all = append(all, v...)
	}
	screen.Table(all)
	return all, first, err
}
