//go:build cgo && libopus

package main

import (
	"fmt"
	"slices"

	"github.com/hraban/opus"

	"holdfast/media/prompt"
)

// encodeOpus makes 20 ms frames of Opus, one channel. A loop is encoded twice and the second round kept: there the decoder comes from the
// loop's end, as it will when the loop is played.
func encodeOpus(p piece) (*prompt.Frames, error) {
	const rate, size = 16000, 320
	application, bitrate := opus.AppVoIP, 16000
	if p.music {
		application, bitrate = opus.AppAudio, 24000
	}
	enc, err := opus.NewEncoder(rate, 1, application)
	if err != nil {
		return nil, err
	}
	if err := enc.SetBitrate(bitrate); err != nil {
		return nil, err
	}
	if err := enc.SetComplexity(10); err != nil {
		return nil, err
	}
	frames := blocks(p.sound.resample(rate, p.loop).pcm(), size)
	skip := 0
	if p.loop {
		skip = len(frames)
		frames = append(slices.Clone(frames), frames...)
	}
	var payloads [][]byte
	buf := make([]byte, prompt.MaxFrame)
	for i, block := range frames {
		n, err := enc.Encode(block, buf)
		if err != nil {
			return nil, fmt.Errorf("frame %d: %w", i, err)
		}
		if i >= skip {
			payloads = append(payloads, slices.Clone(buf[:n]))
		}
	}
	return prompt.New("opus", 48000, 960, payloads)
}
