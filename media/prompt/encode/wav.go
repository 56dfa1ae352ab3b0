package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// parseWAV reads a RIFF file of 16-bit PCM; several channels become one. A data chunk of unknown length, as a program writes it that
// does not know the end yet, goes to the end of the file.
func parseWAV(b []byte) (sound, error) {
	le := binary.LittleEndian
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return sound{}, errors.New("not a WAV file")
	}
	var s sound
	channels := 0
	for b = b[12:]; len(b) >= 8; {
		kind, size := string(b[:4]), int(le.Uint32(b[4:]))
		b = b[8:]
		if size > len(b) {
			if kind != "data" {
				return sound{}, errors.New("the WAV file is cut off")
			}
			size = len(b)
		}
		body := b[:size]
		switch kind {
		case "fmt ":
			if size < 16 || le.Uint16(body) != 1 || le.Uint16(body[14:]) != 16 {
				return sound{}, errors.New("the WAV file is not 16-bit PCM")
			}
			channels, s.rate = int(le.Uint16(body[2:])), int(le.Uint32(body[4:]))
			if channels < 1 || channels > 8 || s.rate < 8000 || s.rate > 192000 {
				return sound{}, fmt.Errorf("the WAV file has %d channels at %d Hz", channels, s.rate)
			}
		case "data":
			if channels == 0 {
				return sound{}, errors.New("the WAV file does not say its format")
			}
			for ; len(body) >= 2*channels; body = body[2*channels:] {
				sum := 0.0
				for c := range channels {
					sum += float64(int16(le.Uint16(body[2*c:])))
				}
				s.samples = append(s.samples, sum/float64(channels)/32768)
			}
			if len(s.samples) == 0 {
				return sound{}, errors.New("the WAV file has no sound")
			}
			return s, nil
		}
		b = b[min(size+size%2, len(b)):]
	}
	return sound{}, errors.New("the WAV file has no sound")
}
