package box

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/config"
	"holdfast/sip/access"
	"holdfast/sip/b2bua"
	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
	"holdfast/sip/trace"
)

// taken is a network where nothing can be opened for UDP.
type taken struct{ loopback }

func (taken) ListenPacket(netip.AddrPort) (stack.PacketConn, error) {
	return nil, errors.New("address already in use")
}

// lift is a box with one user, whose gateway the document names.
func lift(t *testing.T, network stack.Network, o stack.Options) *Box {
	t.Helper()
	b := &Box{log: slog.New(slog.DiscardHandler), registrar: registrar.New(registrar.Options{}),
		cfg: &config.Config{Phones: config.Phones{Gateways: netip.MustParseAddrPort("127.0.0.1:0")}}}
	b.site.Store(oneUser(t, site.RegisterInResilience))
	o.Network = network
	b.stack = stack.New(o)
	b.access = access.New(access.Options{Site: b.site.Load, Registrar: b.registrar})
	b.openGateways(withDevice(t, "udp"))
	return b
}

func withDevice(t *testing.T, transport string) *site.Site {
	t.Helper()
	s, err := site.Load([]byte(`{"version": 1, "serial": 7,
  "site": {"id": "s", "name": "Branch", "domain": "branch.example.com", "timezone": "UTC", "main_number": "+12175551000"},
  "dial_plan": {"country": "US"}, "emergency": {}, "users": [], "trunks": [],
  "devices": [{"id": "lift", "transport": "` + transport + `", "address": "127.0.0.7", "plain_rtp": true}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGatewaysComeBack: what a gateway on UDP had registered when the program died is reachable at once; what phones on TLS
// had is not.
func TestGatewaysComeBack(t *testing.T) {
	b := lift(t, loopback{}, stack.Options{})
	at, until := netip.MustParseAddrPort("127.0.0.7:5062"), time.Now().Add(time.Minute)
	b.registrar.Restore(time.Now(), []registrar.Binding{
		{AOR: "alice", Contact: registrar.Contact{URI: "sip:a@127.0.0.7:5062"}, CallID: "1", Source: at, Expires: until},
		{AOR: "alice", Contact: registrar.Contact{URI: "sip:a@127.0.0.9"}, CallID: "2", Source: netip.MustParseAddrPort("127.0.0.9:4711"), Expires: until}})
	b.reachGateways()
	list := b.registrar.Bindings(time.Now(), "alice")
	if len(list) != 2 || !list[0].Reachable() || list[0].Source != at || list[1].Reachable() {
		t.Fatalf("%+v", list)
	}
	c, ok := b.stack.Conn(uint64(list[0].Flow))
	if !ok || c.Remote() != at || c.Over() != stack.UDP || !c.Authenticated() {
		t.Error("its flow is not there, or proves nobody")
	}
	// When the outage is over it is no longer here, but can still be called back.
	b.calls = b2bua.New(b2bua.Options{Stack: b.stack})
	b.sendHome()
	if n := b.registrar.Counts(time.Now()); n.Unreachable != 2 || c.Closed() {
		t.Errorf("sent home: %+v, closed %v", n, c.Closed())
	}
}

// TestGatewayStaysInHelp: a new document that drops a gateway, or gives it another transport, cuts no emergency call: the gateway goes
// when that is over. So it is with a call that a crash of the program has interrupted.
func TestGatewayStaysInHelp(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.7:5062")
	for name, next := range map[string]*site.Site{"dropped": oneUser(t, site.RegisterInResilience), "on TCP": withDevice(t, "tcp"), "on TLS": withDevice(t, "tls")} {
		for _, crashed := range []bool{false, true} {
			b := lift(t, loopback{}, stack.Options{})
			flow := b.stack.Reach(at)
			inHelp := []netip.Addr{at.Addr()}
			b.inHelp = func() []netip.Addr { return inHelp }
			b.site.Store(next)
			if crashed {
				b.inHelp = nil
				b.openGateways(next)
				b.inHelp = func() []netip.Addr { return inHelp }
				b.keepGateways([]b2bua.SavedDialog{{Emergency: true, At: at}, {Emergency: true}, {At: netip.MustParseAddrPort("127.0.0.8:5060")}})
				flow = b.stack.Reach(at)
			} else {
				b.openGateways(next)
			}
			now := time.Now()
			b.releaseGateways(now.Add(time.Hour))
			if flow == nil || flow.Closed() || b.stack.Reach(at) != flow {
				t.Fatalf("%s, crashed %v: cut off in its call", name, crashed)
			}
			if b.stack.Reach(netip.MustParseAddrPort("127.0.0.8:5060")) != nil {
				t.Errorf("%s: somebody is served who calls nobody for help", name)
			}
			inHelp = nil
			b.releaseGateways(now.Add(time.Hour + afterHelp/2)) // its BYE may be under way
			if flow.Closed() {
				t.Errorf("%s: cut off under its BYE", name)
			}
			b.releaseGateways(now.Add(time.Hour + 2*afterHelp))
			if !flow.Closed() || b.stack.Reach(at) != nil {
				t.Errorf("%s, crashed %v: still here after its call", name, crashed)
			}
		}
	}
	b := lift(t, loopback{}, stack.Options{})
	b.inHelp = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.9")} } // a phone on TLS
	b.openGateways(withDevice(t, "udp"))
	if b.stack.Reach(netip.MustParseAddrPort("127.0.0.9:5060")) != nil || b.stack.Reach(at) == nil {
		t.Error("whom no document has named is named")
	}
}

// TestGatewayAlarm: a listener that cannot be opened is an alarm, and ends nothing; without a device there is neither.
func TestGatewayAlarm(t *testing.T) {
	b := lift(t, taken{}, stack.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.stack.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("never: " + what)
			}
		}
	}
	wait("an alarm", func() bool { return len(b.gatewayAlarms()) > 0 })
	if a := b.gatewayAlarms(); len(a) != 1 || !strings.Contains(a[0], "address already in use") || !strings.Contains(a[0], "phones.gateways") {
		t.Errorf("%q", a)
	}
	b.openGateways(withDevice(t, "tcp"))
	wait("TCP is open and the alarm over", func() bool { return b.stack.PlainAddr(stack.TCP).IsValid() && b.gatewayAlarms() == nil })
	at := b.stack.PlainAddr(stack.TCP)
	b.openGateways(withDevice(t, "tls"))
	wait("nobody listens", func() bool {
		c, err := net.Dial("tcp4", at.String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// TestGatewayInTheTrace: a gateway's messages are marked as what they are, datagrams.
func TestGatewayInTheTrace(t *testing.T) {
	b := lift(t, loopback{}, stack.Options{})
	b.trace = trace.New(trace.Options{})
	b.tracer()(b.stack.Reach(netip.MustParseAddrPort("127.0.0.7:5062")), true, []byte("INVITE sip:h SIP/2.0\r\nCall-ID: lift\r\n\r\n"))
	if list := b.trace.Call("lift"); len(list) != 1 || !list[0].UDP || !list[0].Out {
		t.Errorf("%+v", list)
	}
}
