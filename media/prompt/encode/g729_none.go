//go:build !cgo || !bcg729

package main

import "holdfast/media/prompt"

func encodeG729(piece) (*prompt.Frames, error) { return nil, nil }
