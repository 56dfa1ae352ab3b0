package torture

// Outcomes besides SIP statuses.
const (
	silence = 0  // no answer, the connection goes on
	closed  = -1 // no answer, the connection is closed: framing was lost
)

// expectation says what a message may lead to, and why (sections are of RFC 4475 unless RFC 5118 is named).
type expectation struct {
	file    string
	why     string
	allowed []int
	// framing: the message's own framing is broken, so that the connection may be closed after it.
	framing bool
}

// understood are the answers that show that a valid request was parsed and judged by what it means: 401 asks who it is,
// 404 says that its domain or user is not here, and so on. A 400 would claim that it is malformed.
var understood = []int{200, 401, 403, 404, 405, 406, 415, 480, 484, 488, 501}

func and(list []int, more ...int) []int { return append(append([]int(nil), list...), more...) }

// table is what we hold the box to, one line a message.
var table = []expectation{
	{"rfc4475/wsinv.dat", "3.1.1.1: valid, however it is folded and spaced; its To tag names a dialog that is not here", and(understood, 481), false},
	{"rfc4475/intmeth.dat", "3.1.1.2: a valid method that nobody knows: 501 or 405", []int{405, 501, 401}, false},
	{"rfc4475/esc01.dat", "3.1.1.3: valid escapes", understood, false},
	{"rfc4475/escnull.dat", "3.1.1.4: valid, %00 included", understood, false},
	{"rfc4475/esc02.dat", "3.1.1.5: % is no escape in a method: an unknown method", []int{405, 501, 401}, false},
	{"rfc4475/lwsdisp.dat", "3.1.1.6: no space is needed before <", understood, false},
	{"rfc4475/longreq.dat", "3.1.1.7: valid, with long values", understood, false},
	{"rfc4475/dblreq.dat", "3.1.1.8: the first is valid; on a stream the second is a request of its own", understood, true},
	{"rfc4475/semiuri.dat", "3.1.1.9: a semicolon in the user part is no parameter", understood, false},
	{"rfc4475/transports.dat", "3.1.1.10: Via transports of all kinds, unknown ones too", understood, false},
	{"rfc4475/mpart01.dat", "3.1.1.11: a valid MESSAGE with a multipart body", understood, false},
	{"rfc4475/unreason.dat", "3.1.1.12: a response that nobody waits for, with any reason phrase", []int{silence}, false},
	{"rfc4475/noreason.dat", "3.1.1.13: the reason phrase may be empty", []int{silence}, false},
	{"rfc4475/badinv01.dat", "3.1.2.1: separators without values: 400", []int{400}, false},
	{"rfc4475/clerr.dat", "3.1.2.2: on a stream the rest is awaited, then the connection given up; 400 is as good", []int{400, closed}, true},
	{"rfc4475/ncl.dat", "3.1.2.3: a negative Content-Length: 400, and the framing is lost", []int{400}, true},
	{"rfc4475/scalar02.dat", "3.1.2.4: scalars out of range in a request: 400", []int{400}, false},
	{"rfc4475/scalarlg.dat", "3.1.2.5: scalars out of range in a response: dropped", []int{silence}, false},
	{"rfc4475/quotbal.dat", "3.1.2.6: an open quote: 400", []int{400}, false},
	{"rfc4475/ltgtruri.dat", "3.1.2.7: angle brackets round the Request-URI: 400", []int{400}, false},
	{"rfc4475/lwsruri.dat", "3.1.2.8: white space in the Request-URI: 400", []int{400}, false},
	{"rfc4475/lwsstart.dat", "3.1.2.9: two spaces in the request line: 400", []int{400}, false},
	{"rfc4475/trws.dat", "3.1.2.10: a space at the request line's end: 400", []int{400}, false},
	{"rfc4475/escruri.dat", "3.1.2.11: headers in the Request-URI: 400, or they are ignored", and(understood, 400), false},
	{"rfc4475/baddate.dat", "3.1.2.12: a Date of another zone: ignored or 400", and(understood, 400), false},
	{"rfc4475/regbadct.dat", "3.1.2.13: a Contact whose ? stands outside of <>: 400", []int{400}, false},
	{"rfc4475/badaspec.dat", "3.1.2.14: spaces within an addr-spec: 400", []int{400}, false},
	{"rfc4475/baddn.dat", "3.1.2.15: a display name with a character that needs quotes: 400, or it is taken all the same", and(understood, 400), false},
	{"rfc4475/badvers.dat", "3.1.2.16: another version: 505", []int{505}, false},
	{"rfc4475/mismatch01.dat", "3.1.2.17: CSeq names another method: 400", []int{400}, false},
	{"rfc4475/mismatch02.dat", "3.1.2.18: the same with an unknown method: 400, 405 or 501", []int{400, 405, 501}, false},
	{"rfc4475/bigcode.dat", "3.1.2.19: a status code out of range: dropped", []int{silence}, false},
	{"rfc4475/badbranch.dat", "3.2.1: the cookie without anything after it names no transaction; the request is valid", and(understood, 400), false},
	{"rfc4475/insuf.dat", "3.3.1: headers that must be there are not: 400", []int{400}, false},
	{"rfc4475/unkscm.dat", "3.3.2: an unknown scheme in the Request-URI: 416", []int{416}, false},
	{"rfc4475/novelsc.dat", "3.3.3: a scheme that is known and not for this: 416", []int{416}, false},
	{"rfc4475/unksm2.dat", "3.3.4: unknown schemes in To, From and Contact of a REGISTER: judged by what it means", and(understood, 400), false},
	{"rfc4475/bext01.dat", "3.3.5: Require of what nobody has: 420", []int{420}, false},
	{"rfc4475/invut.dat", "3.3.6: a body of an unknown type: 415, after 401 perhaps", understood, false},
	{"rfc4475/regaut01.dat", "3.3.7: an unknown scheme of credentials counts as none: 401, or 404 where its domain is not served", []int{401, 404}, false},
	{"rfc4475/multi01.dat", "3.3.8: single headers given twice: 400", []int{400}, false},
	{"rfc4475/mcl01.dat", "3.3.9: two values of Content-Length: 400, and the framing is lost", []int{400}, true},
	{"rfc4475/bcast.dat", "3.3.10: a response whose Via is a broadcast address: dropped", []int{silence}, false},
	{"rfc4475/zeromf.dat", "3.3.11: Max-Forwards 0: 483, or the answer of whom it has reached", []int{200, 401, 404, 483}, false},
	{"rfc4475/cparam01.dat", "3.3.12: an unknown Contact parameter is ignored", understood, false},
	{"rfc4475/cparam02.dat", "3.3.13: parameters within the Contact's URI", understood, false},
	{"rfc4475/regescrt.dat", "3.3.14: escaped headers in a Contact's URI", understood, false},
	{"rfc4475/sdp01.dat", "3.3.15: Accept does not list SDP: 406, or judged before that", and(understood, 400), false},
	{"rfc4475/inv2543.dat", "3.4.1: an INVITE of RFC 2543, without branch; but a stream needs Content-Length (RFC 3261 18.3): 400", and(understood, 400), true},
	{"rfc5118/ipv6-good.dat", "RFC 5118 4.1: valid; the box serves IPv4 only and says so", and(understood, 400, 416), false},
	{"rfc5118/ipv6-bad.dat", "RFC 5118 4.2: an IPv6 address without brackets: 400", []int{400, 488}, false},
	{"rfc5118/port-ambiguous.dat", "RFC 5118 4.3: valid although not what was meant", and(understood, 400), false},
	{"rfc5118/port-unambiguous.dat", "RFC 5118 4.4: valid", and(understood, 400), false},
	{"rfc5118/via-received-param-with-delim.dat", "RFC 5118 4.5: brackets in received", and(understood, 400), false},
	{"rfc5118/via-received-param-no-delim.dat", "RFC 5118 4.5: none", and(understood, 400), false},
	{"rfc5118/ipv6-in-sdp.dat", "RFC 5118 4.6: IPv6 in SDP; the file's Content-Length is too small for a stream", and(understood, 400), true},
	{"rfc5118/mult-ip-in-header.dat", "RFC 5118 4.7: both kinds of address; a BYE, of no call that the box has: 481", []int{481}, false},
	{"rfc5118/mult-ip-in-sdp.dat", "RFC 5118 4.8: both in SDP; Content-Length as above", and(understood, 400), true},
	{"rfc5118/ipv4-mapped-ipv6.dat", "RFC 5118 4.9: IPv4-mapped; Content-Length as above", and(understood, 400), true},
	{"rfc5118/ipv6-bug-abnf-3-colons.dat", "RFC 5118 4.10: three colons, an error of the old grammar that is to be tolerated or refused", and(understood, 400), false},
	{"rfc5118/ipv6-correct-abnf-2-colons.dat", "RFC 5118 4.10: two colons", and(understood, 400), false},
}

// Others is how many of these messages the best of the well-known servers gets right (Kamailio; Asterisk 44).
const Others = 47

// Messages is how many there are.
func Messages() int { return len(table) }
