package prompt

import "time"

// Player goes through Frames, one frame after the other and, if it loops, from the last to the first without a gap. It has no clock: who
// sends the frames takes one each Period. The zero value has nothing to play.
type Player struct {
	frames *Frames
	next   int
	loop   bool
}

// NewPlayer begins at the first frame. f may be nil: then there is nothing to play.
func NewPlayer(f *Frames, loop bool) Player { return Player{frames: f, loop: loop} }

// Next gives the next payload, which must not be changed; false at the end.
func (p *Player) Next() ([]byte, bool) {
	if p.frames == nil {
		return nil, false
	}
	if p.next == p.frames.Len() {
		if !p.loop {
			return nil, false
		}
		p.next = 0
	}
	p.next++
	return p.frames.Frame(p.next - 1), true
}

// Frames is what is being played; nil: nothing.
func (p *Player) Frames() *Frames { return p.frames }

// Change goes on with the same prompt in another codec, where it is in time. With nil there is nothing left to play.
func (p *Player) Change(f *Frames) {
	if f == p.frames {
		return
	}
	if f != nil && p.frames != nil {
		at := time.Duration(p.next) * p.frames.Period()
		p.next = min(int((at+f.Period()/2)/f.Period()), f.Len())
	}
	p.frames = f
}
