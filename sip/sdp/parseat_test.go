package sdp

import (
	"errors"
	"net/netip"
	"testing"
)

// TestParseAt: the address that is known stands in for IPv6 addresses, and for nothing else.
func TestParseAt(t *testing.T) {
	at := netip.MustParseAddr("10.0.0.9")
	head := "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nt=0 0\r\n"
	for name, c := range map[string]struct {
		body, rtp, rtcp string
		dir             Direction
	}{
		"session":          {"c=IN IP6 2001:db8::1\r\nm=audio 4000 RTP/AVP 0\r\n", "10.0.0.9:4000", "", SendRecv},
		"stream":           {"c=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n", "10.0.0.9:4000", "", SendRecv},
		"RTCP":             {"c=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\na=rtcp:4007 IN IP6 ::1\r\n", "10.0.0.1:4000", "10.0.0.9:4007", SendRecv},
		"IPv4":             {"c=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n", "10.0.0.1:4000", "", SendRecv},
		"held the old way": {"c=IN IP6 ::\r\nm=audio 4000 RTP/AVP 0\r\n", "0.0.0.0:4000", "", SendOnly},
	} {
		d, err := ParseAt([]byte(head+c.body), at)
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case d.Remote.String() != c.rtp || c.rtcp != "" && d.RTCP.String() != c.rtcp || d.Direction != c.dir:
			t.Errorf("%s: %v, RTCP %v, %v", name, d.Remote, d.RTCP, d.Direction)
		}
	}
	for _, bad := range []string{"c=IN IP6 nonsense\r\n", "c=IN IP6 10.0.0.1:4\r\n", "c=IN IP4 ::ffff:10.0.0.1\r\n"} {
		if d, err := ParseAt([]byte(head+bad+"m=audio 4000 RTP/AVP 0\r\n"), at); err == nil {
			t.Errorf("%q gives %v", bad, d.Remote)
		}
	}
	if _, err := ParseAt([]byte(head+"c=IN IP6 ::1\r\nm=audio 4000 RTP/AVP 0\r\n"), netip.Addr{}); !errors.Is(err, ErrIPv6) {
		t.Errorf("without an address: %v", err)
	}
}
