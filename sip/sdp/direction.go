package sdp

// Direction is a=sendrecv and its kin, from the point of view of whoever wrote it. The zero value is SendRecv, which is
// also what a missing attribute means (RFC 8866 §6.7).
type Direction uint8

// The four directions.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

// Sends reports whether the writer sends.
func (d Direction) Sends() bool { return d == SendRecv || d == SendOnly }

// Receives reports whether the writer receives; if not, it holds the other side.
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// Reverse is the same stream seen from the other side: the widest answer to an offer of d (RFC 3264 §6.1).
func (d Direction) Reverse() Direction { return direction(d.Receives(), d.Sends()) }

// And allows only what both allow. Both must be seen from the same side.
func (d Direction) And(e Direction) Direction {
	return direction(d.Sends() && e.Sends(), d.Receives() && e.Receives())
}

// String is the attribute's name.
func (d Direction) String() string {
	switch d {
	case SendRecv:
		return "sendrecv"
	case SendOnly:
		return "sendonly"
	case RecvOnly:
		return "recvonly"
	}
	return "inactive"
}

func direction(sends, receives bool) Direction {
	switch {
	case sends && receives:
		return SendRecv
	case sends:
		return SendOnly
	case receives:
		return RecvOnly
	}
	return Inactive
}

func parseDirection(name string) (Direction, bool) {
	for d := SendRecv; d <= Inactive; d++ {
		if name == d.String() {
			return d, true
		}
	}
	return 0, false
}
