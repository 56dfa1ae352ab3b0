package box

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/firmware/lab/raw"
	"holdfast/sip/b2bua"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// The worst hour: as many people call for help at once as the trunk nearly has channels, and nothing is free.
const (
	crowdOrdinary = 60 // calls that hold the whole trunk
	crowdHelp     = 50 // emergency calls at once
	crowdStorm    = 24 // phones that register again and again all the while
	crowdReserve  = 4  // port pairs for emergency calls: far fewer than they need
	crowdPatience = 60 * time.Second
)

// crowdSBC is an SBC with exactly as many channels, of its own counting.
type crowdSBC struct {
	t     *testing.T
	line  *end // the number outside
	psap  *end
	inbox chan event

	mu       sync.Mutex
	channels map[string]bool // by Call-ID
	most     int
	full     int // how often it had none
	help     map[string]time.Time
	hungUp   int // emergency calls that the box ended
}

func (s *crowdSBC) run(ctx context.Context) {
	for {
		select {
		case ev := <-s.inbox:
			if ev.m != nil {
				s.take(ev)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *crowdSBC) take(ev event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := ev.m.Get("Call-ID")
	switch ev.m.Method() {
	case "BYE", "CANCEL":
		if delete(s.channels, id); !s.help[id].IsZero() {
			s.hungUp++
		}
	case "INVITE":
		ev.at.settle(id)
		if len(s.channels) == crowdOrdinary {
			s.full++
			ev.from.Write(ev.m.Reply(503, "No Channel", raw.Word(), nil))
			return
		}
		s.channels[id] = true
		s.most = max(s.most, len(s.channels))
		if ev.at == s.psap {
			s.help[id] = time.Now()
		}
		ev.from.Write(ev.m.Reply(200, "OK", raw.Word(), answerSDP(ev.at, ev.m.Body, "sendrecv"), fmt.Sprintf("Contact: <sip:%s@%s;transport=tls>", ev.at.user, ev.from.Local())))
	}
}

func (s *crowdSBC) count() (channels, help, hungUp int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.channels), len(s.help), s.hungUp
}

// TestHelpInACrowd: 50 emergency calls at once over a trunk whose 60 channels are all taken by ordinary calls, while phones
// storm the registrar, with every media port taken, no descriptor left in the whole process, every place for a call taken and
// every place for a connection: each of them gets through, none is ended for another, and the figures are printed.
func TestHelpInACrowd(t *testing.T) {
	phones := crowdOrdinary + crowdHelp + crowdStorm
	r := newRig(t, rigOptions{net: loopback{}, users: phones, pairs: 2*crowdOrdinary + crowdReserve, spare: crowdReserve, calls: crowdOrdinary, patience: crowdPatience / 3, // a loaded machine is no reason to fail
		limits: stack.Limits{Connections: phones, AcceptRate: 1 << 16, PerSource: 1 << 16},
		change: func(d *site.Document) {
			d.Trunks[0].MaxCalls = crowdOrdinary
			d.Emergency.ELINs = []site.ELIN{{Trunk: "sbc", Number: "+12175550911"}, {Trunk: "sbc", Number: "+12175550912"}}
			d.Emergency.Security = []string{"+13125550199"}
		}})
	sbc := &crowdSBC{t: t, inbox: make(chan event, 10000), channels: map[string]bool{}, help: map[string]time.Time{}}
	sbc.line, sbc.psap = r.sbc.line("+12176660000", sbc.inbox), r.sbc.line("911", sbc.inbox)
	ctx, cancel := context.WithTimeout(t.Context(), crowdPatience)
	defer cancel()
	stop := r.run()
	stopped := sync.OnceFunc(stop)
	defer stopped()
	var base sync.WaitGroup
	defer base.Wait()
	defer cancel()
	base.Go(func() { sbc.run(ctx) })
	eventually(t, "the trunk is there", func() bool { return r.sbc.current() != nil })

	all := make([]*end, phones)
	var registering sync.WaitGroup
	few := make(chan struct{}, 8) // handshakes at a time: the box gives each only some seconds
	for i := range all {
		all[i] = r.newEnd(extension(i), netip.AddrFrom4([4]byte{127, 0, 96, byte(1 + i)}), make(chan event, 1000))
		registering.Go(func() {
			few <- struct{}{}
			defer func() { <-few }()
			if err := all[i].register(ctx); err != nil {
				t.Errorf("%s: %v", all[i].user, err)
			}
		})
	}
	if registering.Wait(); t.Failed() {
		return
	}
	ordinary, helpers, storm := all[:crowdOrdinary], all[crowdOrdinary:crowdOrdinary+crowdHelp], all[crowdOrdinary+crowdHelp:]
	for _, e := range ordinary {
		if status := e.talk(ctx, "912176660000"); status != 200 {
			t.Fatalf("an ordinary call: %d", status)
		}
	}
	if n, _, _ := sbc.count(); n != crowdOrdinary {
		t.Fatalf("%d channels are taken", n)
	}
	e := all[phones-1]
	if status := e.talk(ctx, "912176660000"); status < 400 {
		t.Fatalf("one call more: %d", status)
	}

	registers := make(chan int, crowdStorm)
	storming, calm := context.WithCancel(ctx)
	defer calm()
	for _, e := range storm {
		base.Go(func() {
			n := 0
			for storming.Err() == nil && e.register(storming) == nil {
				n++
			}
			registers <- n
		})
	}
	defer exhaust(t)()

	written := make([]time.Time, crowdHelp)
	statuses := make([]int, crowdHelp)
	var calling sync.WaitGroup
	for i, e := range helpers {
		calling.Go(func() {
			written[i] = time.Now()
			statuses[i] = e.talk(ctx, "911")
		})
	}
	calling.Wait()
	calm()
	total := 0
	for range crowdStorm {
		total += <-registers
	}
	for i, s := range statuses {
		if s != 200 {
			t.Errorf("%s called for help: %d", helpers[i].user, s)
		}
	}
	channels, help, hungUp := sbc.count()
	if help != crowdHelp || hungUp != 0 || channels < crowdHelp {
		t.Errorf("%d emergency calls reached the PSAP, %d of them were ended by the box, %d channels are in use", help, hungUp, channels)
	}
	for _, e := range helpers {
		for len(e.inbox) > 0 {
			if ev := <-e.inbox; ev.m == nil || ev.m.Method() == "BYE" {
				t.Errorf("the call of %s was ended", e.user)
			}
		}
	}

	var took []time.Duration
	r.mu.Lock()
	from := make(map[string]time.Time) // by call: when its INVITE was written
	for _, e := range r.help {
		switch e.Kind {
		case b2bua.Recognised:
			for i, h := range helpers {
				if h.local.String() == e.Facts.Source {
					from[e.Call] = written[i]
				}
			}
		case b2bua.InviteLeaves:
			if at, first := from[e.Call]; first {
				took = append(took, e.At.Sub(at))
				delete(from, e.Call)
			}
		}
	}
	r.mu.Unlock()
	if len(took) != crowdHelp {
		t.Fatalf("%d first INVITEs", len(took))
	}
	slices.Sort(took)
	t.Logf("%d emergency calls at once, %d registrations meanwhile, the SBC was full %d times; from a caller's INVITE to the first on the trunk: median %v, p99 %v, most %v",
		crowdHelp, total, sbc.full, took[crowdHelp/2].Round(time.Microsecond), took[crowdHelp*99/100].Round(time.Microsecond), took[crowdHelp-1].Round(time.Microsecond))
}

// talk dials, and acknowledges the final response, whose status it returns; 0 when there was none.
func (e *end) talk(ctx context.Context, number string) int {
	p := e.conn()
	if p == nil {
		return 0
	}
	d := raw.NewDialog(p, "sip:"+e.user+"@"+rigDomain, "sip:"+number+"@"+rigDomain)
	p.Write(d.Request("INVITE", stormSDP(e, 1, "sendrecv", "0 101")))
	res, err := e.await(ctx, d.CallID, d.Seq)
	if err != nil {
		return 0
	}
	p.Write(d.Ack(res, nil))
	return res.Status()
}

// exhaust takes every descriptor that the process may still open; undo gives them back.
func exhaust(t *testing.T) (undo func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	highest := uint64(0)
	for _, f := range open {
		var n uint64
		if _, err := fmt.Sscan(f.Name(), &n); err == nil {
			highest = max(highest, n)
		}
	}
	now := was
	now.Cur = min(was.Cur, highest+1)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	var taken []*os.File
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			if !strings.Contains(err.Error(), "too many open files") {
				t.Fatal(err)
			}
			break
		}
		taken = append(taken, f)
	}
	return func() {
		for _, f := range taken {
			f.Close()
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
}
