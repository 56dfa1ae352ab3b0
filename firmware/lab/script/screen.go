package script

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Screen writes the story as a time line of 80 columns. On a terminal it uses colour and shows the step that runs.
type Screen struct {
	w     io.Writer
	tty   bool
	start time.Time

	mu      sync.Mutex
	running chan struct{} // ends the progress of the current step
	stopped chan struct{}
}

// NewScreen writes to w. tty says whether w is a terminal.
func NewScreen(w io.Writer, tty bool) *Screen {
	return &Screen{w: w, tty: tty, start: time.Now()}
}

const width = 80

// Line writes a line of the time line that is no step: something that happened by itself.
func (s *Screen) Line(sign, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, "%s  %s   %s\n", s.clock(), sign, fit(fmt.Sprintf(format, args...), width-13))
}

// Begin implements Watcher: on a terminal, the running step with its time and how far the story is.
func (s *Screen) Begin(number, of int, st Step) {
	if !s.tty {
		return
	}
	s.running, s.stopped = make(chan struct{}), make(chan struct{})
	begun := time.Now()
	go func(stop, stopped chan struct{}) {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			bar := strings.Repeat("■", number*10/of) + strings.Repeat("·", 10-number*10/of)
			s.mu.Lock()
			s.clear()
			fmt.Fprintf(s.w, "%s  %s %d/%d %s", s.clock(), bar, number, of, fit(st.Name, 40))
			fmt.Fprintf(s.w, " %s", s.paint(quiet, fmt.Sprintf("%.0f s", time.Since(begun).Seconds())))
			s.mu.Unlock()
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}(s.running, s.stopped)
}

// End implements Watcher: the verdict in one or more lines.
func (s *Screen) End(_, _ int, v Verdict) {
	if s.running != nil {
		close(s.running)
		<-s.stopped
		s.running = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, "%s  %s %s\n", s.clock(), s.word(v), fit(v.Name, width-16))
	var details []string
	if v.Saw != "" {
		details = append(details, v.Saw)
	}
	for _, f := range v.Figures {
		details = append(details, f.String())
	}
	s.wrapped(strings.Join(details, ", "))
	if !v.OK && !v.Skipped {
		s.wrapped("expected: " + v.Want)
	}
	if !v.OK && !v.Skipped {
		s.wrapped("but: " + v.Error)
	}
}

// Table writes all verdicts at the end.
func (s *Screen) Table(verdicts []Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, "\n%-54s %8s  %s\n%s\n", "Step", "Time", "Verdict", strings.Repeat("─", width))
	for _, v := range verdicts {
		fmt.Fprintf(s.w, "%s %6.1f s  %s\n", pad(fit(v.Name, 54), 54), v.Seconds, s.word(v))
	}
	fmt.Fprintln(s.w, strings.Repeat("─", width))
}

func (s *Screen) wrapped(text string) {
	const indent = 16
	if first, rest, more := strings.Cut(text, "\n"); more {
		s.wrapped(first)
		s.wrapped(rest)
		return
	}
	for text != "" {
		line := text
		if runes := []rune(text); len(runes) > width-indent {
			cut := strings.LastIndexByte(string(runes[:width-indent+1]), ' ')
			if cut <= 0 {
				cut = len(string(runes[:width-indent]))
			}
			line = text[:cut]
		}
		text = strings.TrimPrefix(text[len(line):], " ")
		fmt.Fprintf(s.w, "%s%s\n", strings.Repeat(" ", indent), s.paint(quiet, line))
	}
}

// Colours of a terminal; the word always says the same.
const (
	good  = "32"
	bad   = "1;31"
	quiet = "2"
)

func (s *Screen) word(v Verdict) string {
	switch {
	case v.OK:
		return s.paint(good, "ok    ")
	case v.Skipped:
		return s.paint(quiet, "skip  ")
	}
	return s.paint(bad, "FAILED")
}

func (s *Screen) paint(colour, text string) string {
	if !s.tty || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (s *Screen) clear() {
	if s.tty {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}

func (s *Screen) clock() string { return fmt.Sprintf("%5.1f s", time.Since(s.start).Seconds()) }

func fit(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(0, n-len([]rune(text))))
}
