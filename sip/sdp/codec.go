package sdp

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Codec is one RTP payload format.
type Codec struct {
	Type     uint8  // RTP payload type
	Name     string // canonical case: opus PCMU PCMA G729 telephone-event CN; others as written; "" for a dynamic type without rtpmap
	Clock    uint32 // Hz
	Channels uint8
	Fmtp     string // format parameters as written
}

// The names that the box passes.
const (
	Opus  = "opus"
	PCMU  = "PCMU"
	PCMA  = "PCMA"
	G729  = "G729"
	Event = "telephone-event"
	Noise = "CN"
)

// Same reports whether two codecs are one format, whatever their payload types and parameters.
func (c Codec) Same(d Codec) bool {
	return c.Name == d.Name && c.Clock == d.Clock && c.Channels == d.Channels && c.Name != ""
}

// Audio reports whether the codec carries speech, and not events or comfort noise.
func (c Codec) Audio() bool { return c.Name != Event && c.Name != Noise && c.Name != "" }

// static is RFC 3551's table 4, the audio types.
func static(pt uint8) Codec {
	name, clock, channels := "", uint32(8000), uint8(1)
	switch pt {
	case 0:
		name = PCMU
	case 3:
		name = "GSM"
	case 4:
		name = "G723"
	case 5:
		name = "DVI4"
	case 6:
		name, clock = "DVI4", 16000
	case 7:
		name = "LPC"
	case 8:
		name = PCMA
	case 9:
		name = "G722"
	case 10:
		name, clock, channels = "L16", 44100, 2
	case 11:
		name, clock = "L16", 44100
	case 12:
		name = "QCELP"
	case 13:
		name = Noise
	case 14:
		name, clock = "MPA", 90000
	case 15:
		name = "G728"
	case 16:
		name, clock = "DVI4", 11025
	case 17:
		name, clock = "DVI4", 22050
	case 18:
		name = G729
	default:
		return Codec{Type: pt}
	}
	return Codec{Type: pt, Name: name, Clock: clock, Channels: channels}
}

// parseCodecs gives the formats of an m= line in order, each once.
func parseCodecs(m section) ([]Codec, error) {
	var maps, fmtps [128]string
	for _, a := range m.attrs {
		if a.name != "rtpmap" && a.name != "fmtp" {
			continue
		}
		number, rest, _ := strings.Cut(a.value, " ")
		pt, err := strconv.ParseUint(number, 10, 7)
		if err != nil {
			return nil, wrong(a.line, "payload type %.20q is not a number up to 127", number)
		}
		if a.name == "rtpmap" {
			maps[pt] = cmp.Or(maps[pt], strings.TrimSpace(rest))
		} else {
			fmtps[pt] = cmp.Or(fmtps[pt], strings.TrimSpace(rest))
		}
	}
	codecs := make([]Codec, 0, len(m.formats))
	var seen [128]bool
	for _, f := range m.formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			return nil, wrong(m.line, "payload type %.20q is not a number up to 127", f)
		}
		if seen[pt] {
			continue
		}
		seen[pt] = true
		c := static(uint8(pt))
		if maps[pt] != "" {
			var ok bool
			if c, ok = parseMap(uint8(pt), maps[pt]); !ok {
				return nil, wrong(m.line, "rtpmap of payload type %d is not name/clock[/channels]", pt)
			}
		}
		c.Fmtp = fmtps[pt]
		codecs = append(codecs, c)
	}
	return codecs, nil
}

// parseMap reads "opus/48000/2".
func parseMap(pt uint8, s string) (Codec, bool) {
	f := strings.Split(s, "/")
	if len(f) < 2 || len(f) > 3 || f[0] == "" || strings.ContainsAny(f[0], " \t") {
		return Codec{}, false
	}
	clock, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil || clock == 0 {
		return Codec{}, false
	}
	c := Codec{Type: pt, Name: canonical(f[0]), Clock: uint32(clock), Channels: 1}
	if len(f) == 3 && f[2] != "" {
		n, err := strconv.ParseUint(f[2], 10, 8)
		if err != nil || n == 0 {
			return Codec{}, false
		}
		c.Channels = uint8(n)
	}
	if c.Name == Opus && c.Clock == 48000 {
		c.Channels = 2 // RFC 7587 §7: always written so; some leave it out
	}
	return c, true
}

func canonical(name string) string {
	for _, known := range []string{Opus, PCMU, PCMA, G729, Event, Noise} {
		if strings.EqualFold(name, known) {
			return known
		}
	}
	if strings.EqualFold(name, "G729A") { // the same bits (ITU-T G.729 Annex A), an old misnomer
		return G729
	}
	return name
}

// Filter keeps the codecs that the box passes: Opus, PCMU, PCMA, G.729, telephone-event and comfort noise, with those
// of their parameters that are known. A payload type is dropped that RTCP multiplexing forbids (RFC 5761 §4), or that RFC 3551
// has given to another codec.
func Filter(codecs []Codec) []Codec {
	var kept []Codec
	for _, c := range codecs {
		if !passes(c) {
			continue
		}
		c.Fmtp = cleanFmtp(c)
		kept = append(kept, c)
	}
	return kept
}

func passes(c Codec) bool {
	if c.Type >= 64 && c.Type <= 95 || c.Type > 127 {
		return false
	}
	if s := static(c.Type); s.Name != "" && !s.Same(c) {
		return false
	}
	switch c.Name {
	case Opus:
		return c.Clock == 48000
	case PCMU, PCMA, G729, Noise:
		return c.Clock == 8000 && c.Channels == 1
	case Event:
		return c.Channels == 1
	}
	return false
}

// cleanFmtp leaves only parameters that are known, so that nothing of one side's making slips through to the other.
func cleanFmtp(c Codec) string {
	var known []string
	switch c.Name {
	case Event:
		if strings.Trim(c.Fmtp, "0123456789-,") == "" {
			return c.Fmtp // "0-15,16"
		}
		return ""
	case Opus: // RFC 7587 §6.1
		known = []string{"maxplaybackrate", "sprop-maxcapturerate", "minptime", "stereo", "sprop-stereo", "maxaveragebitrate", "cbr", "useinbandfec", "usedtx"}
	case G729: // RFC 4856 §2.1.9
		known = []string{"annexb"}
	}
	var kept []string
	for p := range strings.SplitSeq(c.Fmtp, ";") {
		name, value, _ := strings.Cut(p, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.ToLower(strings.TrimSpace(value))
		if !slices.Contains(known, name) {
			continue
		}
		if _, err := strconv.ParseUint(value, 10, 32); err == nil || value == "yes" || value == "no" {
			kept = append(kept, name+"="+value)
		}
	}
	return strings.Join(kept, ";")
}
