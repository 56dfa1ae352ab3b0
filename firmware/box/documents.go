package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"holdfast/firmware/control"
	"holdfast/sip/site"
)

// documents brings the site document.
type documents struct {
	b       *Box
	fetched time.Time
}

func (b *Box) buildDocuments() error {
	b.documents = &documents{b: b}
	data, err := os.ReadFile(b.cfg.Site.File)
	if err != nil {
		return fmt.Errorf("site document: %w", err)
	}
	s, err := site.Load(data)
	if err != nil {
		return fmt.Errorf("site document %s:\n%w", b.cfg.Site.File, err)
	}
	b.documents.fetched = time.Now()
	b.adopt(s)
	b.restoreBindings()
	return nil
}

// adopt puts a document into force. Running calls keep the one that they began with.
func (b *Box) adopt(s *site.Site) {
	b.site.Store(s)
	o := s.Doc().Options
	longest := time.Duration(o.MaxExpires) * time.Second
	b.registrar.Limit(time.Duration(o.MinExpires)*time.Second, longest, longest, o.MaxContacts)
	b.trunks.Update(s.Doc().Trunks)
}

func (d *documents) run(ctx context.Context) error { <-ctx.Done(); return nil }
func (d *documents) kick()                         {}
func (d *documents) fetch(ctx context.Context, force bool) (string, error) {
	return "", errors.New("not yet")
}
func (d *documents) status(s *control.Site) { s.Fetched = d.fetched }
