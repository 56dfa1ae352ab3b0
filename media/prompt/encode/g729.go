//go:build cgo && bcg729

package main

/*
#cgo LDFLAGS: -lbcg729
#include <stdint.h>
#include <bcg729/encoder.h>
*/
import "C"

import (
	"errors"
	"fmt"

	"holdfast/media/prompt"
)

// encodeG729 makes 20 ms frames of G.729 Annex A, two codec frames each, without silence descriptors. A loop is encoded twice, as with
// Opus.
func encodeG729(p piece) (*prompt.Frames, error) {
	const size, bytes = 80, 10
	enc := C.initBcg729EncoderChannel(0)
	if enc == nil {
		return nil, errors.New("libbcg729 has no memory")
	}
	defer C.closeBcg729EncoderChannel(enc)
	pcm := p.sound.resample(8000, p.loop).pcm()
	rounds := 1
	if p.loop {
		rounds = 2
	}
	var payloads [][]byte
	for range rounds {
		payloads = nil
		for i, block := range blocks(pcm, 2*size) {
			payload := make([]byte, 2*bytes)
			for half := range 2 {
				var n C.uint8_t
				C.bcg729Encoder(enc, (*C.int16_t)(&block[half*size]), (*C.uint8_t)(&payload[half*bytes]), &n)
				if n != bytes {
					return nil, fmt.Errorf("frame %d has %d bytes", i, n)
				}
			}
			payloads = append(payloads, payload)
		}
	}
	return prompt.New("G729", 8000, 160, payloads)
}
