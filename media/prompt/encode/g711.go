package main

import (
	"holdfast/media/prompt"
	"holdfast/media/prompt/g711"
)

// encodeULaw makes 20 ms frames of PCMU.
func encodeULaw(p piece) (*prompt.Frames, error) {
	var payloads [][]byte
	for _, block := range blocks(p.sound.resample(8000, p.loop).pcm(), 160) {
		payload := make([]byte, len(block))
		for i, x := range block {
			payload[i] = g711.EncodeULaw(x)
		}
		payloads = append(payloads, payload)
	}
	return prompt.New("PCMU", 8000, 160, payloads)
}
