package netcfg

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"holdfast/firmware/config"
)

// fallbackNetwork is where addresses are that need nobody to give them (RFC 3927).
var fallbackNetwork = netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 0, 0}), 16)

// Fallback is the address that answers whatever the settings say, unless another machine has it: then it is one made of
// the MAC address (RFC 3927 §2.1), which the log and the state tell.
var Fallback = netip.AddrFrom4([4]byte{169, 254, 9, 11})

// Somebody who claims every address that the box takes does not keep it busy (RFC 3927 section 2.2.1).
const (
	mostFallbacks = 10          // MAX_CONFLICTS
	fallbackEvery = time.Minute // RATE_LIMIT_INTERVAL, from then on
)

// moveOn gives up the address that is tried, or was taken: somebody else has it.
func (m *Manager) moveOn(now time.Time) {
	m.fallbacks++
	m.movedOn = now
}

// fallback is the n-th address to try. The first and the last 256 are reserved.
func fallback(mac [6]byte, n int) netip.Prefix {
	if n == 0 {
		return netip.PrefixFrom(Fallback, fallbackNetwork.Bits())
	}
	h := fnv.New32a()
	h.Write(mac[:])
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	x := h.Sum32() % (254 * 256)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, byte(1 + x/256), byte(x)}), fallbackNetwork.Bits())
}

// everything is where the gateway leads.
var everything = netip.PrefixFrom(unspecified, 0)

// wants turns settings into what has to be on which interface; fallback is for the wire of fallbackLink.
func wants(n config.Network, have Have, fallback netip.Prefix) Want {
	phones := Port{Link: n.Interface, VLAN: n.VLAN, Address: n.Address}
	if phones.Link == "" {
		phones.Link = firstWired(have)
	}
	if n.Gateway.IsValid() {
		phones.Routes = []Route{{everything, n.Gateway}}
	}
	w := Want{[]Port{phones}}
	if n.SBC.Interface != "" {
		sbc := Port{Link: n.SBC.Interface, Address: n.SBC.Address}
		for _, to := range n.SBC.Networks {
			sbc.Routes = append(sbc.Routes, Route{to, n.SBC.Gateway})
		}
		w.Ports = append(w.Ports, sbc)
	}
	if wire := fallbackLink(n, have); fallback.IsValid() {
		i := slices.IndexFunc(w.Ports, func(p Port) bool { return p.Link == wire })
		if i < 0 {
			i, w.Ports = len(w.Ports), append(w.Ports, Port{Link: wire})
		}
		w.Ports[i].Fallback = fallback
	}
	return w
}

// fallbackLink is the phones' wire; where that is not there, because its name is wrong or its adapter is out, the first that is: an
// installer has to get in somewhere.
func fallbackLink(n config.Network, have Have) string {
	if _, there := have.link(n.Interface); there {
		return n.Interface
	}
	return firstWired(have)
}

// firstWired is the wired interface that the kernel found first; "" when there is none yet.
func firstWired(have Have) string {
	name, index := "", 0
	for _, l := range have.Links {
		if l.Wired && (name == "" || l.Index < index) {
			name, index = l.Name, l.Index
		}
	}
	return name
}
