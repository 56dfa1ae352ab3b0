package relay

// Quality is how one leg of a session is doing.
type Quality struct {
	Session string // the id that Open was given
	Side    Side
	Stats   LegStats
}

// Qualities lists the legs of all sessions; those of a session stand together, in the order in which they were added.
func (r *Relay) Qualities() []Quality {
	var out []Quality
	for _, s := range r.list() {
		s.mu.Lock()
		for _, l := range s.legs {
			out = append(out, Quality{s.id, l.side, l.Stats()})
		}
		s.mu.Unlock()
	}
	return out
}
