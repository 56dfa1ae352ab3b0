package netcfg

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"holdfast/firmware/config"
)

// branch is what most tests ask for.
var branch = config.Network{Interface: "eth0", Address: prefix("10.77.0.5/24"), Gateway: addr("10.77.0.1"), DNS: []netip.Addr{addr("10.77.0.1")}}

func TestTakesAddress(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	l.add("far0", "169.254.1.1/16")
	own, err := netlink.LinkByName("eth0")
	must(t, err)
	must(t, netlink.AddrAdd(own, &netlink.Addr{IPNet: netOf(prefix("192.168.7.7/24"))}))
	ear := l.listen("far0")
	r := start(t, branch)
	mine := [6]byte(own.Attrs().HardwareAddr)
	hears(t, ear, "the probe", func(p arp) bool { return p == probe(mine, addr("10.77.0.5")) })
	hears(t, ear, "the announcement", func(p arp) bool { return p == announcement(mine, addr("10.77.0.5")) })
	s := r.has("10.77.0.5/24")
	if got := route(t, "8.8.8.8"); got != addr("10.77.0.1") {
		t.Errorf("the way out is %s", got)
	}
	l.reaches("10.77.0.5")
	l.reaches("169.254.9.11")
	if s.Ports[0].Fallback != "169.254.9.11" {
		t.Errorf("fallback %q", s.Ports[0].Fallback)
	}
	want := []string{"10.77.0.5/24", "169.254.9.11/16", "192.168.7.7/24"}
	if got := addressesOf(t, "eth0"); !slices.Equal(got, want) {
		t.Errorf("addresses %q, want %q", got, want)
	}
	data, err := os.ReadFile(filepath.Join(r.dir, "resolv.conf"))
	if must(t, err); !strings.Contains(string(data), "nameserver 10.77.0.1\n") {
		t.Errorf("resolv.conf: %s", data)
	}
	if alarms := s.Alarms(s.At); len(alarms) > 0 {
		t.Errorf("alarms %q", alarms)
	}

	// A helper that comes back finds all in order, and asks nobody for what it has.
	r.stop()
	again := start(t, branch)
	again.has("10.77.0.5/24")
	if text := again.log.String(); text != "" {
		t.Errorf("the second helper did something: %s", text)
	}

	// What somebody else takes away comes back; what is somebody else's stays.
	must(t, netlink.AddrDel(own, &netlink.Addr{IPNet: netOf(prefix("10.77.0.5/24"))}))
	again.until("the address again", func(State) bool { return slices.Equal(addressesOf(t, "eth0"), want) })
	again.until("the route again", func(State) bool { return route(t, "8.8.8.8") == addr("10.77.0.1") })

	// Without settings the fallback remains.
	again.Update(config.Network{Interface: "eth0"})
	again.until("only the fallback", func(State) bool {
		return slices.Equal(addressesOf(t, "eth0"), []string{"169.254.9.11/16", "192.168.7.7/24"}) && !route(t, "8.8.8.8").IsValid()
	})
}

func TestAddressTaken(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.5/24")
	l.add("far0", "169.254.9.11/16") // and the fallback, too
	r := start(t, branch)
	s := r.until("the conflict", func(s State) bool { return s.Ports[0].Conflict != nil && s.Ports[0].Fallback != "" })
	p := s.Ports[0]
	if p.Address != "" || p.Conflict.MAC != l.mac("far0") || p.Conflict.Address != "10.77.0.5" {
		t.Errorf("%+v", p)
	}
	if !alarm(s, "belongs to another machine (MAC "+l.mac("far0")) {
		t.Errorf("alarms %q", s.Alarms(s.At))
	}
	if p.Fallback == "169.254.9.11" || !strings.HasPrefix(p.Fallback, "169.254.") {
		t.Errorf("fallback %q is the other machine's", p.Fallback)
	}
	l.reaches(p.Fallback)
	if got := addressesOf(t, "eth0"); !slices.Equal(got, []string{p.Fallback + "/16"}) {
		t.Errorf("addresses %q", got)
	}
	l.remove("far0", "10.77.0.5/24")
	l.add("far0", "10.77.0.1/24")
	if s := r.has("10.77.0.5/24"); s.Ports[0].Conflict != nil {
		t.Errorf("%+v", s)
	}
	l.reaches("10.77.0.5")
}

// A new address that somebody has must not cost the old one.
func TestNewAddressTaken(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	l.add("far0", "10.77.0.6/24")
	r := start(t, branch)
	r.has("10.77.0.5/24")
	n := branch
	n.Address = prefix("10.77.0.6/24")
	r.Update(n)
	s := r.until("the conflict", func(s State) bool { return s.Ports[0].Conflict != nil })
	if !slices.Equal(s.Ports[0].Leaving, []string{"10.77.0.5/24"}) || s.Ports[0].Address != "" {
		t.Errorf("%+v", s.Ports[0])
	}
	l.reaches("10.77.0.5")
	if got := route(t, "8.8.8.8"); got != addr("10.77.0.1") {
		t.Errorf("the way out is %s", got)
	}
}

// An address that is ours and that somebody else takes afterwards is defended and kept: calls are on it.
func TestConflictLater(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	ear := l.listen("far0")
	r := start(t, branch)
	r.has("10.77.0.5/24")
	hears(t, ear, "the announcement", func(p arp) bool { return p.from == addr("10.77.0.5") && p.to == p.from })
	thief := [6]byte(l.link("far0").Attrs().HardwareAddr)
	must(t, ear.send(announcement(thief, addr("10.77.0.5"))))
	s := r.until("the conflict", func(s State) bool { return s.Ports[0].Conflict != nil })
	if !alarm(s, "another machine (MAC "+l.mac("far0")+") uses the box's address") || s.Ports[0].Address != "10.77.0.5/24" {
		t.Errorf("%+v", s)
	}
	hears(t, ear, "the defence", func(p arp) bool { return p.from == addr("10.77.0.5") && p.to == p.from })

	// The fallback is nobody's: the box gives way.
	must(t, ear.send(announcement(thief, Fallback)))
	s = r.until("another fallback", func(s State) bool { return s.Ports[0].Fallback != "" && s.Ports[0].Fallback != Fallback.String() })
	if got, want := addressesOf(t, "eth0"), []string{"10.77.0.5/24", s.Ports[0].Fallback + "/16"}; !slices.Equal(got, want) {
		t.Errorf("addresses %q, want %q", got, want)
	}
}

func TestCable(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	l.cable("far0", false)
	r := start(t, branch)
	s := r.until("no signal", func(s State) bool { return len(s.Ports) == 1 && s.Ports[0].Present && !s.Ports[0].Carrier })
	if !alarm(s, "interface eth0 has no signal") || s.Ports[0].Address != "" {
		t.Errorf("%+v", s)
	}
	l.cable("far0", true)
	r.has("10.77.0.5/24")
	l.reaches("10.77.0.5")

	l.cable("far0", false)
	s = r.until("no signal", func(s State) bool { return !s.Ports[0].Carrier })
	if s.Ports[0].Address != "10.77.0.5/24" {
		t.Errorf("the address went with the cable: %+v", s)
	}
	l.cable("far0", true)
	ear := l.listen("far0")
	hears(t, ear, "the announcement on the new cable", func(p arp) bool { return p.from == addr("10.77.0.5") && p.to == p.from })
	r.until("the signal", func(s State) bool { return s.Ports[0].Carrier })
	r.until("the way out", func(State) bool { return route(t, "8.8.8.8") == addr("10.77.0.1") })
	l.reaches("10.77.0.5")
}

func TestWrongGateway(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	n := branch
	n.Gateway = addr("10.77.0.99")
	r := start(t, n)
	r.has("10.77.0.5/24")
	s := r.until("the silence", func(s State) bool { return s.Ports[0].Silent })
	if !alarm(s, "the gateway 10.77.0.99 does not answer") {
		t.Errorf("alarms %q", s.Alarms(s.At))
	}
	l.reaches("10.77.0.5") // the branch does not need it
	r.Update(branch)
	r.until("the right gateway", func(s State) bool { return s.Ports[0].Gateway == "10.77.0.1" && !s.Ports[0].Silent })
	r.until("the way out", func(State) bool { return route(t, "8.8.8.8") == addr("10.77.0.1") })
	if got := addressesOf(t, "eth0"); !slices.Equal(got, []string{"10.77.0.5/24", "169.254.9.11/16"}) {
		t.Errorf("addresses %q", got)
	}
}

// A default route that somebody else made is not ours to change.
func TestForeignRoute(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	own, err := netlink.LinkByName("eth0")
	must(t, err)
	must(t, netlink.LinkSetUp(own))
	must(t, netlink.AddrAdd(own, &netlink.Addr{IPNet: netOf(prefix("192.168.7.7/24"))}))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: own.Attrs().Index, Gw: net.IPv4(192, 168, 7, 1)}))
	r := start(t, branch)
	r.until("the fault", func(s State) bool { return alarm(s, "that somebody else made") && s.Ports[0].Address == "10.77.0.5/24" })
	if got := route(t, "8.8.8.8"); got != addr("192.168.7.1") {
		t.Errorf("the way out is %s", got)
	}
	must(t, netlink.RouteDel(&netlink.Route{LinkIndex: own.Attrs().Index, Gw: net.IPv4(192, 168, 7, 1)}))
	r.until("ours", func(s State) bool { return route(t, "8.8.8.8") == addr("10.77.0.1") && len(s.Faults) == 0 })
}

// Media that runs over the old address keeps it until it ends; nothing of it is lost.
func TestChangeWhileCallsRun(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	r := start(t, branch)
	r.has("10.77.0.5/24")
	media, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.77.0.5:40000")))
	must(t, err)
	defer media.Close()
	var phone *net.UDPConn
	l.do(func() (err error) {
		phone, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.77.0.1:50000")))
		return err
	})
	defer phone.Close()
	talk := func(n int) {
		t.Helper()
		for i := range n {
			b := []byte{byte(i)}
			must(t, phone.SetReadDeadline(time.Now().Add(patience)))
			must(t, media.SetReadDeadline(time.Now().Add(patience)))
			if _, err := phone.WriteToUDP(b, media.LocalAddr().(*net.UDPAddr)); err != nil {
				t.Fatal(err)
			}
			_, from, err := media.ReadFromUDP(b)
			must(t, err)
			if _, err := media.WriteToUDP(b, from); err != nil {
				t.Fatal(err)
			}
			if _, from, err = phone.ReadFromUDP(b); err != nil || b[0] != byte(i) || from.IP.String() != "10.77.0.5" {
				t.Fatalf("packet %d: %v from %s", i, err, from)
			}
		}
	}
	talk(10)
	n := branch
	n.Address, n.DNS = prefix("10.77.0.6/24"), []netip.Addr{addr("10.77.0.2")}
	r.Update(n)
	s := r.has("10.77.0.6/24")
	if !slices.Equal(s.Ports[0].Leaving, []string{"10.77.0.5/24"}) {
		t.Errorf("%+v", s.Ports[0])
	}
	talk(50)
	l.reaches("10.77.0.6")
	media.Close()
	s = r.until("the old address gone", func(s State) bool { return len(s.Ports[0].Leaving) == 0 })
	if got := addressesOf(t, "eth0"); !slices.Equal(got, []string{"10.77.0.6/24", "169.254.9.11/16"}) {
		t.Errorf("addresses %q", got)
	}
	if got := route(t, "8.8.8.8"); got != addr("10.77.0.1") {
		t.Errorf("the way out is %s", got)
	}
	l.reaches("10.77.0.6")
	if strings.Count(r.log.String(), "add 10.77.0.6/24") != 1 {
		t.Errorf("the new address went and came back:\n%s", r.log)
	}
}

func TestTwoInterfaces(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"}, [2]string{"eth1", "far1"})
	l.add("far0", "10.77.0.1/24")
	l.add("far1", "10.78.0.1/24")
	n := branch
	n.SBC = config.SBCNetwork{Interface: "eth1", Address: prefix("10.78.0.5/24"), Gateway: addr("10.78.0.1"), Networks: []netip.Prefix{prefix("10.9.0.0/16")}}
	r := start(t, n)
	r.has("10.77.0.5/24")
	r.until("the other side", func(s State) bool { return s.Ports[1].Address == "10.78.0.5/24" && len(s.Alarms(s.At)) == 0 })
	for to, via := range map[string]string{"8.8.8.8": "10.77.0.1", "10.9.3.4": "10.78.0.1"} {
		if got := route(t, to); got != addr(via) {
			t.Errorf("to %s via %s, want %s", to, got, via)
		}
	}
	l.reaches("10.78.0.5")
	r.Update(branch)
	r.until("one interface again", func(State) bool { return len(addressesOf(t, "eth1")) == 0 })
	if got := route(t, "10.9.3.4"); got != addr("10.77.0.1") {
		t.Errorf("10.9.3.4 via %s", got)
	}
}

// An adapter may come after the helper, and may go.
func TestAdapterComesLate(t *testing.T) {
	if !alone(t) {
		return
	}
	r := start(t, branch)
	r.until("no adapter", func(s State) bool { return alarm(s, "interface eth0 is not there") })
	l := newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	r.has("10.77.0.5/24")
	own, err := netlink.LinkByName("eth0")
	must(t, err)
	must(t, netlink.LinkDel(own))
	r.until("no adapter", func(s State) bool { return alarm(s, "interface eth0 is not there") })
	l = newLAN(t, [2]string{"eth0", "far0"})
	l.add("far0", "10.77.0.1/24")
	ear := l.listen("far0")
	r.has("10.77.0.5/24")
	must(t, ear.send(announcement([6]byte{2, 9, 9, 9, 9, 9}, addr("10.77.0.5"))))
	r.until("the watch on the new adapter", func(s State) bool { return s.Ports[0].Conflict != nil })
}

// On a kernel without VLANs the fault says so, and the fallback answers all the same.
func TestVLAN(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newLAN(t, [2]string{"eth0", "far0"})
	far := l.link("far0")
	a := netlink.NewLinkAttrs()
	a.Name, a.ParentIndex = "tagged", far.Attrs().Index
	can := l.peer.LinkAdd(&netlink.Vlan{LinkAttrs: a, VlanId: 20, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}) == nil
	l.add("far0", "169.254.1.1/16")
	n := branch
	n.VLAN = 20
	r := start(t, n)
	if !can {
		r.until("the fault", func(s State) bool { return alarm(s, "this kernel has no VLANs") && s.Ports[0].Fallback != "" })
		l.reaches("169.254.9.11")
		return
	}
	l.cable("tagged", true)
	l.add("tagged", "10.77.0.1/24")
	r.has("10.77.0.5/24")
	l.reaches("10.77.0.5")
	l.reaches("169.254.9.11")
	if got := addressesOf(t, "vlan20"); !slices.Equal(got, []string{"10.77.0.5/24"}) {
		t.Errorf("addresses %q", got)
	}
	r.Update(config.Network{Interface: "eth0"})
	r.until("no tag", func(State) bool { _, err := netlink.LinkByName("vlan20"); return err != nil })
}
