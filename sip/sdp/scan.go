package sdp

import (
	"strconv"
	"strings"
)

// Bounds of what Parse reads. Real descriptions are a tenth of this.
const (
	maxBody    = 16 << 10
	maxLines   = 512
	maxMedia   = 16
	maxFormats = 64
	maxCrypto  = 16
)

// section is the session part or one m= line with what follows it, not yet understood.
type section struct {
	line    int // of the m= line
	media   MediaLine
	port    uint16
	formats []string
	conn    string // value of the c= line
	connAt  int
	attrs   []attr
}

type attr struct {
	line        int
	name, value string
}

// scan cuts a body into the o= value and sections; the first section is the session's. It accepts bare LF, blank lines and trailing
// blanks, which phones in the field send.
func scan(body []byte) (origin attr, sections []section, err error) {
	if len(body) > maxBody {
		return attr{}, nil, wrong(0, "%d bytes, more than %d", len(body), maxBody)
	}
	sections = make([]section, 1, 2)
	n, seen := 0, false
	for line := range strings.SplitSeq(string(body), "\n") {
		n++
		if n > maxLines {
			return attr{}, nil, wrong(n, "more than %d lines", maxLines)
		}
		line = strings.TrimRight(line, "\r \t")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return attr{}, nil, wrong(n, "not of the form x=value")
		}
		if strings.ContainsFunc(line, control) {
			return attr{}, nil, wrong(n, "control character")
		}
		key, value := line[0], line[2:]
		if !seen {
			if key != 'v' || strings.TrimSpace(value) != "0" {
				return attr{}, nil, wrong(n, "does not begin with v=0")
			}
			seen = true
			continue
		}
		at := &sections[len(sections)-1]
		switch key {
		case 'o':
			if origin.line != 0 || len(sections) > 1 {
				return attr{}, nil, wrong(n, "second or misplaced o= line")
			}
			origin = attr{n, "o", value}
		case 'c':
			if at.conn != "" {
				return attr{}, nil, wrong(n, "second c= line")
			}
			at.conn, at.connAt = value, n
		case 'a':
			name, v, _ := strings.Cut(value, ":")
			at.attrs = append(at.attrs, attr{n, strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(v)})
		case 'm':
			if len(sections) > maxMedia {
				return attr{}, nil, wrong(n, "more than %d media lines", maxMedia)
			}
			s, err := scanMedia(n, value)
			if err != nil {
				return attr{}, nil, err
			}
			sections = append(sections, s)
		}
	}
	if origin.line == 0 {
		return attr{}, nil, wrong(0, "no v= and o= lines")
	}
	return origin, sections, nil
}

func scanMedia(n int, value string) (section, error) {
	f := strings.Fields(value)
	if len(f) < 3 {
		return section{}, wrong(n, "m= line with fewer than three fields")
	}
	if len(f)-3 > maxFormats {
		return section{}, wrong(n, "more than %d formats", maxFormats)
	}
	port, _, _ := strings.Cut(f[1], "/") // "5004/2": a pair of streams; we take the first
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return section{}, wrong(n, "port %.20q is not a number up to 65535", port)
	}
	s := section{line: n, media: MediaLine{Kind: strings.ToLower(f[0]), Proto: f[2], Format: "0"}, port: uint16(p), formats: f[3:]}
	if len(s.formats) > 0 {
		s.media.Format = s.formats[0]
	}
	return s, nil
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
