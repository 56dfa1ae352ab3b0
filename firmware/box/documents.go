package box

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/provision"
	"holdfast/sip/site"
)

// beginWait bounds how long the start waits for a first site document from the portal; the box then runs without one
// and goes on asking.
const beginWait = 15 * time.Second

// buildDocuments puts the last good site document, or a first one, into force.
func (b *Box) buildDocuments() error {
	b.site.Store(nobody())
	const without = "no site document comes from the portal"
	var token []byte
	if f := b.cfg.Portal.TokenFile; f != "" {
		var err error
		token, err = secret("portal token", f, 0)
		b.lacks(err, without)
	}
	p, err := provision.New(provision.Options{Dir: filepath.Join(b.cfg.DataDir, "site"), URL: b.cfg.Portal.URL, Token: string(token),
		Roots:     b.trusted("portal", b.cfg.Portal.Roots, without),
		PublicKey: b.cfg.Portal.PublicKey, Interval: b.cfg.Portal.Interval, File: b.cfg.Site.File, AllowUnsigned: b.cfg.Site.AllowUnsigned,
		Adopt: b.adopt, Log: b.log})
	if err != nil {
		return err
	}
	b.documents = p
	ctx, cancel := context.WithTimeout(context.Background(), beginWait)
	defer cancel()
	if err := p.Begin(ctx); err != nil {
		if b.cfg.Portal.URL == "" {
			return fmt.Errorf("site document: %w", err) // nobody will bring one: say so now
		}
		b.log.Error("no site document: nobody can be served until there is one", "err", err)
	}
	b.restoreBindings()
	b.reachGateways()
	return nil
}

// nobody is the site of a box that has no document yet: it runs, shows itself and serves no one.
func nobody() *site.Site {
	d := site.Document{Version: site.FormatVersion, Serial: 1, Users: []site.User{}, Trunks: []site.Trunk{},
		Site:     site.Info{ID: "none", Name: "no site document yet", Domain: "holdfast.invalid", Timezone: "UTC", MainNumber: "+12025550100"},
		DialPlan: site.DialPlan{Country: "US"}}
	data, err := json.Marshal(d)
	if err == nil {
		var s *site.Site
		if s, err = site.Load(data); err == nil {
			return s
		}
	}
	panic("box: the empty site document is not valid: " + err.Error())
}

// provisioned reports whether there is a site document.
func (b *Box) provisioned() bool {
	return b.site.Load().Doc().Site.ID != "none" || len(b.site.Load().Doc().Users) > 0
}

// adopt puts a document into force. Running calls keep the one that they began with.
func (b *Box) adopt(s *site.Site) {
	b.site.Store(s)
	o := s.Doc().Options
	longest := time.Duration(o.MaxExpires) * time.Second
	b.registrar.Limit(time.Duration(o.MinExpires)*time.Second, longest, longest, o.MaxContacts)
	b.openGateways(s)
	b.trunks.Update(s.Doc().Trunks)
	b.recheckTrunks()
	for _, x := range b.registrar.All(time.Now()) { // who left the document leaves the box
		if _, ok := s.UserByID(x.AOR); !ok {
			b.registrar.Remove(x.AOR)
			b.forgetBindings(x.AOR)
		}
	}
}

// Fetch looks for a new site document now.
func (b *Box) Fetch(ctx context.Context, force bool) (string, error) {
	outcome, err := b.documents.Fetch(ctx, force)
	serial := b.site.Load().Doc().Serial
	switch {
	case err != nil:
		return "", errors.Join(err, fmt.Errorf("document %d serves on", serial))
	case outcome == provision.Adopted:
		return fmt.Sprintf("Document %d is in force.", serial), nil
	}
	return fmt.Sprintf("Nothing new: document %d is the newest.", serial), nil
}

func (b *Box) siteStatus() control.Site {
	doc, p := b.site.Load().Doc(), b.documents.Status()
	s := control.Site{ID: doc.Site.ID, Name: doc.Site.Name, Serial: doc.Serial, Source: p.Source, Fetched: p.Fetched, LastCheck: p.Checked, LastError: p.Error, Warnings: []string{}}
	for _, w := range b.site.Load().WarningsAt(time.Now()) {
		s.Warnings = append(s.Warnings, w.Error())
	}
	if p.Card != "" {
		s.Warnings = append(s.Warnings, "the card does not keep the document: "+p.Card)
	}
	return s
}
