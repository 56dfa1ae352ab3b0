// Package script runs a story step by step: each with a deadline and a clear verdict of what was expected, what happened
// and what was measured. Screen shows it as it happens.
//
// What the steps do is their author's job (package demo).
package script

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Step is one thing to do and to judge.
type Step struct {
	Name  string        // short, in plain words
	Want  string        // what is expected
	Limit time.Duration // for Do; default 15s
	Vital bool          // when it fails, the steps after it make no sense and are skipped
	Do    func(ctx context.Context, n *Notes) error
}

const (
	defaultLimit = 15 * time.Second
	grace        = 3 * time.Second // for a Do that is slow to notice its deadline
)

// Notes is where a step puts what it saw. Its methods are safe for concurrent use.
type Notes struct {
	mu      sync.Mutex
	saw     []string
	figures []Figure
}

// Figure is something measured.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

func (f Figure) String() string {
	format := "%s %.1f %s"
	if f.Value == float64(int64(f.Value)) {
		format = "%s %.0f %s"
	}
	return strings.TrimSpace(fmt.Sprintf(format, f.Name, f.Value, f.Unit))
}

// Saw notes what happened, in words.
func (n *Notes) Saw(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.saw = append(n.saw, fmt.Sprintf(format, args...))
}

// Measure notes a figure.
func (n *Notes) Measure(name string, value float64, unit string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.figures = append(n.figures, Figure{name, value, unit})
}

// Seconds notes a duration.
func (n *Notes) Seconds(name string, d time.Duration) { n.Measure(name, d.Seconds(), "s") }

// Verdict is how a step went.
type Verdict struct {
	Name    string    `json:"name"`
	Want    string    `json:"expected"`
	Saw     string    `json:"happened"`
	OK      bool      `json:"ok"`
	Skipped bool      `json:"skipped,omitempty"`
	Error   string    `json:"error,omitempty"`
	Figures []Figure  `json:"figures,omitempty"`
	Start   time.Time `json:"start"`
	Seconds float64   `json:"seconds"`
}

// Watcher is told what happens while it happens.
type Watcher interface {
	Begin(number, of int, s Step)
	End(number, of int, v Verdict)
}

// Run does the steps in order until the end, or until ctx is done: what remains is skipped, and so not ok.
func Run(ctx context.Context, steps []Step, w Watcher) []Verdict {
	var out []Verdict
	why := ""
	for i, s := range steps {
		v := Verdict{Name: s.Name, Want: s.Want, Start: time.Now()}
		if why == "" && ctx.Err() != nil {
			why = "interrupted"
		}
		if why != "" {
			v.Skipped, v.Error = true, why
		} else {
			w.Begin(i+1, len(steps), s)
			v = s.run(ctx, v)
			if !v.OK && s.Vital {
				why = fmt.Sprintf("skipped, as %q failed", s.Name)
			}
		}
		w.End(i+1, len(steps), v)
		out = append(out, v)
	}
	return out
}

func (s Step) run(ctx context.Context, v Verdict) Verdict {
	limit := s.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	ctx, done := context.WithTimeout(ctx, limit)
	defer done()
	n := &Notes{}
	result := make(chan error, 1)
	go func() { result <- s.Do(ctx, n) }()
	var err error
	select {
	case err = <-result:
	case <-ctx.Done():
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case err = <-result:
		case <-late.C:
			err = fmt.Errorf("not done after %v", limit)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	v.Seconds = time.Since(v.Start).Seconds()
	v.OK, v.Saw, v.Figures = err == nil, strings.Join(n.saw, "; "), append([]Figure(nil), n.figures...)
	if err != nil {
		v.Error = err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			v.Error = fmt.Sprintf("not within %v: %v", limit, err)
		}
	}
	return v
}

// Failed are the names of the steps that were done and are not ok, and the number of those that were skipped.
func Failed(verdicts []Verdict) (names []string, skipped int) {
	names = []string{}
	for _, v := range verdicts {
		switch {
		case v.Skipped:
			skipped++
		case !v.OK:
			names = append(names, v.Name)
		}
	}
	return names, skipped
}
