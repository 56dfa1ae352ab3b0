package box

import (
	"context"
	"net/netip"
	"slices"

	"holdfast/firmware/certs"
	"holdfast/firmware/ownname"
)

// answerForName answers DNS questions for the names in the phones' certificate until ctx ends, where the settings say so. A port that is
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

// ownName tells whether a name in lower case is the box's.
func (b *Box) ownName(name string) bool {
	c := b.phoneCert.Load()
	return c != nil && c.Leaf != nil && slices.Contains(certs.Hosts(c.Leaf, b.site.Load().Doc().Site.Domain), name)
}

func (b *Box) nameAlarms() []string {
	if why := b.nameFault.Load(); why != nil {
		return []string{"the box does not answer for its own name (dns.listen): " + *why}
	}
	return nil
}
