package admin

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"time"

	"holdfast/sip/trace"
)

const captureType = "application/x-pcapng"

// Measures of a ladder, in SVG units.
const (
	ladderGap   = 232 // between two parties
	ladderLeft  = 150 // room for the times
	ladderRow   = 34
	ladderTop   = 74
	ladderNames = 26 // letters of a party's name
	ladderRows  = 400
)

// drawLadder is the ladder as SVG. Colours are attributes, so that the file stands alone; the page's styles go over them.
func drawLadder(l trace.Ladder) []byte {
	arrows := l.Arrows[:min(len(l.Arrows), ladderRows)]
	width := ladderLeft + ladderGap*max(len(l.Participants)-1, 1) + 90
	height := ladderTop + ladderRow*len(arrows) + 24
	var b bytes.Buffer
	esc := template.HTMLEscapeString
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="ladder" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="ladder-title" font-family="system-ui,sans-serif" font-size="13">`, width, height, width, height)
	fmt.Fprintf(&b, `<title id="ladder-title">SIP ladder of call %s: %d messages between %d parties</title><rect class="ground" width="%d" height="%d" fill="#ffffff"/>`,
		esc(l.Call), len(l.Arrows), len(l.Participants), width, height)
	at := func(n int) int { return ladderLeft + ladderGap*n }
	for i, p := range l.Participants {
		class, fill := "party", "#f4f6f8"
		if p.Side == "box" {
			class, fill = "party self", "#0b5cad"
		}
		ink := map[bool]string{true: "#ffffff", false: "#14181d"}[p.Side == "box"]
		fmt.Fprintf(&b, `<g class="%s"><line x1="%d" y1="56" x2="%d" y2="%d" stroke="#d8dee4" stroke-width="2"/><rect x="%d" y="12" width="176" height="44" rx="8" fill="%s"/>`,
			class, at(i), at(i), height-12, at(i)-88, fill)
		if p.Address != "" && p.Address != p.Name {
			fmt.Fprintf(&b, `<text x="%d" y="30" text-anchor="middle" fill="%s" font-weight="600">%s</text><text class="addr" x="%d" y="47" text-anchor="middle" fill="#52606d" font-size="11">%s</text></g>`,
				at(i), ink, esc(clip(p.Name, ladderNames)), at(i), esc(p.Address))
		} else {
			fmt.Fprintf(&b, `<text x="%d" y="39" text-anchor="middle" fill="%s" font-weight="600">%s</text></g>`, at(i), ink, esc(clip(p.Name, ladderNames)))
		}
	}
	var began time.Time
	for i, a := range arrows {
		if i == 0 {
			began = a.At
		}
		y := ladderTop + ladderRow*i + 18
		from, to := at(a.From), at(a.To)
		tip := to - 7
		if to < from {
			tip = to + 7
		}
		class, ink := "msg", "#0b5cad"
		switch {
		case a.Status >= 300:
			class, ink = "msg failed", "#b3001b"
		case a.Status >= 200:
			class, ink = "msg final", "#0b7a3b"
		case a.Status > 0:
			class, ink = "msg provisional", "#52606d"
		}
		text := a.Label
		if a.Note != "" {
			text += " (" + a.Note + ")"
		}
		fmt.Fprintf(&b, `<g class="%s"><text class="time" x="8" y="%d" fill="#52606d" font-size="11">+%.3f s</text><text class="label" x="%d" y="%d" text-anchor="middle" fill="#14181d">%s</text>`,
			class, y+4, a.At.Sub(began).Seconds(), (from+to)/2, y-5, esc(clip(text, 34)))
		fmt.Fprintf(&b, `<line class="shaft" x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="1.75"/><path class="tip" d="M%d %d %d %d %d %dZ" fill="%s"/></g>`,
			from, y, tip, y, ink, to, y, tip, y-4, tip, y+4, ink)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// Ladder is the signalling of the call that the page is about; nil where nothing is kept or who looks may not see it.
func (v *view) Ladder() *ladderView {
	if v.s.o.Tracer == nil || !v.Can("trace") {
		return nil
	}
	l, err := v.s.o.Tracer.Ladder(v.Param)
	if err != nil {
		return &ladderView{Why: sentence(err.Error())}
	}
	return &ladderView{Picture: template.HTML(drawLadder(l)), Arrows: l.Arrows[:min(len(l.Arrows), ladderRows)], Parties: l.Participants}
}

type ladderView struct {
	Picture template.HTML
	Arrows  []trace.Arrow
	Parties []trace.Participant
	Why     string // there is none
}

// Party is the name of a place in the ladder.
func (l *ladderView) Party(n int) string {
	if n < 0 || n >= len(l.Parties) {
		return ""
	}
	return l.Parties[n].Name
}

func (s *Server) ladderFile(w http.ResponseWriter, r *http.Request) {
	if s.o.Tracer == nil {
		refuse(w, r, http.StatusNotFound, "this box keeps no signalling")
		return
	}
	l, err := s.o.Tracer.Ladder(r.PathValue("id"))
	if err != nil {
		refuse(w, r, http.StatusNotFound, err.Error())
		return
	}
	s.log.Info("a call's signalling was looked at", "by", whoIs(r).name, "call", clip(r.PathValue("id"), 64))
	w.Header().Set("Content-Type", "image/svg+xml")
	attachment(w, "holdfast-ladder.svg")
	w.Write(drawLadder(l))
}

func (s *Server) captureFile(w http.ResponseWriter, r *http.Request) {
	if s.o.Tracer == nil {
		refuse(w, r, http.StatusNotFound, "this box keeps no signalling")
		return
	}
	var b bytes.Buffer
	if err := s.o.Tracer.Capture(&b, r.PathValue("id")); err != nil {
		refuse(w, r, http.StatusNotFound, err.Error())
		return
	}
	s.log.Info("a call's signalling was taken away", "by", whoIs(r).name, "call", clip(r.PathValue("id"), 64))
	w.Header().Set("Content-Type", captureType)
	attachment(w, "holdfast-signalling.pcapng")
	io.Copy(w, &b)
}
