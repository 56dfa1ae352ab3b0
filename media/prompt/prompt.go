package prompt

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Prompt is one announcement or piece of music in every codec that there is of it. It is immutable.
type Prompt struct {
	name   string
	frames []*Frames
}

// slack is how much two codecs' versions of one prompt may differ in length.
const slack = 100 * time.Millisecond

// NewPrompt puts the versions of a prompt together. PCMA is made from PCMU where it is missing.
func NewPrompt(name string, frames ...*Frames) (*Prompt, error) {
	p := &Prompt{name: name}
	for _, f := range frames {
		if p.For(f.codec, f.clock) != nil {
			return nil, fmt.Errorf("prompt %s: %s is there twice", name, f.codec)
		}
		if d := f.Duration() - frames[0].Duration(); max(d, -d) > slack {
			return nil, fmt.Errorf("prompt %s: it lasts %v in %s and %v in %s", name, f.Duration(), f.codec, frames[0].Duration(), frames[0].codec)
		}
		p.frames = append(p.frames, f)
	}
	if len(p.frames) == 0 {
		return nil, fmt.Errorf("prompt %s: %w", name, errors.New("it has no frames"))
	}
	if mu := p.For("PCMU", 8000); mu != nil && p.For("PCMA", 8000) == nil {
		f, err := toALaw(mu)
		if err != nil {
			return nil, fmt.Errorf("prompt %s: %w", name, err)
		}
		p.frames = append(p.frames, f)
	}
	return p, nil
}

// Name is what the prompt is called in its set.
func (p *Prompt) Name() string { return p.name }

// Duration is how long it lasts once.
func (p *Prompt) Duration() time.Duration { return p.frames[0].Duration() }

// For gives the version for a codec by its name in a=rtpmap, in any case, and its clock in Hz; nil if there is none.
func (p *Prompt) For(codec string, clock uint32) *Frames {
	for _, f := range p.frames {
		if f.clock == clock && strings.EqualFold(f.codec, codec) {
			return f
		}
	}
	return nil
}
