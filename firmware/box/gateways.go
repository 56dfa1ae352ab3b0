package box

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"holdfast/sip/b2bua"
	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Gateways are devices that the site document allows SIP without TLS: analogue adapters for elevator phones, fax machines and
// door phones, known by their one address.

// gateways are those that the stack was told of: the document's, and any that a document before it named while they are in a
// call for help, which no change of the document cuts.
type gateways struct {
	mu       sync.Mutex
	udp, tcp []netip.Addr
	helped   map[netip.Addr]time.Time // when last seen in one
	leaving  bool                     // some are not the document's any more
}

// afterHelp is how long a gateway stays after its call for help: until BYE has been answered or given up (RFC 3261 timer F).
const afterHelp = 40 * time.Second

// openGateways lets the stack listen for those of the document, and for nobody else.
func (b *Box) openGateways(s *site.Site) {
	b.gateways.mu.Lock()
	defer b.gateways.mu.Unlock()
	b.nameGateways(s, time.Now())
}

// releaseGateways lets those go that are no longer the document's, as soon as their calls for help are over.
func (b *Box) releaseGateways(now time.Time) {
	b.gateways.mu.Lock()
	defer b.gateways.mu.Unlock()
	if b.gateways.leaving {
		b.nameGateways(b.site.Load(), now)
	}
}

// nameGateways tells the stack. The caller holds gateways.mu.
func (b *Box) nameGateways(s *site.Site, now time.Time) {
	g := &b.gateways
	helped := make(map[netip.Addr]time.Time)
	for a, at := range g.helped {
		if now.Sub(at) < afterHelp {
			helped[a] = at
		}
	}
	if b.inHelp != nil {
		for _, a := range b.inHelp() {
			helped[a] = now
		}
	}
	g.helped, g.leaving = helped, false
	stay := func(addrs, before []netip.Addr) []netip.Addr {
		for _, a := range before {
			if _, in := helped[a]; in && !slices.Contains(addrs, a) {
				addrs, g.leaving = append(addrs, a), true
			}
		}
		return addrs
	}
	udp, tcp := s.Gateways()
	udp, tcp = stay(udp, g.udp), stay(tcp, g.tcp)
	g.udp, g.tcp = udp, tcp
	b.stack.SetPlain(stack.Plain{Listen: b.cfg.Phones.Gateways, Contact: b.cfg.Phones.MediaAddress, UDP: udp, TCP: tcp})
}

// keepGateways names those again that were in an emergency call when the program died, until the calls are over.
func (b *Box) keepGateways(list []b2bua.SavedDialog) {
	if len(list) == 0 {
		return
	}
	g := &b.gateways
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range list {
		if a := d.At.Addr(); d.Emergency && a.IsValid() && !slices.Contains(g.udp, a) {
			g.udp = append(g.udp, a)
		}
	}
	b.nameGateways(b.site.Load(), time.Now())
}

// reachGateways makes restored registrations of devices on UDP reachable at once: they do not know that the program has begun
// anew, and have no connection to lose.
func (b *Box) reachGateways() {
	now := time.Now()
	for _, x := range b.registrar.All(now) {
		if x.Reachable() {
			continue
		}
		if c := b.stack.Reach(x.Source); c != nil {
			b.access.Recall(c, x.AOR)
			b.registrar.Reached(now, x.Source, registrar.Flow(c.Flow()))
		}
	}
}

// gatewaysBack tells calls of the program's last life that the phones behind gateways are here.
func (b *Box) gatewaysBack() {
	told := make(map[string]bool)
	for _, x := range b.registrar.All(time.Now()) {
		if c, ok := b.stack.Conn(uint64(x.Flow)); ok && c.Over() == stack.UDP && !told[x.AOR] {
			told[x.AOR] = true
			b.calls.PhoneBack(x.AOR)
		}
	}
}

// gatewayAlarms tell of listeners that are not there although the document asks for them.
func (b *Box) gatewayAlarms() []string {
	err := b.stack.PlainFault()
	if err == nil {
		return nil
	}
	return []string{"gateways are not served: " + err.Error() + " (see phones.gateways in the boot file)"}
}
