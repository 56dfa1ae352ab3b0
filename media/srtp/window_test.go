package srtp

import (
	"math/rand/v2"
	"testing"
)

// TestWindowAgainstAList: what the bits say is what a list of all indexes says, whatever the jumps.
func TestWindowAgainstAList(t *testing.T) {
	for _, jump := range []int{2, 40, 63, 64, 65, 100, 127, 128, 129, 300} {
		r := rand.New(rand.NewPCG(1, uint64(jump)))
		var w window
		used := map[uint64]bool{}
		top := uint64(1000)
		for range 5000 {
			index := top + uint64(r.IntN(jump+1))
			if r.IntN(2) == 0 {
				index = top - uint64(r.IntN(windowSize+3))
			}
			want := !used[index] && (len(used) == 0 || index+windowSize > top)
			if got := w.fresh(index); got != want {
				t.Fatalf("jumps to %d: %d with the highest at %d: fresh %t, want %t", jump, index, top, got, want)
			}
			if want {
				w.commit(index)
				used[index] = true
				if len(used) == 1 || index > top {
					top = index
				}
			}
		}
	}
}
