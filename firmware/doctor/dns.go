package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"holdfast/firmware/certs"
)

// dns asks the LAN's servers for the box's name as they would have to answer without the internet: from what they have
// (RD=0). Phones that know the box by name are lost otherwise in the very outage that it is for.
func dns(ctx context.Context, p Patient) []Finding {
	const area = "dns"
	file, err := filesOf(p, certs.Phones).Load()
	if err != nil {
		return nil // certificates says it
	}
	domain := ""
	if p.Site != nil {
		domain = p.Site.Doc().Site.Domain
	}
	hosts := certs.Hosts(file.Leaf, append(p.Config.Hosts(), domain)...)
	switch {
	case len(hosts) == 0:
		return []Finding{ok(area, "phones know the box by its address: its certificate has no host name that would have to resolve")}
	case len(p.Resolvers) == 0 && !p.Config.DNS.IsValid():
		return []Finding{warn(area, "write the LAN's servers into dns of [network], as phones have them", "there is no DNS server to ask for %s", hosts[0])}
	}
	var out []Finding
	servers := p.Resolvers
	if own := p.Config.DNS; own.IsValid() && p.Status != nil {
		servers = append([]string{own.String()}, servers...)
	}
	for _, server := range servers {
		for _, host := range hosts[:min(len(hosts), 4)] {
			out = append(out, ask(ctx, p, server, host))
		}
	}
	return out
}

// ask puts one question to one server.
func ask(ctx context.Context, p Patient, server, host string) Finding {
	const area = "dns"
	fix := fmt.Sprintf("give %s an A record of its own on the LAN's server (the router, usually), and have phones use that server", host)
	switch own := p.Config.DNS; {
	case server == own.String():
		fix = "see the box's alarms and its log: it should answer for its own name there (dns.listen)"
	case own.IsValid():
		fix = fmt.Sprintf("forward %s to the box, which answers for it at %s, or give phones the box as another server", host, own)
	default:
		fix += "; or have the box answer for it ([dns] listen), and forward the name to it"
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	at, err := netip.ParseAddrPort(server)
	if err == nil && !at.Addr().IsPrivate() && !at.Addr().IsLoopback() && !at.Addr().IsLinkLocalUnicast() {
		return warn(area, fix, "%s is outside of the branch: without the internet nobody there resolves %s", at.Addr(), host)
	}
	query, id, err := question(host)
	if err != nil {
		return warn(area, "", "%s: %v", host, err)
	}
	reply, err := p.Exchange(ctx, server, query)
	if err != nil {
		return fail(area, fix, "%s does not answer: %v", server, err)
	}
	h, addrs, err := answers(reply, id)
	switch want := p.Config.Phones.Listen.Addr(); {
	case err != nil:
		return fail(area, fix, "%s answers nonsense: %v", server, err)
	case h.RCode == dnsmessage.RCodeNameError || h.RCode == dnsmessage.RCodeSuccess && len(addrs) == 0:
		return fail(area, fix, "%s does not know %s by itself", server, host)
	case h.RCode != dnsmessage.RCodeSuccess:
		return fail(area, fix, "%s refuses to answer for %s by itself (%s)", server, host, strings.TrimPrefix(h.RCode.String(), "RCode"))
	case !want.IsUnspecified() && !slices.Contains(addrs, want):
		return fail(area, fmt.Sprintf("correct the record: the box is at %s", want), "%s says that %s is %v", server, host, addrs)
	case !h.Authoritative:
		return warn(area, fix, "%s knows %s only from elsewhere: it forgets it some time after the internet is gone", server, host)
	}
	return ok(area, "%s knows %s by itself", server, host)
}

// question asks for an A record without recursion.
func question(host string) (query []byte, id uint16, err error) {
	name, err := dnsmessage.NewName(strings.TrimSuffix(host, ".") + ".")
	if err != nil {
		return nil, 0, fmt.Errorf("no name for DNS: %w", err)
	}
	const any = 0x4846 // the socket is our own for this one question
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: any}, Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	query, err = m.Pack()
	return query, any, err
}

// answers reads the addresses of a reply.
func answers(reply []byte, id uint16) (h dnsmessage.Header, addrs []netip.Addr, err error) {
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		return h, nil, fmt.Errorf("DNS: %w", err)
	}
	if m.ID != id || !m.Response {
		return h, nil, fmt.Errorf("DNS: an answer to another question")
	}
	for _, r := range m.Answers {
		if a, ok := r.Body.(*dnsmessage.AResource); ok {
			addrs = append(addrs, netip.AddrFrom4(a.A))
		}
	}
	return m.Header, addrs, nil
}

// reachable is an address that this machine can dial itself at.
func reachable(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", fmt.Sprint(a.Port()))
	}
	return a.String()
}
