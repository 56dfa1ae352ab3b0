package admin

import (
	"bytes"
	"fmt"
	"html/template"
	"strconv"
	"time"

	"holdfast/firmware/admin/quality"
)

// icons are drawn with lines of one width on a field of 24 by 24.
var icons = map[string]string{
	"home":      `<path d="M4 11.5 12 5l8 6.5M6.5 10v9h11v-9"/>`,
	"phone":     `<rect x="5" y="9.5" width="14" height="10" rx="2"/><path d="M4 9.5C4 6 8 4.500 12 4.500S20 6 20 9.500M9.500 14.500h5"/>`,
	"call":      `<path d="M4 12h3l2-6 4 12 2.500-8 1.500 2h3"/>`,
	"emergency": `<path d="M12 4 21 19.500H3ZM12 10v4.500M12 17v.2"/>`,
	"drill":     `<circle cx="12" cy="12.500" r="7.500"/><path d="M12 8.500v4l2.500 2M9.500 2.800h5"/>`,
	"report":    `<path d="M6.500 3.500h8l4 4v13h-12ZM9.500 12h6M9.500 16h6"/>`,
	"site":      `<path d="M5 20.500V5.500l7-2v17M12 8.500l7 2v10M3 20.500h18M8 9h1M8 13h1M15.500 13.500h.5M15.500 17h.5"/>`,
	"box":       `<rect x="3" y="7.500" width="18" height="10" rx="2"/><path d="M6.500 12.500h.2M9.500 12.500h.2M12.500 12.500h.2M17 11v3"/>`,
	"log":       `<path d="M4 6.500h16M4 11h11M4 15.500h14M4 20h8"/>`,
	"more":      `<path d="M5 12h.2M12 12h.2M19 12h.2"/>`,
	"people":    `<circle cx="9" cy="8.500" r="3.500"/><path d="M2.500 20c.5-4 3-6 6.500-6s6 2 6.500 6M15.500 5.200a3.500 3.500 0 0 1 0 6.600M18 14.500c2 .8 3.200 2.600 3.500 5.500"/>`,
	"person":    `<circle cx="12" cy="8.500" r="3.500"/><path d="M5 20c.5-4 3.500-6 7-6s6.500 2 7 6"/>`,
}

func icon(name string) template.HTML {
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">` + icons[name] + `</svg>`)
}

// spark is the scores of the last minutes in a line of one row, worst 1 at the bottom, best 4.5 at the top.
func spark(points []Point) template.HTML {
	const w, h = 96, 24
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %d %d" aria-hidden="true" focusable="false">`, w, h)
	b.WriteString(line(points, w, h, func(p Point) float64 { return (p.MOS - 1) / 3.5 }, func(p Point) bool { return p.MOS > 0 }))
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// line is a path through the points that are there, the newest at the right end.
func line(points []Point, w, h float64, value func(Point) float64, there func(Point) bool) string {
	b := append(make([]byte, 0, 12*len(points)+24), `<path d="`...)
	at := func(command byte, x, y float64) {
		b = strconv.AppendFloat(append(b, command), x, 'f', 1, 64)
		b = strconv.AppendFloat(append(b, ' '), y, 'f', 1, 64)
	}
	pen := false // is it down?
	x0, step := w-2-(w-4)*float64(len(points)-1)/(samplesKept-1), (w-4)/(samplesKept-1)
	for i, p := range points {
		x, y := x0+float64(i)*step, 2+(h-4)*(1-min(max(value(p), 0), 1))
		switch {
		case !there(p):
			pen = false
			continue
		case pen:
			at('L', x, y)
		default: // a single point is a dot
			at('M', x, y)
			b = append(b, "h.01"...)
		}
		pen = true
	}
	return string(append(b, `"/>`...))
}

// plot is one figure of both directions of a call over five minutes: mos, loss or jitter.
func plot(what string, list []Direction) template.HTML {
	const w, h = 300, 96
	value, most, unit := func(p Point) float64 { return p.MOS - 1 }, 3.5, ""
	there := func(p Point) bool { return p.MOS > 0 }
	marks := []struct {
		at   float64
		text string
	}{{0, "1"}, {1, "2"}, {2, "3"}, {3, "4"}}
	if what != "mos" {
		value, most, unit = func(p Point) float64 { return p.JitterMS }, 20, " ms"
		if what == "loss" {
			value, most, unit = func(p Point) float64 { return 100 * p.Loss }, 5, " %"
		}
		for _, d := range list {
			for _, p := range d.Points {
				for value(p) > most {
					most *= 2
				}
			}
		}
		marks = marks[:0]
		for _, part := range []float64{0, 0.5, 1} {
			marks = append(marks, struct {
				at   float64
				text string
			}{part * most, fmt.Sprintf("%g%s", part*most, unit)})
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 %d %d" aria-hidden="true" focusable="false">`, w+44, h+20)
	for _, m := range marks {
		y := 2 + (h-4)*(1-m.at/most)
		fmt.Fprintf(&b, `<line class="grid" x1="0" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f">%s</text>`, w, y, y, w+4, y+4, m.text)
	}
	fmt.Fprintf(&b, `<text x="0" y="%d">5 min ago</text><text x="%d" y="%d" text-anchor="end">now</text>`, h+16, w, h+16)
	for _, d := range list {
		fmt.Fprintf(&b, `<g class="%s">%s</g>`, d.From, line(d.Points, w, h, func(p Point) float64 { return value(p) / most }, there))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// Band is the time line: the modes of the last hours. Height says what colour says too: the better the lower.
type Band struct {
	Picture template.HTML
	Marks   []string // under it, from left to right
}

// Band reaches back as far as there is something to show: an hour, six, or a day.
func (v *view) Band() Band {
	const w, h = 960.0, 40.0
	span, marks := 24*time.Hour, []string{"24 h ago", "18 h", "12 h", "6 h", "now"}
	switch up := v.Now.Sub(v.Status.Started); {
	case up < time.Hour:
		span, marks = time.Hour, []string{"60 min ago", "45 min", "30 min", "15 min", "now"}
	case up < 6*time.Hour:
		span, marks = 6*time.Hour, []string{"6 h ago", "4½ h", "3 h", "1½ h", "now"}
	}
	now := v.Now.Truncate(span / 720) // it moves by a step of its own, not with every look
	start := now.Add(-span)
	x := func(t time.Time) float64 { return w * min(max(float64(t.Sub(start))/float64(span), 0), 1) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg class="band" viewBox="0 0 %g %g" preserveAspectRatio="none" aria-hidden="true" focusable="false">`, w, h)
	bar := func(from, to time.Time, mode string) {
		height := map[string]float64{"normal": 6, "recovering": 18, "drill": 26, "resilience": 36}[mode]
		if to.After(from) && to.After(start) {
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%g"/>`, wordsOf(mode).Tone, min(x(from), w-2.5), h-height, min(max(x(to)-x(from), 2.5), w-min(x(from), w-2.5)), height)
		}
	}
	at, mode := v.Status.Started, "normal"
	if len(v.Status.Events) > 0 {
		mode = v.Status.Events[0].From
	}
	if at.After(start) {
		fmt.Fprintf(&b, `<rect class="unknown" x="0" y="%g" width="%.1f" height="2"/>`, h-2, x(at))
	}
	for _, e := range v.Status.Events {
		bar(at, e.At, mode)
		at, mode = e.At, e.To
	}
	bar(at, v.Now, v.Status.Mode.Name)
	b.WriteString(`</svg>`)
	return Band{template.HTML(b.String()), marks}
}

// patternText is a light's rhythm in words, for those who do not see it blink.
func patternText(name string) string {
	switch name {
	case "slow":
		return "blinks slowly"
	case "fast":
		return "blinks fast"
	case "double":
		return "double blinks"
	}
	return name
}

func wordOf(mos float64) string {
	if mos == 0 {
		return "silent"
	}
	return quality.Word(mos)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.0f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
}

// rtt is a round-trip time in milliseconds, so coarse that it stands still while nothing is wrong.
func rtt(ms float64) string {
	if ms < 1 {
		return "under 1 ms"
	}
	return fmt.Sprintf("%.0f ms", ms)
}
