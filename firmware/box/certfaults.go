package box

import (
	"sync"

	"holdfast/firmware/certs"
)

// certFaults say why what is on the card is not in force, each use by itself: that one is mended hides no other.
type certFaults struct {
	mu sync.Mutex
	of map[certs.Use]string
}

func (f *certFaults) set(use certs.Use, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = make(map[certs.Use]string)
	}
	if delete(f.of, use); err != nil {
		f.of[use] = err.Error()
	}
}

// alarms are the faults in words.
func (f *certFaults) alarms() (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, use := range []certs.Use{certs.Phones, certs.Trunk, certs.SBC} {
		if why := f.of[use]; why != "" {
			out = append(out, "certificates on the card cannot be used: "+why)
		}
	}
	return out
}
