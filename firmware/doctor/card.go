package doctor

import (
	"context"
	"os"
	"time"
)

// Bounds of what is normal.
const (
	oldDocument = 3 * 24 * time.Hour
	slowCard    = time.Second
	lowRoom     = 0.1
	noRoom      = 0.02
)

// document looks at the site document that serves, or would.
func document(_ context.Context, p Patient) []Finding {
	const area = "document"
	if p.Site == nil {
		fix := "`holdfast site fetch` says why the portal brings none"
		if p.Config.Portal.URL == "" {
			fix = "put one at " + p.Config.Site.File + " (`holdfast check` reads it)"
		}
		return []Finding{fail(area, fix, "nobody can be served: %v", p.SiteErr)}
	}
	doc := p.Site.Doc()
	out := []Finding{ok(area, "%s, serial %d: %d users, %d trunks", doc.Site.Name, doc.Serial, len(doc.Users), len(doc.Trunks))}
	if age := p.Now.Sub(p.Fetched); !p.Fetched.IsZero() && age > oldDocument && p.Config.Portal.URL != "" {
		out = append(out, warn(area, "see whether the portal is reached, and whether it has a newer one: `holdfast site fetch`", "it came %d days ago from %s", int(age.Hours()/24), p.Source))
	}
	if p.Status != nil && p.Status.Site.LastError != "" {
		out = append(out, warn(area, "mend what it says; the last good document serves on", "the last look for a new one: %s", p.Status.Site.LastError))
	}
	for _, w := range p.Site.WarningsAt(p.Now) {
		out = append(out, warn(area, "correct the document at its source", "%s", w.Error()))
	}
	return out
}

// theCard looks at what is written to.
func theCard(_ context.Context, p Patient) []Finding {
	const area = "card"
	dir := p.Config.DataDir
	c, err := p.Card(dir)
	if err != nil {
		return []Finding{fail(area, "replace the card; calls go on without it, records do not", "it cannot be written: %v", err)}
	}
	var out []Finding
	switch share := float64(c.Free) / float64(max(c.Total, 1)); {
	case share < noRoom:
		out = append(out, fail(area, "find what fills "+dir+": Holdfast's own files are bounded", "%.1f %% of it are free", 100*share))
	case share < lowRoom:
		out = append(out, warn(area, "find what fills "+dir+": Holdfast's own files are bounded", "%.0f %% of it are free", 100*share))
	}
	if c.Took > slowCard {
		out = append(out, warn(area, "cards get slow before they die: have a new one ready", "it took %.1f s to keep a few bytes", c.Took.Seconds()))
	}
	if i, err := os.Stat(dir); err == nil && i.Mode().Perm()&0o077 != 0 {
		out = append(out, warn(area, "chmod 700 "+dir, "others may look into %s, which holds personal data and hashes of passwords", dir))
	}
	if len(out) == 0 {
		out = append(out, ok(area, "%d MiB free, %d ms to keep a few bytes", c.Free>>20, c.Took.Milliseconds()))
	}
	if !p.InRAM(p.Config.RunDir) {
		out = append(out, warn(area, "let run_dir be on a tmpfs, such as /run/holdfast", "%s is not in RAM: it wears the card, and what a power cut should forget is kept", p.Config.RunDir))
	}
	return out
}
