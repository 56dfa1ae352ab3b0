// Package ownname answers DNS questions for the box's own name, and for nothing else: phones that know the box by name find it also when
// the internet, and with it the LAN's way to any other server, is gone. The LAN's server forwards the name here, or phones have the
// box as another server: whatever else they ask is refused, so that they ask the next one.
//
// It resolves nothing, keeps nothing, and no answer is much larger than its question: it is no use to who forges senders.
package ownname

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// ttl of answers, in seconds: the address of a box hardly ever changes, and when it does phones should hear of it soon.
const ttl = 60

// largestQuestion that is read, in bytes: one question with the extras that resolvers add.
const largestQuestion = 1232

// Answer is what a question gets (RFC 1035): the address for one of the names, no data for other types of it, a refusal for
// all else. mine tells whether a name, in lower case and without the dot at its end, is the box's. nil: nothing is said.
func Answer(question []byte, mine func(name string) bool, address netip.Addr) []byte {
	if len(question) > largestQuestion {
		return nil
	}
	var p dnsmessage.Parser
	h, err := p.Start(question)
	if err != nil || h.Response {
		return nil
	}
	reply := dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode, RecursionDesired: h.RecursionDesired}
	q, err := p.Question()
	if err != nil {
		reply.RCode = dnsmessage.RCodeFormatError
		return pack(dnsmessage.Message{Header: reply})
	}
	m := dnsmessage.Message{Header: reply, Questions: []dnsmessage.Question{q}}
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	switch _, more := p.Question(); {
	case more != dnsmessage.ErrSectionDone:
		m.RCode, m.Questions = dnsmessage.RCodeFormatError, nil
	case h.OpCode != 0:
		m.RCode = dnsmessage.RCodeNotImplemented
	case q.Class != dnsmessage.ClassINET || !mine(name):
		m.RCode = dnsmessage.RCodeRefused
	case q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeALL:
		m.Authoritative = true
		m.Answers = []dnsmessage.Resource{{Header: header(q.Name, dnsmessage.TypeA), Body: &dnsmessage.AResource{A: address.As4()}}}
	default: // RFC 2308 section 2.2: without the SOA nobody would remember that there is no such data
		m.Authoritative = true
		m.Authorities = []dnsmessage.Resource{{Header: header(q.Name, dnsmessage.TypeSOA), Body: &dnsmessage.SOAResource{
			NS: q.Name, MBox: q.Name, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, MinTTL: ttl}}}
	}
	return pack(m)
}

func header(name dnsmessage.Name, kind dnsmessage.Type) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: name, Type: kind, Class: dnsmessage.ClassINET, TTL: ttl}
}

func pack(m dnsmessage.Message) []byte {
	out, err := m.Pack()
	if err != nil { // a name that came in goes out
		return nil
	}
	return out
}
