package registrar

import (
	"net/netip"
	"slices"
	"time"
)

// FlowGone marks what was registered over a lost connection unreachable, and returns it. The bindings stay until they run
// out: their phones come back over another connection.
func (r *Registrar) FlowGone(f Flow) []Binding {
	if f == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []Binding
	for _, e := range slices.Clone(r.table.flows[f]) {
		r.table.unflow(e)
		gone = append(gone, e.Binding)
	}
	r.changed(gone)
	return gone
}

// Reached marks what was registered from an address reachable again over a flow, and returns it: a device on UDP needs no
// connection for that.
func (r *Registrar) Reached(now time.Time, source netip.AddrPort, f Flow) []Binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var back []Binding
	for _, e := range r.table.expiry {
		if e.Flow == 0 && e.Source == source && e.live(now) {
			e.Flow = f
			r.table.flows[f] = append(r.table.flows[f], e)
			back = append(back, e.Binding)
		}
	}
	r.changed(back)
	return back
}

// Expire removes what has run out, and returns it.
func (r *Registrar) Expire(now time.Time) []Binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Binding
	for len(r.table.expiry) > 0 && !r.table.expiry[0].live(now) {
		out = append(out, r.take(r.table.expiry[0]))
	}
	r.changed(out)
	return out
}

// Remove takes all bindings of a user away, and returns them: for a user that is no longer in the site document.
func (r *Registrar) Remove(aor string) []Binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Binding
	for _, e := range slices.Clone(r.table.users[aor]) {
		out = append(out, r.take(e))
	}
	r.changed(out)
	return out
}

// Clear takes all bindings away, and returns them: the cloud is back and the phones are sent home.
func (r *Registrar) Clear() []Binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Binding, len(r.table.expiry))
	for i, e := range r.table.expiry {
		out[i] = e.Binding
	}
	r.table = newTable()
	r.changed(out)
	return out
}

// Restore brings the bindings of a snapshot back, unreachable until their phones register again, and returns how many. What has run
// out, is not valid, or would displace or crowd out what is here is left out; none lasts longer than a fresh one could.
func (r *Registrar) Restore(now time.Time, list []Binding) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, b := range list {
		q := Request{AOR: b.AOR, CallID: b.CallID, Contacts: []Contact{b.Contact}}
		have := r.table.users[b.AOR]
		if q.check() != nil || !b.Expires.After(now) || len(have) >= r.maxContacts || len(r.table.expiry) >= r.maxBindings ||
			slices.ContainsFunc(have, func(e *entry) bool { return e.same(b.Contact) }) {
			continue
		}
		if latest := now.Add(r.max); b.Expires.After(latest) {
			b.Expires = latest
		}
		b.Flow, b.Q, b.RegID = 0, clampQ(b.Q), max(b.RegID, 0)
		b.UserAgent = b.UserAgent[:min(len(b.UserAgent), maxUserAgent)]
		r.table.insert(b)
		n++
	}
	if n > 0 {
		r.generation++
	}
	return n
}

// take removes an entry; what it returns still has its flow.
func (r *Registrar) take(e *entry) Binding {
	b := e.Binding
	r.table.remove(e)
	return b
}

func (r *Registrar) changed(list []Binding) {
	if len(list) > 0 {
		r.generation++
	}
}
