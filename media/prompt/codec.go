package prompt

import (
	"errors"
	"fmt"
	"strings"

	"holdfast/media/prompt/g711"
)

// fits says whether a payload lasts as long as its file says, for the codecs whose payloads tell. Names are compared without regard to
// case (RFC 4855 §3).
func fits(f *Frames, payload []byte) error {
	want, clock := 0, uint32(8000)
	switch name := strings.ToLower(f.codec); name {
	case "pcmu", "pcma", "g722": // G.722's clock counts half of its samples (RFC 3551 §4.5.2)
		want = int(f.step)
	case "g729": // 10 bytes for 10 ms; silence descriptors are not for prompts
		want = int(f.step) / 8
	case "opus":
		clock = 48000
		n, err := opusLength(payload)
		if err != nil {
			return err
		}
		if n != f.step {
			return fmt.Errorf("it lasts %d units of Opus, not %d", n, f.step)
		}
		want = len(payload)
	default:
		return nil
	}
	if f.clock != clock {
		return fmt.Errorf("the clock of %s is %d Hz", f.codec, clock)
	}
	if len(payload) != want {
		return fmt.Errorf("%d bytes of %s do not last %d units", len(payload), f.codec, f.step)
	}
	return nil
}

// opusLength is how long an Opus packet lasts, in units of 48 kHz (RFC 6716 §3.1 and 3.2).
func opusLength(payload []byte) (uint32, error) {
	toc := payload[0]
	var one uint32
	switch config := toc >> 3; {
	case config < 12: // SILK
		one = [...]uint32{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid
		one = 480 << (config & 1)
	default: // CELT
		one = 120 << (config & 3)
	}
	count := uint32(1)
	switch toc & 3 {
	case 1, 2:
		count = 2
	case 3:
		if len(payload) < 2 || payload[1]&0x3f == 0 {
			return 0, errors.New("the Opus packet does not say how many frames it has")
		}
		count = uint32(payload[1] & 0x3f)
	}
	if one*count > 5760 {
		return 0, fmt.Errorf("the Opus packet lasts more than 120 ms")
	}
	return one * count, nil
}

// toALaw makes PCMA of PCMU, as gateways between the two do. The loss is less than either code's own.
func toALaw(f *Frames) (*Frames, error) {
	out := make([][]byte, len(f.distinct))
	for i, p := range f.distinct {
		out[i] = make([]byte, len(p))
		for j, c := range p {
			out[i][j] = g711.EncodeALaw(g711.DecodeULaw(c))
		}
	}
	payloads := make([][]byte, len(f.order))
	for i, n := range f.order {
		payloads[i] = out[n]
	}
	return New("PCMA", f.clock, f.step, payloads)
}
