package trace

// links knows which Call-IDs belong to which call; the oldest go first.
type links struct {
	row   []link
	next  int
	calls map[string]string   // Call-ID → call
	legs  map[string][]string // call → Call-IDs
}

type link struct{ call, callID string }

// longestID bounds what a Call-ID from the network may cost here.
const longestID = 256

// legsMost are the Call-IDs of one call; a call that forks more often shows its first ones.
const legsMost = 64

func newLinks(most int) links {
	return links{row: make([]link, max(most, 64)), calls: make(map[string]string), legs: make(map[string][]string)}
}

func (l *links) add(call, callID string) {
	if call == "" || callID == "" || len(callID) > longestID || l.calls[callID] == call || len(l.legs[call]) >= legsMost {
		return
	}
	l.drop(l.row[l.next])
	l.row[l.next] = link{call, callID}
	l.next = (l.next + 1) % len(l.row)
	l.calls[callID] = call // a dialog that goes on in another call belongs to both
	l.legs[call] = append(l.legs[call], callID)
}

func (l *links) drop(x link) {
	if x.call == "" {
		return
	}
	if l.calls[x.callID] == x.call {
		delete(l.calls, x.callID)
	}
	list := l.legs[x.call]
	for i, id := range list {
		if id == x.callID {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(l.legs, x.call)
	} else {
		l.legs[x.call] = list
	}
}

func (l *links) call(callID []byte) string { return l.calls[string(callID)] }

func (l *links) ids(call string) []string { return l.legs[call] }
