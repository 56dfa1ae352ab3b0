package box

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"holdfast/firmware/certs"
	"holdfast/firmware/ownname"
)

// answerForName answers DNS questions for the box's names in the phones' certificate until ctx ends, where the settings say so. A port that is
// taken ends no calls: it is an alarm, and tried again.
func (b *Box) answerForName(ctx context.Context) error {
	if !b.cfg.DNS.IsValid() {
		<-ctx.Done()
		return nil
	}
	at := b.cfg.Phones.Listen.Addr()
	if at.IsUnspecified() {
		at = b.cfg.DNS.Addr()
	}
	return b.insist(ctx, "answers for the box's own name", func() error {
		return b.serveName(ctx, at)
	})
}

func (b *Box) serveName(ctx context.Context, at netip.Addr) error {
	conn, err := ownname.Listen(ctx, b.cfg.DNS)
	if err == nil {
		b.nameFault.Store(nil)
		err = ownname.Serve(ctx, conn, b.ownName, at)
	}
	if err != nil {
		text := err.Error()
		b.nameFault.Store(&text)
	}
	return err
}

// ownNames are the host names in the phones' certificate: the box's own, and those that lead phones, or the box itself, to the cloud. Whoever answered for
// these would keep both from ever finding it again.
func (b *Box) ownNames() (own, clouds []string) {
	c := b.phoneCert.Load()
	if c == nil || c.Leaf == nil {
		return nil, nil
	}
	hosts := b.cfg.Hosts()
	for _, n := range certs.Hosts(c.Leaf, b.site.Load().Doc().Site.Domain) {
		if slices.Contains(hosts, n) {
			clouds = append(clouds, n)
		} else {
			own = append(own, n)
		}
	}
	return own, clouds
}

// ownName tells whether a name in lower case is the box's.
func (b *Box) ownName(name string) bool {
	own, _ := b.ownNames()
	return slices.Contains(own, name)
}

func (b *Box) nameAlarms() (out []string) {
	if why := b.nameFault.Load(); why != nil {
		out = append(out, "the box does not answer for its own name (dns.listen): "+*why)
	}
	if !b.cfg.DNS.IsValid() {
		return out
	}
	if _, clouds := b.ownNames(); len(clouds) > 0 {
		out = append(out, fmt.Sprintf("the box answers no DNS questions for %s, which the boot file names as the cloud's or the portal's: have the phones' certificate issued for a name of the box's own", strings.Join(clouds, ", ")))
	}
	return out
}
