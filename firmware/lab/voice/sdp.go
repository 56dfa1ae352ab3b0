package voice

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Codec is one format of the audio line.
type Codec struct {
	Type  uint8
	Name  string // as in a=rtpmap, lower case: "opus", "pcmu", "telephone-event"
	Clock uint32
}

// Crypto is one a=crypto line (RFC 4568).
type Crypto struct {
	Tag   int
	Suite string
	Key   []byte // master key and salt
}

// Description is one audio stream, as offered or answered.
type Description struct {
	Addr      netip.AddrPort
	Profile   string
	Crypto    []Crypto
	Codecs    []Codec
	Direction string // sendrecv, sendonly, recvonly, inactive
	Mux       bool
	Session   uint64
	Version   uint64
}

// Marshal writes the description as SDP (RFC 8866).
func (d Description) Marshal() []byte {
	var b strings.Builder
	ip := d.Addr.Addr()
	fmt.Fprintf(&b, "v=0\r\no=- %d %d IN IP4 %s\r\ns=call\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d %s",
		d.Session, d.Version, ip, ip, d.Addr.Port(), d.Profile)
	for _, c := range d.Codecs {
		fmt.Fprintf(&b, " %d", c.Type)
	}
	b.WriteString("\r\n")
	for _, c := range d.Crypto {
		fmt.Fprintf(&b, "a=crypto:%d %s inline:%s\r\n", c.Tag, c.Suite, base64.StdEncoding.EncodeToString(c.Key))
	}
	for _, c := range d.Codecs {
		switch c.Name {
		case "opus":
			fmt.Fprintf(&b, "a=rtpmap:%d opus/48000/2\r\na=fmtp:%d useinbandfec=1\r\n", c.Type, c.Type)
		case "telephone-event":
			fmt.Fprintf(&b, "a=rtpmap:%d telephone-event/%d\r\na=fmtp:%d 0-15\r\n", c.Type, c.Clock, c.Type)
		default:
			fmt.Fprintf(&b, "a=rtpmap:%d %s/%d\r\n", c.Type, strings.ToUpper(c.Name), c.Clock)
		}
	}
	fmt.Fprintf(&b, "a=ptime:20\r\na=%s\r\n", d.Direction)
	return []byte(b.String())
}

// ParseDescription reads the audio stream of an SDP body. It is strict about what the lab relies on.
func ParseDescription(body []byte) (Description, error) {
	d := Description{Direction: "sendrecv"}
	maps := map[uint8]Codec{0: {0, "pcmu", 8000}, 8: {8, "pcma", 8000}, 18: {18, "g729", 8000}}
	var formats []uint8
	var ip netip.Addr
	audio, streams := false, 0
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\r\n")
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return d, fmt.Errorf("sdp line %q", line)
		}
		f := strings.Fields(value)
		switch {
		case key == "o" && len(f) == 6:
			d.Session, _ = strconv.ParseUint(f[1], 10, 64)
			d.Version, _ = strconv.ParseUint(f[2], 10, 64)
		case key == "c" && (streams == 0 || audio):
			if len(f) != 3 || f[1] != "IP4" {
				return d, fmt.Errorf("sdp line %q is not IPv4", line)
			}
			var err error
			if ip, err = netip.ParseAddr(f[2]); err != nil {
				return d, fmt.Errorf("sdp line %q: %w", line, err)
			}
		case key == "m":
			streams++
			audio = len(f) > 3 && f[0] == "audio"
			if !audio {
				continue
			}
			port, err := strconv.ParseUint(f[1], 10, 16)
			if err != nil {
				return d, fmt.Errorf("sdp line %q: %w", line, err)
			}
			d.Addr, d.Profile = netip.AddrPortFrom(ip, uint16(port)), f[2]
			for _, t := range f[3:] {
				n, err := strconv.ParseUint(t, 10, 7)
				if err != nil {
					return d, fmt.Errorf("sdp line %q: %w", line, err)
				}
				formats = append(formats, uint8(n))
			}
		case key == "a" && (audio || streams == 0):
			if err := d.attribute(value, maps); err != nil {
				return d, fmt.Errorf("sdp line %q: %w", line, err)
			}
		}
	}
	d.Addr = netip.AddrPortFrom(ip, d.Addr.Port())
	if len(formats) == 0 || !ip.IsValid() {
		return d, errors.New("sdp without an audio stream and its address")
	}
	for _, t := range formats {
		if c, ok := maps[t]; ok {
			d.Codecs = append(d.Codecs, c)
		}
	}
	return d, nil
}

func (d *Description) attribute(value string, maps map[uint8]Codec) error {
	name, arg, _ := strings.Cut(value, ":")
	f := strings.Fields(arg)
	switch name {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		d.Direction = name
	case "rtcp-mux":
		d.Mux = true
	case "rtpmap":
		if len(f) != 2 {
			return errors.New("want type and encoding")
		}
		t, err := strconv.ParseUint(f[0], 10, 7)
		if err != nil {
			return err
		}
		enc := strings.Split(f[1], "/")
		if len(enc) < 2 {
			return errors.New("want name/clock")
		}
		clock, err := strconv.ParseUint(enc[1], 10, 32)
		if err != nil {
			return err
		}
		maps[uint8(t)] = Codec{uint8(t), strings.ToLower(enc[0]), uint32(clock)}
	case "crypto":
		if len(f) < 3 {
			return errors.New("want tag, suite and key")
		}
		tag, err := strconv.Atoi(f[0])
		if err != nil {
			return err
		}
		inline, ok := strings.CutPrefix(f[2], "inline:")
		if !ok {
			return errors.New("key is not inline")
		}
		inline, _, _ = strings.Cut(inline, "|")
		key, err := base64.StdEncoding.DecodeString(inline)
		if err != nil {
			return err
		}
		d.Crypto = append(d.Crypto, Crypto{tag, f[1], key})
	}
	return nil
}

// Reverse is the answer's direction to an offer's (RFC 3264 §6.1).
func Reverse(direction string) string {
	switch direction {
	case "sendonly":
		return "recvonly"
	case "recvonly":
		return "sendonly"
	}
	return direction
}
