package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Local is what the box itself says about one leg's audio, as an offer or as an answer.
type Local struct {
	Addr               netip.AddrPort // RTP; RTCP is one port above, or the same with Mux
	SessionID, Version uint64         // Version grows by one with each changed description of a dialog (RFC 3264 §8)
	Profile            string         // an answer repeats the offer's
	Crypto             []Crypto       // an offer: one for each suite; an answer: the accepted one (Crypto.Answer)
	Codecs             []Codec
	Direction          Direction
	Ptime              int // ms; 0: not said
	Mux                bool
	// Lines and Index are those of the peer's description, so that every other m= line is there too, with port 0 (RFC 3264 §6, §8).
	// nil: the audio line alone. Rejected lines of any dialog stay in its later offers.
	Lines []MediaLine
	Index int
}

// Marshal writes the description. It fails for a Local that would not be valid: no IPv4 address or port, an unknown profile, no
// codec, a key that does not fit its suite, an Index outside Lines.
func (l Local) Marshal() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("marshal SDP: %w", err)
	}
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	put("v=0")
	put("o=- %d %d IN IP4 %s", l.SessionID, l.Version, l.Addr.Addr())
	put("s=-")
	put("c=IN IP4 %s", l.Addr.Addr())
	put("t=0 0")
	lines := l.Lines
	if lines == nil {
		lines = []MediaLine{{}}
	}
	for i, m := range lines {
		if i != l.Index {
			put("m=%s 0 %s %s", m.Kind, m.Proto, m.Format)
			continue
		}
		if err := l.audio(put); err != nil {
			return nil, fmt.Errorf("marshal SDP: %w", err)
		}
	}
	return []byte(b.String()), nil
}

func (l Local) check() error {
	switch {
	case !l.Addr.Addr().Is4() || l.Addr.Addr().IsUnspecified() || l.Addr.Port() == 0:
		return fmt.Errorf("no IPv4 address and port: %v", l.Addr)
	case profile(l.Profile) != l.Profile || l.Profile == "":
		return fmt.Errorf("unknown profile %q", l.Profile)
	case len(l.Codecs) == 0:
		return errors.New("no codecs")
	case l.Lines == nil && l.Index != 0, l.Lines != nil && (l.Index < 0 || l.Index >= len(l.Lines)):
		return fmt.Errorf("audio line %d of %d", l.Index, len(l.Lines))
	}
	return nil
}

func (l Local) audio(put func(string, ...any)) error {
	types := make([]string, len(l.Codecs))
	for i, c := range l.Codecs {
		types[i] = strconv.Itoa(int(c.Type))
	}
	put("m=audio %d %s %s", l.Addr.Port(), l.Profile, strings.Join(types, " "))
	for _, c := range l.Crypto {
		line, err := c.line()
		if err != nil {
			return err
		}
		put("a=crypto:%s", line)
	}
	for _, c := range l.Codecs {
		if c.Name != "" && c.Channels > 1 {
			put("a=rtpmap:%d %s/%d/%d", c.Type, c.Name, c.Clock, c.Channels)
		} else if c.Name != "" {
			put("a=rtpmap:%d %s/%d", c.Type, c.Name, c.Clock)
		}
		if c.Fmtp != "" {
			put("a=fmtp:%d %s", c.Type, c.Fmtp)
		}
	}
	if l.Ptime > 0 {
		put("a=ptime:%d", l.Ptime)
	}
	put("a=%s", l.Direction)
	if l.Mux {
		put("a=rtcp-mux")
	}
	return nil
}

// Equal reports whether two descriptions say the same, their versions aside; if not, the caller raises Version.
func (l Local) Equal(m Local) bool {
	l.Version = m.Version
	a, errA := l.Marshal()
	b, errB := m.Marshal()
	return errA == nil && errB == nil && slices.Equal(a, b)
}
