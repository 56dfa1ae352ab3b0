package digest

import "sync"

// replays remembers which counts (nc) of which nonces have been used. It holds two generations of at most half entries each;
// when the younger is full, the older is forgotten, and with it every nonce up to the highest number in it: what is not
// remembered and not above that floor is refused, so forgetting never lets a replay in.
type replays struct {
	half  int
	mu    sync.Mutex
	young map[uint64]window
	old   map[uint64]window
	floor uint64
}

// use reports whether the count is new for the nonce, and takes it. Call it for authenticated answers only.
func (r *replays) use(number uint64, nc uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, ok := r.young[number]
	if !ok {
		if w, ok = r.old[number]; !ok && number <= r.floor {
			return false
		}
	}
	if !w.use(nc) {
		return false
	}
	delete(r.old, number)
	if _, ok := r.young[number]; !ok && len(r.young) >= r.half {
		r.rotate()
	}
	if r.young == nil {
		r.young = make(map[uint64]window)
	}
	r.young[number] = w
	return true
}

func (r *replays) rotate() {
	for number := range r.old {
		r.floor = max(r.floor, number)
	}
	r.old, r.young = r.young, nil
}

// window is the set of counts used: the highest, and which of the 64 up to it. Requests of one phone may overtake each other; a
// count further back is taken for used. The zero window has seen nothing; count 0 does not exist.
type window struct {
	high uint32
	seen uint64 // bit i: high-i
}

func (w *window) use(nc uint32) bool {
	switch {
	case nc > w.high:
		w.seen = w.seen<<min(nc-w.high, 64) | 1
		w.high = nc
	case w.high-nc >= 64 || w.seen>>(w.high-nc)&1 == 1:
		return false
	default:
		w.seen |= 1 << (w.high - nc)
	}
	return true
}
