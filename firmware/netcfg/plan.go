package netcfg

import (
	"fmt"
	"net/netip"
	"slices"
)

// Marks of what is ours.
const (
	labelMark     = ":hf"      // behind the interface's name in an address's label
	routeProtocol = 91         // of rt_protos; the kernel leaves numbers above 4 to user space
	linkAlias     = "holdfast" // of VLAN interfaces
)

// Want is what the settings ask for.
type Want struct {
	Ports []Port // one for each interface; the phones' first
}

// Port is one interface and what has to be on it.
type Port struct {
	Link     string       // the wire
	VLAN     int          // tag of Address; 0: none
	Address  netip.Prefix // zero: none
	Routes   []Route      // through this port
	Fallback netip.Prefix // on the wire itself, untagged; zero: none
}

// carrier is the interface that has the address.
func (p Port) carrier() string {
	if p.VLAN == 0 {
		return p.Link
	}
	return vlanName(p.VLAN)
}

// vlanName leaves room for the label, whatever the wire is called.
func vlanName(tag int) string { return fmt.Sprintf("vlan%d", tag) }

// Route is a way to a network.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Have is what the kernel has, and who uses it.
type Have struct {
	Links  []Link
	Routes []HaveRoute
	InUse  map[netip.Addr]bool // addresses that media sockets are bound to
}

// Link is one interface.
type Link struct {
	Index     int
	Name      string
	MAC       [6]byte
	Wired     bool // Ethernet hardware
	Up        bool // switched on
	Carrier   bool // and the cable has a signal
	Parent    int  // of a VLAN: the wire's index
	VLAN      int  // its tag
	Ours      bool // a VLAN interface that we made
	Addresses []Address
}

// Address is on a link.
type Address struct {
	Prefix netip.Prefix
	Ours   bool
}

// HaveRoute is one of the kernel's routes in its main table that has a gateway.
type HaveRoute struct {
	Route
	Source netip.Addr // that packets on it leave with, if it says so
	Link   int        // index
	Ours   bool
}

func (h Have) link(name string) (Link, bool) {
	i := slices.IndexFunc(h.Links, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return Link{}, false
	}
	return h.Links[i], true
}

// Kind says what a step does.
type Kind uint8

// The kinds of steps.
const (
	LinkUp Kind = iota
	AddVLAN
	RemoveVLAN
	AddAddress // Claim: only if nobody else has it
	RemoveAddress
	AddRoute
	ReplaceRoute
	RemoveRoute
)

// Step is one change. When one fails, the later ones with the same Port are left out: an address that could not be taken
// must not cost the one that works.
type Step struct {
	Kind    Kind
	Port    int    // of Want; -1: stands alone
	Link    string // the interface, or the wire of a VLAN
	VLAN    int
	Address netip.Prefix
	Claim   bool
	Route   Route
	Source  netip.Addr // of a route
}

// String is the step in logs.
func (s Step) String() string {
	switch s.Kind {
	case LinkUp:
		return "switch " + s.Link + " on"
	case AddVLAN:
		return fmt.Sprintf("add VLAN %d on %s", s.VLAN, s.Link)
	case RemoveVLAN:
		return "remove VLAN interface " + s.Link
	case AddAddress:
		return fmt.Sprintf("add %s to %s", s.Address, s.Link)
	case RemoveAddress:
		return fmt.Sprintf("remove %s from %s", s.Address, s.Link)
	case AddRoute:
		return fmt.Sprintf("add route to %s via %s", s.Route.To, s.Route.Via)
	case ReplaceRoute:
		return fmt.Sprintf("change route to %s to via %s", s.Route.To, s.Route.Via)
	default:
		return fmt.Sprintf("remove route to %s via %s", s.Route.To, s.Route.Via)
	}
}

// Plan says what to change. Nothing to do is an empty plan. New things come before old ones go, so that a change
// interrupts nothing that it does not have to.
func Plan(have Have, want Want) (steps []Step) {
	for i, p := range want.Ports {
		steps = append(steps, planPort(have, p, i)...)
	}
	return append(steps, planRemovals(have, want)...)
}

func planPort(have Have, p Port, port int) (steps []Step) {
	wire, there := have.link(p.Link)
	if !there {
		return nil // it may come yet: a USB adapter
	}
	if !wire.Up {
		steps = append(steps, Step{Kind: LinkUp, Port: port, Link: p.Link})
	}
	if p.Address.IsValid() {
		steps = append(steps, planAddress(have, p, port, wire)...)
	}
	if p.Fallback.IsValid() && !has(wire, p.Fallback) { // last: claiming takes its time, and calls wait for the other
		steps = append(steps, Step{Kind: AddAddress, Port: -1, Link: p.Link, Address: p.Fallback, Claim: true})
	}
	return steps
}

// planAddress is the address, what carries it, and what leads on from it.
func planAddress(have Have, p Port, port int, wire Link) (steps []Step) {
	carrier, there := have.link(p.carrier())
	if p.VLAN != 0 {
		if there && (carrier.Parent != wire.Index || carrier.VLAN != p.VLAN) && carrier.Ours {
			steps = append(steps, Step{Kind: RemoveVLAN, Port: port, Link: carrier.Name})
			carrier, there = Link{}, false
		}
		if !there {
			steps = append(steps, Step{Kind: AddVLAN, Port: port, Link: p.Link, VLAN: p.VLAN})
		}
		if !carrier.Up {
			steps = append(steps, Step{Kind: LinkUp, Port: port, Link: p.carrier()})
		}
	}
	if !has(carrier, p.Address) {
		owned := slices.ContainsFunc(carrier.Addresses, func(a Address) bool { return a.Prefix.Addr() == p.Address.Addr() })
		steps = append(steps, Step{Kind: AddAddress, Port: port, Link: p.carrier(), Address: p.Address, Claim: !owned})
	}
	for _, r := range p.Routes {
		s := Step{Kind: AddRoute, Port: port, Link: p.carrier(), Route: r, Source: p.Address.Addr()}
		i := slices.IndexFunc(have.Routes, func(h HaveRoute) bool { return h.Ours && h.To == r.To })
		if i >= 0 {
			if old := have.Routes[i]; old.Via == r.Via && old.Link == carrier.Index && old.Source == s.Source {
				continue
			}
			s.Kind = ReplaceRoute
		}
		steps = append(steps, s)
	}
	return steps
}

// planRemovals takes away what is ours and no longer wanted. Steps of a port that could not get its new address are left
// out when they are applied, and so is the removal of the old one.
func planRemovals(have Have, want Want) (steps []Step) {
	for _, r := range have.Routes {
		wanted := slices.ContainsFunc(want.Ports, func(p Port) bool {
			return slices.ContainsFunc(p.Routes, func(w Route) bool { return w.To == r.To })
		})
		if r.Ours && !wanted {
			steps = append(steps, Step{Kind: RemoveRoute, Port: want.portOf(have, r.Link), Link: have.name(r.Link), Route: r.Route, Source: r.Source})
		}
	}
	for _, l := range have.Links {
		port := want.portOf(have, l.Index)
		needed := false
		for _, a := range l.Addresses {
			if !a.Ours {
				continue
			}
			wanted := slices.ContainsFunc(want.Ports, func(p Port) bool {
				return p.Address.IsValid() && p.carrier() == l.Name && p.Address == a.Prefix || p.Link == l.Name && p.Fallback == a.Prefix
			})
			moved := slices.ContainsFunc(want.Ports, func(p Port) bool { return p.Address.Addr() == a.Prefix.Addr() })
			if wanted || have.InUse[a.Prefix.Addr()] && !moved {
				needed = true
				continue
			}
			steps = append(steps, Step{Kind: RemoveAddress, Port: port, Link: l.Name, Address: a.Prefix})
		}
		planned := slices.ContainsFunc(want.Ports, func(p Port) bool { return p.VLAN != 0 && p.carrier() == l.Name })
		if l.Ours && !planned && !needed {
			steps = append(steps, Step{Kind: RemoveVLAN, Port: port, Link: l.Name})
		}
	}
	return steps
}

// portOf is the port that an interface, or the wire below it, belongs to; the first when it is none's: what replaces a
// thing on a port that was given up comes with the phones' port.
func (w Want) portOf(have Have, index int) int {
	for _, l := range have.Links {
		if l.Index != index {
			continue
		}
		for i, p := range w.Ports {
			if p.Link == l.Name || p.Link == have.name(l.Parent) {
				return i
			}
		}
	}
	return 0
}

func (h Have) name(index int) string {
	for _, l := range h.Links {
		if l.Index == index {
			return l.Name
		}
	}
	return ""
}

func has(l Link, p netip.Prefix) bool {
	return slices.ContainsFunc(l.Addresses, func(a Address) bool { return a.Prefix == p })
}
