package srtp

// windowSize is how many indexes behind the highest one are remembered (RFC 3711 §3.3.2 asks for 64 at least).
const windowSize = 128

// window remembers which indexes of one stream were used. The zero value is empty.
type window struct {
	top     uint64 // highest index
	seen    [2]uint64
	started bool
}

// fresh says whether index is neither used nor too old to know.
func (w *window) fresh(index uint64) bool {
	if !w.started || index > w.top {
		return true
	}
	behind := w.top - index
	return behind < windowSize && w.seen[behind/64]>>(behind%64)&1 == 0
}

// commit marks index, which must be fresh, as used.
func (w *window) commit(index uint64) {
	switch {
	case !w.started:
		w.started, w.top, w.seen = true, index, [2]uint64{1}
	case index > w.top:
		switch n := index - w.top; {
		case n < 64:
			w.seen[1] = w.seen[1]<<n | w.seen[0]>>(64-n)
			w.seen[0] <<= n
		case n < windowSize:
			w.seen[1] = w.seen[0] << (n - 64)
			w.seen[0] = 0
		default:
			w.seen = [2]uint64{}
		}
		w.seen[0] |= 1
		w.top = index
	default:
		behind := w.top - index
		w.seen[behind/64] |= 1 << (behind % 64)
	}
}

// estimate is the 48-bit index that a 16-bit sequence number most likely stands for (RFC 3711 §3.3.1, appendix A): the nearest to the
// highest one. A stream that has not started is at roll-over count roc. False: before the first index there is.
func (w *window) estimate(seq uint16, roc uint32) (uint64, bool) {
	if !w.started {
		return uint64(roc)<<16 | uint64(seq), true
	}
	index := int64(w.top) + int64(int16(seq-uint16(w.top)))
	return uint64(index), index >= 0 && index < 1<<48
}
