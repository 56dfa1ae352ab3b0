package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Equip gives a patient this machine's ways to look at things.
func (p *Patient) Equip(resolvConf string) {
	dialer := &net.Dialer{}
	p.Dial, p.Exchange, p.Card, p.InRAM = dialer.DialContext, exchange, weigh, inRAM
	for _, d := range p.Config.Network.DNS {
		p.Resolvers = append(p.Resolvers, netip.AddrPortFrom(d, 53).String())
	}
	if len(p.Resolvers) == 0 {
		p.Resolvers = nameservers(resolvConf)
	}
}

// nameservers are the IPv4 ones of resolv.conf(5).
func nameservers(file string) (out []string) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Fields(lines.Text()); len(w) > 1 && w[0] == "nameserver" {
			if a, err := netip.ParseAddr(w[1]); err == nil && a.Is4() {
				out = append(out, netip.AddrPortFrom(a, 53).String())
			}
		}
	}
	return out
}

// exchange asks once more when a datagram may have been lost.
func exchange(ctx context.Context, server string, query []byte) ([]byte, error) {
	var last error
	for range 2 {
		c, err := (&net.Dialer{}).DialContext(ctx, "udp4", server)
		if err != nil {
			return nil, err
		}
		c.SetDeadline(time.Now().Add(within / 3))
		reply := make([]byte, 4096)
		n := 0
		if _, last = c.Write(query); last == nil {
			n, last = c.Read(reply)
		}
		c.Close()
		if last == nil {
			return reply[:n], nil
		}
	}
	return nil, last
}

// weigh writes a few bytes through to the card, and takes them away again.
func weigh(dir string) (c Card, err error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return c, fmt.Errorf("%s: %w", dir, err)
	}
	c.Free, c.Total = fs.Bavail*uint64(fs.Bsize), fs.Blocks*uint64(fs.Bsize)
	path := filepath.Join(dir, ".doctor")
	began := time.Now()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return c, err
	}
	_, err = f.WriteString("x")
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
	c.Took = time.Since(began)
	return c, err
}

// File systems in RAM (statfs(2)).
const (
	tmpfsMagic = 0x01021994
	ramfsMagic = 0x858458f6
)

func inRAM(dir string) bool {
	var fs syscall.Statfs_t
	for syscall.Statfs(dir, &fs) != nil && dir != "/" && dir != "." { // not made yet: where it will be
		dir = filepath.Dir(dir)
	}
	return uint32(fs.Type) == tmpfsMagic || uint32(fs.Type) == ramfsMagic
}
