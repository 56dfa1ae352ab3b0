package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// picture is the time line as shapes; the template makes SVG of it. One unit is a pixel at full width.
type picture struct {
	Width, Height int
	Bands         []band
	Ticks         []tick
	Calls         []bar
	Phones        string // points of a rising line: how many users were here
	Marks         []mark
}

type band struct {
	X, W       float64
	Mode, Sign string
	Named      bool // it is wide enough for its name
}

type tick struct {
	X    float64
	Text string
}

type bar struct {
	X, Y, W float64
	Class   string
	Title   string
}

type mark struct {
	X     float64
	Title string
}

// Geometry of the picture.
const (
	pictureWidth = 960
	bandHeight   = 28
	callsTop     = 44
	callsHeight  = 66
	phonesTop    = 120
	phonesHeight = 40
	pictureTall  = 186
	mostBars     = 600
)

// picture lays the incident out on one line, with some room before and after.
func (r *Report) picture(zone *time.Location) picture {
	from, to := r.Began, r.Ended
	if t := r.Detection.LastAnswer; !t.IsZero() && t.Before(from) {
		from = t
	}
	room := max(to.Sub(from)/40, time.Second)
	from, to = from.Add(-room), to.Add(room)
	x := func(t time.Time) float64 {
		share := float64(t.Sub(from)) / float64(to.Sub(from))
		return pictureWidth * min(max(share, 0), 1)
	}
	p := picture{Width: pictureWidth, Height: pictureTall}
	mode, since := "normal", from
	enter := func(m string, at time.Time) {
		if w := x(at) - x(since); w > 0 {
			p.Bands = append(p.Bands, band{X: x(since), W: w, Mode: mode, Sign: sign(mode), Named: w > 90})
		}
		mode, since = m, at
	}
	for _, m := range r.TimeLine {
		switch m.Sign {
		case "normal", "resilience", "drill", "recovering":
			enter(m.Sign, m.At)
		case "emergency":
			p.Marks = append(p.Marks, mark{x(m.At), m.Text + ", " + m.At.In(zone).Format("15:04:05")})
		}
	}
	enter("", to)
	step := scale(to.Sub(from))
	format := "15:04"
	if step < time.Minute {
		format = "15:04:05"
	}
	for t := from.Truncate(step).Add(step); t.Before(to); t = t.Add(step) {
		if at := x(t); at > 20 && at < pictureWidth-20 {
			p.Ticks = append(p.Ticks, tick{at, t.In(zone).Format(format)})
		}
	}
	p.Calls = r.bars(x)
	p.Phones = r.rise(x)
	return p
}

// scale is the distance of ticks: about eight of them.
func scale(d time.Duration) time.Duration {
	for _, step := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour} {
		if d/step <= 9 {
			return step
		}
	}
	return 24 * time.Hour
}

// bars are the calls, in rows so that they do not cover each other where that is possible.
func (r *Report) bars(x func(time.Time) float64) []bar {
	const rows = 6
	var free [rows]float64
	var out []bar
	for _, c := range r.Calls.List[:min(len(r.Calls.List), mostBars)] {
		left, right := x(c.Start), x(c.End)
		right = max(right, left+3)
		row := slices.IndexFunc(free[:], func(end float64) bool { return end <= left })
		if row < 0 {
			row = len(out) % rows
		}
		free[row] = right + 2
		class := c.Outcome
		if c.Emergency {
			class = "help"
		}
		from, to := c.Parties()
		out = append(out, bar{left, callsTop + float64(row)*callsHeight/rows, right - left, class,
			fmt.Sprintf("%s to %s: %s", from, to, c.Outcome)})
	}
	return out
}

// rise is a line that goes up with each user who came.
func (r *Report) rise(x func(time.Time) float64) string {
	if r.Phones.Expected == 0 {
		return ""
	}
	var b strings.Builder
	y := func(n int) float64 {
		return phonesTop + phonesHeight - phonesHeight*float64(n)/float64(r.Phones.Expected)
	}
	fmt.Fprintf(&b, "0,%.1f", y(0))
	for n, p := range r.Phones.Here {
		fmt.Fprintf(&b, " %.1f,%.1f %.1f,%.1f", x(p.At), y(n), x(p.At), y(n+1))
	}
	fmt.Fprintf(&b, " %.1f,%.1f", x(r.Ended), y(len(r.Phones.Here)))
	return b.String()
}
