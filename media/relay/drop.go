package relay

// reason is why a packet went no further.
type reason uint8

const (
	garbage     reason = iota // neither RTP nor RTCP
	malformed                 // does not hold what its header says
	early                     // no stream negotiated yet
	stranger                  // from an address that may not speak
	forged                    // did not authenticate
	replayed                  // sealed by the peer, but seen before or too old
	unconnected               // the leg is connected to nobody
	held                      // the other peer is to receive nothing
	payload                   // payload type not negotiated, or with no counterpart
	late                      // belongs before the last change of source, or was sent before
	unsealed                  // could not be sealed
	unkeyed                   // could not be sealed: the other peer's key is a third one's
	covered                   // the other peer hears a prompt instead
	unread                    // a digit for which the call had no room
	reasons
)

var reasonNames = [reasons]string{
	"garbage", "malformed", "early", "stranger", "forged", "replayed", "unconnected", "held", "payload", "late", "unsealed", "unkeyed", "covered", "unread",
}

// drop counts a packet that the peer, or somebody in its name, sent. What is held or has nowhere to go is not the peer's fault.
func (l *Leg) drop(r reason) {
	l.w.drops[r].Add(1)
	switch r {
	case forged:
		l.count.forged.Add(1)
	case replayed:
		l.count.replayed.Add(1)
	case unconnected, held, covered, unread:
	default:
		l.count.dropped.Add(1)
	}
}
