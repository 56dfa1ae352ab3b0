package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is everything that was found.
type report struct {
	Machine map[string]string `json:"machine"`
	Started time.Time         `json:"started"`
	Seconds int               `json:"seconds"`
	Rounds  int               `json:"rounds"`
	Medians []cell            `json:"medians"`
	Cells   []cell            `json:"cells"`
	Ratios  map[string]ratio  `json:"ratios"` // "mode/calls"
	Verdict string            `json:"verdict"`
}

// ratio is ours over rtpengine's.
type ratio struct {
	CPU float64 `json:"cpu"`
	P99 float64 `json:"p99"`
	Mem float64 `json:"mem"`
	PSS float64 `json:"pss"`
}

// sum makes medians over the rounds, and the ratios of the medians.
func (r *report) sum(p *plan) {
	r.Ratios = make(map[string]ratio)
	for _, mode := range p.modes {
		for _, calls := range p.calls {
			for _, peer := range p.peers {
				r.Medians = append(r.Medians, r.median(peer, mode, calls))
			}
			if len(p.peers) == 2 {
				ours, theirs := r.find("holdfast", mode, calls), r.find("rtpengine", mode, calls)
				r.Ratios[fmt.Sprintf("%s/%d", mode, calls)] = ratio{
					CPU: ours.CPU / theirs.CPU, P99: ours.P99 / theirs.P99, Mem: ours.LegKiB / theirs.LegKiB, PSS: ours.PSS / theirs.PSS,
				}
			}
		}
	}
	most := slices.Max(p.calls)
	again, shared := r.Ratios[fmt.Sprintf("reencrypt/%d", most)], r.Ratios[fmt.Sprintf("shared/%d", most)]
	loss := 0.0
	for _, c := range r.Medians {
		if c.Peer == "holdfast" && c.Mode != "plain" && c.Calls == most {
			loss = max(loss, c.Loss)
		}
	}
	r.Verdict = fmt.Sprintf("bench-media: cpu=%s shared=%s p99=%s mem=%s loss=%.6f", orNone(again.CPU), orNone(shared.CPU), orNone(again.P99), orNone(again.Mem), loss)
}

// orNone is a dash for what was not measured.
func orNone(f float64) string {
	if f == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", f)
}

func (r *report) find(peer, mode string, calls int) cell {
	for _, c := range r.Medians {
		if c.Peer == peer && c.Mode == mode && c.Calls == calls {
			return c
		}
	}
	return cell{}
}

func (r *report) median(peer, mode string, calls int) cell {
	var cells []cell
	for _, c := range r.Cells {
		if c.Peer == peer && c.Mode == mode && c.Calls == calls {
			cells = append(cells, c)
		}
	}
	of := func(get func(cell) float64) float64 {
		values := make([]float64, len(cells))
		for i, c := range cells {
			values[i] = get(c)
		}
		slices.Sort(values)
		n := len(values)
		return (values[(n-1)/2] + values[n/2]) / 2
	}
	m := cell{Peer: peer, Mode: mode, Calls: calls, Verifies: true}
	m.CPU, m.User = of(func(c cell) float64 { return c.CPU }), of(func(c cell) float64 { return c.User })
	m.P50, m.P99, m.Max = of(func(c cell) float64 { return c.P50 }), of(func(c cell) float64 { return c.P99 }), of(func(c cell) float64 { return c.Max })
	m.Loss = of(func(c cell) float64 { return c.Loss })
	m.LegKiB, m.PSS, m.RSS = of(func(c cell) float64 { return c.LegKiB }), of(func(c cell) float64 { return c.PSS }), of(func(c cell) float64 { return c.RSS })
	m.PhonesShare, m.PhonesLate = of(func(c cell) float64 { return c.PhonesShare }), of(func(c cell) float64 { return c.PhonesLate })
	m.Stolen = of(func(c cell) float64 { return c.Stolen })
	m.Others = of(func(c cell) float64 { return c.Others })
	for _, c := range cells {
		m.Packets, m.Bad = m.Packets+c.Packets, m.Bad+c.Bad
		m.Verifies = m.Verifies && c.Verifies
	}
	return m
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s cores, Linux %s, %s, rtpengine %s; medians of %d rounds of %d s\n\n",
		r.Machine["cpu"], r.Machine["cores"], r.Machine["kernel"], r.Machine["go"], r.Machine["rtpengine"], r.Rounds, r.Seconds)
	fmt.Fprintln(w, "| mode | calls | relay | CPU µs/packet | p50 µs | p99 µs | max µs | loss % | KiB/leg | PSS MiB | verifies |")
	fmt.Fprintln(w, "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|---|")
	var share, others, stolen float64
	for _, c := range r.Medians {
		verifies := "no"
		if c.Mode == "plain" {
			verifies = "-"
		} else if c.Verifies {
			verifies = "yes"
		}
		fmt.Fprintf(w, "| %s | %d | %s | %.2f | %.0f | %.0f | %.0f | %.4f | %.1f | %.1f | %s |\n",
			c.Mode, c.Calls, c.Peer, c.CPU, c.P50, c.P99, c.Max, 100*c.Loss, c.LegKiB, c.PSS, verifies)
		share, others, stolen = max(share, c.PhonesShare), max(others, c.Others), max(stolen, c.Stolen)
	}
	fmt.Fprintln(w)
	for _, c := range r.Medians {
		key := fmt.Sprintf("%s/%d", c.Mode, c.Calls)
		if x, ok := r.Ratios[key]; ok && c.Peer == "holdfast" {
			fmt.Fprintf(w, "%-13s ours over rtpengine's: cpu %.2f  p99 %.2f  memory a leg %.2f  PSS %.2f\n", key, x.CPU, x.P99, x.Mem, x.PSS)
		}
	}
	fmt.Fprintf(w, "\nThe phones used %.0f %% of one core at most; other programs %.0f %% of the machine; its host took %.0f %% away (highest medians).\n",
		100*share, 100*others, 100*stolen)
}

func machine() map[string]string {
	m := map[string]string{"cores": fmt.Sprint(runtime.NumCPU()), "go": runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m["cpu"] = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m["kernel"] = unix.ByteSliceToString(u.Release[:])
	}
	if out, err := exec.Command("rtpengine", "--version").CombinedOutput(); err == nil {
		m["rtpengine"] = strings.TrimSpace(strings.TrimPrefix(string(out), "Version:"))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				m["revision"] = s.Value
			}
		}
	}
	return m
}
