package relay

// Session is the media of one call.
type Session struct{}

// AddLeg takes an even port and the odd one above it; ErrNoPorts when there is none, ErrClosed after Close.
func (s *Session) AddLeg(side Side) (*Leg, error) { return nil, ErrNoPorts }

// Connect bridges two legs of this session in both directions and replaces what either was connected to before; with a nil b it only
// disconnects a. A leg without a Stream, or on hold, receives nothing.
func (s *Session) Connect(a, b *Leg) {}

// Events reports silence and its end; closed by Close.
func (s *Session) Events() <-chan Event { return nil }

// Close frees the ports (into the drain) and zeroes the keys. It is idempotent.
func (s *Session) Close() {}
