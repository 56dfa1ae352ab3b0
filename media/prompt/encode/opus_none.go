//go:build !cgo || !libopus

package main

import "holdfast/media/prompt"

func encodeOpus(piece) (*prompt.Frames, error) { return nil, nil }
