// Bench-media puts the same calls through Holdfast's relay and through rtpengine's user-space relay and compares what a packet costs.
//
// It is three programs in one: the conductor (no argument), the relay process (relay) and the phones of all calls (load). The conductor
// starts the two others, and rtpengine, for every measurement anew, and reads their CPU time and memory from /proc.
// Root is needed, as for rtpengine itself: its threads, and Holdfast's, run with a priority above ordinary programs'.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: bench-media [flags], or bench-media soak [flags]

Compares Holdfast's media relay with rtpengine (user space) on this machine.

  --calls 50,200,500      how many calls at once
  --modes plain,reencrypt,shared
                          plain RTP; SRTP with another suite on each leg; SRTP with the peers' keys on both legs
  --peers holdfast,rtpengine
  --rounds 3              alternating rounds; figures are medians
  --seconds 8             of measurement each, after two seconds of warming up
  --threads 0             worker threads of either; 0: each one's default
  --profile FILE          CPU profile of the last Holdfast run
  --json                  everything on standard output as JSON
`

func main() {
	if len(os.Args) > 1 {
		var err error
		switch os.Args[1] {
		case "relay":
			err = serveRelay(os.Stdin, os.Stdout)
		case "soak":
			os.Exit(soak(os.Args[2:]))
		case "load":
			err = serveLoad(os.Stdin, os.Stdout)
		default:
			os.Exit(conduct(os.Args[1:]))
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench-media %s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	os.Exit(conduct(nil))
}

// plan is what is measured.
type plan struct {
	calls        []int
	modes, peers []string
	rounds       int
	seconds      int
	threads      int
	profile      string
}

func conduct(args []string) int {
	fs := flag.NewFlagSet("bench-media", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage) }
	calls := fs.String("calls", "50,200,500", "")
	modes := fs.String("modes", "plain,reencrypt,shared", "")
	peers := fs.String("peers", "holdfast,rtpengine", "")
	var p plan
	fs.IntVar(&p.rounds, "rounds", 3, "")
	fs.IntVar(&p.seconds, "seconds", 8, "")
	fs.IntVar(&p.threads, "threads", 0, "")
	fs.StringVar(&p.profile, "profile", "", "")
	asJSON := fs.Bool("json", false, "")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if err := p.parse(*calls, *modes, *peers, fs.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "bench-media: %v\n\n%s", err, usage)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A kernel with autogroups compares priorities within a session only: lift this one above the machine's others. Both relays have it.
	_ = os.WriteFile("/proc/self/autogroup", []byte("-20"), 0)
	r, err := p.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-media:", err)
		return 1
	}
	if *asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		if err := out.Encode(r); err != nil {
			fmt.Fprintln(os.Stderr, "bench-media:", err)
			return 1
		}
	} else {
		r.print(os.Stdout)
	}
	fmt.Println(r.Verdict)
	return 0
}

func (p *plan) parse(calls, modes, peers string, rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q is not expected here", rest[0])
	}
	if p.rounds < 1 || p.seconds < 1 || p.threads < 0 {
		return errors.New("rounds and seconds are at least 1, threads at least 0")
	}
	for _, s := range strings.Split(calls, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 2000 {
			return fmt.Errorf("%q is not a number of calls from 1 to 2000", s)
		}
		p.calls = append(p.calls, n)
	}
	var err error
	if p.modes, err = choose("mode", modes, "plain", "reencrypt", "shared"); err != nil {
		return err
	}
	p.peers, err = choose("peer", peers, "holdfast", "rtpengine")
	return err
}

func choose(what, list string, known ...string) ([]string, error) {
	chosen := strings.Split(list, ",")
	for _, c := range chosen {
		if !strings.Contains(","+strings.Join(known, ",")+",", ","+c+",") || c == "" {
			return nil, fmt.Errorf("there is no %s %q, only %s", what, c, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// run makes all measurements. The peers alternate within a round, so that whatever else the machine does meets both.
func (p *plan) run(ctx context.Context) (*report, error) {
	r := &report{Machine: machine(), Seconds: p.seconds, Rounds: p.rounds, Started: time.Now()}
	for round := range p.rounds {
		for _, mode := range p.modes {
			for _, calls := range p.calls {
				for i := range p.peers {
					peer := p.peers[(i+round)%len(p.peers)] // nobody is always first
					c, err := measure(ctx, p, peer, mode, calls)
					if err != nil {
						return nil, fmt.Errorf("round %d, %s, %s, %d calls: %w", round+1, peer, mode, calls, err)
					}
					c.Round = round + 1
					r.Cells = append(r.Cells, c)
					fmt.Fprintf(os.Stderr, "round %d  %s\n", round+1, c)
				}
			}
		}
	}
	r.sum(p)
	return r, nil
}
