// Package stack is the box's SIP transport and transaction layer: TLS listeners with admission control, connections
// that are reused in both directions (RFC 5626, RFC 5923), framing, the parser's guard, and the RFC 3261 §17
// transactions. It knows nothing of users, calls or modes.
//
// Devices that know no TLS are served on UDP or TCP from the addresses that SetPlain names, and only while it names any
// (plain.go). On UDP a Conn is a device's address and nothing more (datagram.go), and transactions repeat what may be lost
// (repeat.go). What any other address sends is not parsed; what anybody sends in a device's name costs that device's share:
// a refusal leaves nothing behind, and only what may begin something makes a flow.
//
// It is the only package that touches sipgo beyond its message types. sipgo's parser and message types serve here;
// its transport and transactions do not, because the box needs what they lack: the peer's certificate and the
// connection beside each request, handshake deadlines and connection caps, no buffer held for an idle phone, every
// 2xx of a forked INVITE, and a CANCEL that cannot be lost between two goroutines.
//
// One read goroutine owns each connection. It frames and parses, matches responses and CANCELs to transactions, and
// hands every new request to Options.OnRequest in a goroutine of its own. Sending never blocks the caller: bytes go
// to a bounded queue and a writer that lives only while there is something to write.
package stack
