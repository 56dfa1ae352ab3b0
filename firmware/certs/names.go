package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// mostNames of a certificate.
const mostNames = 50

// Names are what a certificate has to carry.
type Names struct {
	DNS []string
	IP  []netip.Addr
}

// String lists them.
func (n Names) String() string {
	var b bytes.Buffer
	for i, d := range n.DNS {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(d)
	}
	for _, a := range n.IP {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.String())
	}
	return b.String()
}

func (n Names) ips() (out []net.IP) {
	for _, a := range n.IP {
		out = append(out, a.AsSlice())
	}
	return out
}

func (n Names) common() string {
	if len(n.DNS) > 0 {
		return n.DNS[0]
	}
	if len(n.IP) > 0 {
		return n.IP[0].String()
	}
	return ""
}

// ErrNoNames means that nobody could check whom a certificate belongs to.
var ErrNoNames = errors.New("a certificate needs a name or an address: phones check it against what they dial")

// ParseNames reads names and addresses that are separated by commas or white space.
func ParseNames(text string) (n Names) {
	for _, one := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", ;\t\r\n", r) }) {
		if a, err := netip.ParseAddr(one); err == nil {
			n.IP = append(n.IP, a)
		} else {
			n.DNS = append(n.DNS, one)
		}
	}
	return n
}

// check refuses what no authority would sign: letters, digits and hyphens make a name (RFC 5890 section 2.3.1), an asterisk may
// stand for the first label (RFC 9525 section 6.3).
func (n Names) check() error {
	if n.common() == "" {
		return ErrNoNames
	}
	if len(n.DNS)+len(n.IP) > mostNames {
		return fmt.Errorf("%d names are too many for one certificate: %d at most", len(n.DNS)+len(n.IP), mostNames)
	}
	for _, name := range n.DNS {
		if !isHost(name) {
			return fmt.Errorf("%.80q is no name that can be dialled: write one such as box.example.com, without port or scheme", name)
		}
	}
	for _, a := range n.IP {
		if !a.IsValid() || a.IsUnspecified() || a.Zone() != "" {
			return fmt.Errorf("%s is no address of a box", a)
		}
	}
	return nil
}

func isHost(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(name, "*."), ".") {
		plain := strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
		if label == "" || len(label) > 63 || !plain || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// Hosts are the host names of a certificate that somebody looks up: no wildcards, no addresses that were written as names, no names
// without a domain. Those of others are left out, such as the SIP domain, which may be the cloud's too.
func Hosts(leaf *x509.Certificate, others ...string) (out []string) {
	for _, n := range leaf.DNSNames {
		n = strings.ToLower(n)
		_, err := netip.ParseAddr(n)
		if err != nil && !strings.Contains(n, "*") && strings.Contains(n, ".") && !slices.ContainsFunc(others, func(o string) bool { return strings.EqualFold(n, o) }) {
			out = append(out, n)
		}
	}
	return out
}
