package netcfg

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernel reads and changes the network of the process's namespace.
type kernel struct {
	proc string // where procfs is mounted
}

// read is what there is.
func (k kernel) read() (h Have, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return h, fmt.Errorf("list interfaces: %w", err)
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return h, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return h, fmt.Errorf("list routes: %w", err)
	}
	for _, l := range links {
		a := l.Attrs()
		one := Link{Index: a.Index, Name: a.Name, Up: a.Flags&net.FlagUp != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0}
		copy(one.MAC[:], a.HardwareAddr)
		one.Wired = a.EncapType == "ether" && l.Type() == "device" && !k.wireless(a.Name)
		if v, ok := l.(*netlink.Vlan); ok {
			one.Parent, one.VLAN, one.Ours = a.ParentIndex, v.VlanId, a.Alias == linkAlias
		}
		for _, x := range addresses {
			p, ok := prefixOf(x.IPNet)
			if x.LinkIndex == a.Index && ok {
				one.Addresses = append(one.Addresses, Address{p, x.Label == a.Name+labelMark})
			}
		}
		h.Links = append(h.Links, one)
	}
	for _, r := range routes {
		via, ok := netip.AddrFromSlice(r.Gw.To4())
		if !ok {
			continue
		}
		to, ok := prefixOf(r.Dst)
		if r.Dst == nil {
			to, ok = netip.PrefixFrom(unspecified, 0), true
		}
		source, _ := netip.AddrFromSlice(r.Src.To4())
		if ok {
			h.Routes = append(h.Routes, HaveRoute{Route{to, via}, source, r.LinkIndex, r.Protocol == routeProtocol})
		}
	}
	h.InUse, err = k.inUse()
	return h, err
}

func (k kernel) wireless(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name, "wireless"))
	return err == nil
}

// apply makes one step; AddAddress only adds.
func (k kernel) apply(s Step) error {
	link, err := netlink.LinkByName(s.Link)
	if err != nil {
		return fmt.Errorf("interface %s: %w", s.Link, err)
	}
	switch s.Kind {
	case LinkUp:
		return netlink.LinkSetUp(link)
	case AddVLAN:
		return k.addVLAN(link, s.VLAN)
	case RemoveVLAN:
		return netlink.LinkDel(link)
	case AddAddress:
		a := &netlink.Addr{IPNet: netOf(s.Address), Label: s.Link + labelMark, Broadcast: lastOf(s.Address)}
		if fallbackNetwork.Contains(s.Address.Addr()) {
			a.Scope = unix.RT_SCOPE_LINK
		}
		if err := netlink.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		return nil
	case RemoveAddress:
		// Without this the kernel takes the younger addresses of the same network away with the oldest one.
		if err := os.WriteFile(filepath.Join(k.proc, "sys/net/ipv4/conf", s.Link, "promote_secondaries"), []byte("1"), 0); err != nil {
			return fmt.Errorf("keep the other addresses of %s: %w", s.Link, err)
		}
		return netlink.AddrDel(link, &netlink.Addr{IPNet: netOf(s.Address), Label: s.Link + labelMark})
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: netOf(s.Route.To), Gw: s.Route.Via.AsSlice(), Src: s.Source.AsSlice(),
		Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN}
	switch s.Kind {
	case AddRoute:
		if err := netlink.RouteAdd(r); errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("there is a route to %s already that somebody else made: remove it, or leave the gateway out of the settings", s.Route.To)
		} else if err != nil {
			return err
		}
		return nil
	case ReplaceRoute:
		return netlink.RouteReplace(r)
	}
	if err := netlink.RouteDel(r); err != nil && !errors.Is(err, unix.ESRCH) { // it goes with its interface, too
		return err
	}
	return nil
}

func (k kernel) addVLAN(wire netlink.Link, tag int) error {
	a := netlink.NewLinkAttrs()
	a.Name, a.ParentIndex = vlanName(tag), wire.Attrs().Index
	v := &netlink.Vlan{LinkAttrs: a, VlanId: tag, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
	if err := netlink.LinkAdd(v); err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) {
			return errors.New("this kernel has no VLANs (module 8021q)")
		}
		return err
	}
	return netlink.LinkSetAlias(v, linkAlias)
}

// inUse are the addresses that UDP sockets are bound to: media. Listeners and idle connections hold no address.
func (k kernel) inUse() (map[netip.Addr]bool, error) {
	data, err := os.ReadFile(filepath.Join(k.proc, "thread-self/net/udp"))
	if err != nil {
		return nil, fmt.Errorf("who uses which address: %w", err)
	}
	return boundAddresses(string(data)), nil
}

// boundAddresses reads /proc/net/udp, whose addresses are hexadecimal, least significant byte first on the machines that the
// box runs on.
func boundAddresses(table string) map[netip.Addr]bool {
	out := make(map[netip.Addr]bool)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		var b [4]byte
		if n, err := fmt.Sscanf(fields[1], "%02x%02x%02x%02x:", &b[3], &b[2], &b[1], &b[0]); n == 4 && err == nil {
			if a := netip.AddrFrom4(b); !a.IsUnspecified() {
				out[a] = true
			}
		}
	}
	return out
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP.To4())
	ones, bits := n.Mask.Size()
	return netip.PrefixFrom(a, ones), ok && bits == 32
}

func netOf(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

// lastOf is a network's broadcast address.
func lastOf(p netip.Prefix) net.IP {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return b[:]
}
