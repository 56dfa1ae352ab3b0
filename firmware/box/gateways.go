package box

import (
	"time"

	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Gateways are devices that the site document allows SIP without TLS: analogue adapters for elevator phones, fax machines and
// door phones, known by their one address.

// openGateways lets the stack listen for those of the document, and for nobody else.
func (b *Box) openGateways(s *site.Site) {
	udp, tcp := s.Gateways()
	b.stack.SetPlain(stack.Plain{Listen: b.cfg.Phones.Gateways, Contact: b.cfg.Phones.MediaAddress, UDP: udp, TCP: tcp})
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
