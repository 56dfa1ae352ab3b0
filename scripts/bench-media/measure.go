package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"holdfast/media/relay"
)

// cell is one measurement.
type cell struct {
	Round       int           `json:"round"`
	Peer        string        `json:"peer"`
	Mode        string        `json:"mode"`
	Calls       int           `json:"calls"`
	CPU         float64       `json:"cpu_us_per_packet"`
	User        float64       `json:"user_us_per_packet"`
	Loss        float64       `json:"loss"`
	P50         float64       `json:"latency_p50_us"`
	P99         float64       `json:"latency_p99_us"`
	Max         float64       `json:"latency_max_us"`
	LegKiB      float64       `json:"memory_kib_per_leg"` // PSS of the calls: with them less idle
	PSS         float64       `json:"pss_mib"`
	RSS         float64       `json:"rss_mib"`
	Packets     int64         `json:"packets"`
	Bad         int64         `json:"bad_packets"`
	Verifies    bool          `json:"verifies"`           // forged packets did not come through
	PhonesShare float64       `json:"phones_share"`       // of one core
	PhonesLate  float64       `json:"phones_late_p99_us"` // how much too late the phones sent
	Others      float64       `json:"others_share"`       // of all cores, by anything else
	Stolen      float64       `json:"stolen_share"`       // of all cores, by other machines on the same host
	Counts      *relay.Counts `json:"counts,omitempty"`
}

func (c cell) String() string {
	return fmt.Sprintf("%-10s %-9s %3d calls: %6.2f µs CPU a packet (%.2f user), latency p50 %4.0f p99 %5.0f max %6.0f µs, loss %.4f %%, %5.1f KiB a leg, PSS %5.1f MiB"+
		" (phones %2.0f %% of a core, others %2.0f %% of the machine, %.0f %% stolen)",
		c.Peer, c.Mode, c.Calls, c.CPU, c.User, c.P50, c.P99, c.Max, 100*c.Loss, c.LegKiB, c.PSS, 100*c.PhonesShare, 100*c.Others, 100*c.Stolen)
}

// suites of the two legs. Unlike ones force rtpengine to encrypt anew; the work is the same as with like ones and two keys.
func suites(mode string) [2]string {
	switch mode {
	case "reencrypt":
		return [2]string{"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"}
	case "shared":
		return [2]string{"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"}
	}
	return [2]string{}
}

// measure starts one relay and its phones and lets them talk.
func measure(ctx context.Context, p *plan, peer, mode string, calls int) (c cell, err error) {
	c = cell{Peer: peer, Mode: mode, Calls: calls}
	load, err := startChild(ctx, "load")
	if err != nil {
		return c, err
	}
	defer load.stop()
	var sockets []netip.AddrPort
	if err := load.tell.Decode(&sockets); err != nil {
		return c, fmt.Errorf("phones: %w", err)
	}
	list := newCalls(calls, mode, sockets)
	var pid int
	var idle memory
	var ours *child
	if peer == "rtpengine" {
		e, err := startRtpengine(p.threads)
		if err != nil {
			return c, err
		}
		defer e.stop()
		pid = e.cmd.Process.Pid
		idle = memoryOf(pid)
		for i := range list {
			if err := e.place(i, &list[i]); err != nil {
				return c, fmt.Errorf("call %d: %w", i, err)
			}
			if mode == "shared" && (!bytes.Equal(list[i][0].Hear, list[i][1].Says) || !bytes.Equal(list[i][1].Hear, list[i][0].Says)) {
				return c, fmt.Errorf("call %d: rtpengine does not share the keys", i)
			}
		}
	} else {
		if ours, err = startChild(ctx, "relay"); err != nil {
			return c, err
		}
		defer ours.stop()
		pid = ours.cmd.Process.Pid
		o := order{Calls: list, Shared: mode == "shared", Threads: p.threads, Profile: p.profile}
		if list, idle, err = ours.place(o); err != nil {
			return c, err
		}
	}
	if err := load.ask.Encode(task{Calls: list, Seconds: p.seconds}); err != nil {
		return c, err
	}
	if err := load.expect("start"); err != nil {
		return c, err
	}
	before := cpuOf(pid)
	all, stolen := busy()
	if err := load.expect("stop"); err != nil {
		return c, err
	}
	after := cpuOf(pid)
	allAfter, stolenAfter := busy()
	full := memoryOf(pid)
	var h heard
	if err := load.tell.Decode(&h); err != nil {
		return c, fmt.Errorf("phones: %w", err)
	}
	if h.Received == 0 {
		return c, fmt.Errorf("no packet came through (%d sent, %d bad)", h.Sent, h.Bad)
	}
	used := after.minus(before)
	c.CPU = 1e6 * (used.user + used.system) / float64(h.Received)
	c.User = 1e6 * used.user / float64(h.Received)
	c.Loss, c.P50, c.P99, c.Max = h.Loss, h.P50, h.P99, h.Max
	c.LegKiB = (full.pss - idle.pss) / float64(2*calls)
	c.PSS, c.RSS = full.pss/1024, full.rss/1024
	c.Packets, c.Bad = h.Received, h.Bad
	c.Verifies = mode != "plain" && h.Forged == 0
	c.PhonesShare, c.PhonesLate = h.Share, h.Late99
	cores := float64(runtime.NumCPU())
	c.Others = max(0, (allAfter-all-used.user-used.system)/float64(p.seconds)-h.Share) / cores
	c.Stolen = (stolenAfter - stolen) / float64(p.seconds) / cores
	if ours != nil {
		var o outcome
		if err := ours.stdin.Close(); err != nil {
			return c, err
		}
		if err := ours.tell.Decode(&o); err != nil {
			return c, fmt.Errorf("relay: %w", err)
		}
		c.Counts = &o.Counts
	}
	return c, nil
}

// place gives the relay process its order. idle is its memory before it had calls.
func (c *child) place(o order) (calls [][2]side, idle memory, err error) {
	var ready string
	if err := c.ask.Encode(o); err != nil {
		return nil, idle, err
	}
	if err := c.tell.Decode(&ready); err != nil {
		return nil, idle, fmt.Errorf("relay: %w", err)
	}
	idle = memoryOf(c.cmd.Process.Pid)
	if err := c.ask.Encode("go"); err != nil {
		return nil, idle, err
	}
	if err := c.tell.Decode(&calls); err != nil {
		return nil, idle, fmt.Errorf("relay: %w", err)
	}
	return calls, idle, nil
}

// newCalls makes the calls of a mode, with a fresh key each way.
func newCalls(n int, mode string, sockets []netip.AddrPort) [][2]side {
	list := make([][2]side, n)
	names := suites(mode)
	for i := range list {
		for j := range list[i] {
			s := side{Phone: sockets[phoneOf(i, j)], Suite: names[j]}
			if s.Suite != "" {
				s.Says, s.Hear = make([]byte, 30), make([]byte, 30)
				rand.Read(s.Says)
				rand.Read(s.Hear)
			}
			list[i][j] = s
		}
		if mode == "shared" {
			list[i][0].Hear, list[i][1].Hear = list[i][1].Says, list[i][0].Says
		}
	}
	return list
}

// child is one of the other programs in this one.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ask   *json.Encoder
	tell  *json.Decoder
}

func startChild(ctx context.Context, name string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

func (c *child) stop() {
	c.stdin.Close()
	timer := time.AfterFunc(3*time.Second, func() { _ = c.cmd.Process.Kill() })
	_ = c.cmd.Wait()
	timer.Stop()
}

func (c *child) expect(word string) error {
	var got string
	if err := c.tell.Decode(&got); err != nil || got != word {
		return fmt.Errorf("waiting for %q: got %q, %v", word, got, err)
	}
	return nil
}

// cpu is a process's time so far, in seconds.
type cpu struct{ user, system float64 }

func (c cpu) minus(d cpu) cpu { return cpu{c.user - d.user, c.system - d.system} }

const hertz = 100 // USER_HZ, of the times in /proc

func cpuOf(pid int) cpu {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return cpu{}
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
	f := strings.Fields(rest)
	return cpu{number(f[11]) / hertz, number(f[12]) / hertz}
}

// busy is the time that all cores have worked, and the time that they were kept from it by the host, in seconds.
func busy() (sum, stolen float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line) {
		if i >= 1 && i <= 7 && i != 4 && i != 5 { // not idle, not waiting
			sum += number(f)
		}
		if i == 8 {
			stolen = number(f)
		}
	}
	return sum / hertz, stolen / hertz
}

// memory is in KiB.
type memory struct{ pss, rss float64 }

func memoryOf(pid int) (m memory) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			m.pss = number(f[1])
		} else if len(f) > 1 && f[0] == "Rss:" {
			m.rss = number(f[1])
		}
	}
	return m
}

func number(s string) float64 {
	n, _ := strconv.ParseFloat(s, 64)
	return n
}
