package trace

import (
	"fmt"
	"strings"
	"time"
)

// Text draws the ladder for a terminal of that many columns, times in zone. More participants than fit make it wider.
func (l Ladder) Text(columns int, zone *time.Location) string {
	if len(l.Arrows) == 0 {
		return "Nothing of this call is kept any more.\n"
	}
	const clock = len("15:04:05.000") + 2
	n := len(l.Participants)
	lane := 24
	if n > 1 {
		lane = max(22, (columns-clock-16)/(n-1))
	}
	var b strings.Builder
	start := l.Arrows[0].At.In(zone)
	fmt.Fprintf(&b, "Call %s, %s, %d messages\n\n", l.Call, start.Format("2006-01-02 15:04:05 MST"), len(l.Arrows))
	row := blank(clock + lane*(n-1) + 18)
	addresses := blank(len(row))
	for i, p := range l.Participants {
		put(row, clock+i*lane, lane-2, p.Name)
		if p.Address != p.Name {
			put(addresses, clock+i*lane, lane-2, p.Address)
		}
	}
	line(&b, row)
	line(&b, addresses)
	for _, a := range l.Arrows {
		row = blank(len(row))
		put(row, 0, clock, a.At.In(zone).Format("15:04:05.000"))
		for i := range n {
			row[clock+i*lane] = '│'
		}
		from, to := clock+a.From*lane, clock+a.To*lane
		left, right := min(from, to)+1, max(from, to)-1
		for i := left; i <= right; i++ {
			row[i] = '─'
		}
		if to > from {
			row[right] = '▶'
		} else {
			row[left] = '◀'
		}
		text := a.Label
		if a.Note != "" {
			text += " [" + a.Note + "]"
		}
		room := right - left - 4
		if w := []rune(text); len(w) > room {
			text = string(w[:max(room-1, 0)]) + "…"
		}
		put(row, left+2, room+2, " "+text+" ")
		line(&b, row)
	}
	return b.String()
}

func blank(n int) []rune {
	row := make([]rune, n)
	for i := range row {
		row[i] = ' '
	}
	return row
}

// put writes s at a place, most runes of it.
func put(row []rune, at, most int, s string) {
	for i, r := range []rune(s) {
		if i >= most || at+i >= len(row) {
			return
		}
		row[at+i] = r
	}
}

func line(b *strings.Builder, row []rune) {
	b.WriteString(strings.TrimRight(string(row), " "))
	b.WriteByte('\n')
}
