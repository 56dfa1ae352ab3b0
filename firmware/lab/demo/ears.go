package demo

import (
	"context"
	"fmt"
	"math"
	"time"

	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
)

const (
	minShare  = 0.9  // of the energy in the expected tone
	minPCMU   = 50   // packets, one second
	minFrames = 75   // Opus frames, a second and a half
	maxLoss   = 0.02 // of the packets
	tolerance = 10.0 // Hz
)

// tones checks that each end hears the other's tone, clearly and without loss.
func tones(ctx context.Context, n *script.Notes, a *ua.Call, aHears float64, b *ua.Call, bHears float64) error {
	listen(ctx, a, b)
	for _, end := range []struct {
		name string
		c    *ua.Call
		hz   float64
	}{{"caller hears", a, aHears}, {"callee hears", b, bHears}} {
		if err := poll(ctx, func() error { return isTone(end.c.Media().Heard(), end.hz) }); err != nil {
			return fmt.Errorf("%s: %w", end.name, err)
		}
		h := end.c.Media().Heard()
		n.Saw("%s %.0f Hz (%.1f %%)", end.name, h.Hz, 100*h.Share)
	}
	return nil
}

func isTone(h voice.Heard, hz float64) error {
	switch {
	case h.Packets < minPCMU:
		return fmt.Errorf("only %d packets (%d not authentic)", h.Packets, h.Failed)
	case math.Abs(h.Hz-hz) > tolerance || h.Share < minShare:
		return fmt.Errorf("%.0f Hz with %.0f %% of the energy, not %.0f Hz", h.Hz, 100*h.Share, hz)
	}
	return clean(h)
}

// clean checks what must hold for any stream.
func clean(h voice.Heard) error {
	switch {
	case h.Failed > 0:
		return fmt.Errorf("%d packets were not authentic", h.Failed)
	case h.Unknown > 0:
		return fmt.Errorf("%d packets of a payload type that was not agreed on", h.Unknown)
	case float64(h.Lost) > maxLoss*float64(h.Packets+h.Lost):
		return fmt.Errorf("%d of %d packets were lost", h.Lost, h.Packets+h.Lost)
	case h.Sources > 1:
		return fmt.Errorf("%d different SSRCs in one stream", h.Sources)
	}
	return nil
}

// frames checks that each end gets the other's Opus recording, byte for byte.
func frames(ctx context.Context, n *script.Notes, a *ua.Call, aHears int, b *ua.Call, bHears int) error {
	listen(ctx, a, b)
	for _, end := range []struct {
		name      string
		c         *ua.Call
		recording int
	}{{"caller", a, aHears}, {"callee", b, bHears}} {
		if err := poll(ctx, func() error {
			if h := end.c.Media().Heard(); h.OpusGood < minFrames {
				return fmt.Errorf("only %d genuine frames (%d spoiled, %d not authentic, codec %q)", h.OpusGood, h.OpusBad, h.Failed, h.Codec)
			}
			return nil
		}); err != nil {
			return fmt.Errorf("%s: %w", end.name, err)
		}
		h := end.c.Media().Heard()
		if h.OpusBad > 0 || h.Recording != end.recording {
			return fmt.Errorf("%s: %d frames spoiled or out of order, recording %d instead of %d", end.name, h.OpusBad, h.Recording, end.recording)
		}
		if err := clean(h); err != nil {
			return fmt.Errorf("%s: %w", end.name, err)
		}
		n.Saw("%s got %d frames, all equal", end.name, h.OpusGood)
	}
	return nil
}

// digits checks that telephone events arrive.
func digits(ctx context.Context, n *script.Notes, from, to *ua.Call, text string) error {
	to.Media().Listen()
	if err := from.Media().Dial(text); err != nil {
		return err
	}
	if err := poll(ctx, func() error {
		if got := to.Media().Heard().Digits; got != text {
			return fmt.Errorf("digits %q arrived as %q", text, got)
		}
		return nil
	}); err != nil {
		return err
	}
	n.Saw("digits %s arrived", text)
	return nil
}

// music checks that an end hears something for a second, and that it is not the tone of the one who holds it.
func music(ctx context.Context, c *ua.Call, hz float64) error {
	listen(ctx, c)
	sleep(ctx, time.Second)
	h := c.Media().Heard()
	if h.Packets < minPCMU/2 {
		return fmt.Errorf("%d packets of music arrived in a second", h.Packets)
	}
	if math.Abs(h.Hz-hz) < tolerance && h.Share > minShare {
		return fmt.Errorf("the holder's tone of %.0f Hz is still heard", hz)
	}
	return nil
}
