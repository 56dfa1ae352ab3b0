package box

import (
	"context"
	"path/filepath"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/record"
	"holdfast/firmware/report"
	"holdfast/firmware/webhook"
)

// buildReports makes what tells an outage or a drill when it is over, and its way out.
func (b *Box) buildReports() error {
	o := report.Options{Dir: filepath.Join(b.cfg.DataDir, "reports"), Box: b.cfg.Name, Version: b.version, Keep: b.cfg.Report.Keep, Log: b.log,
		Site: b.site.Load, Scene: b.scene, Emergencies: b.knownEmergencies}
	err := b.buildReportSender()
	if err != nil {
		return err
	}
	if b.reportSender != nil {
		o.Outbox = b.outbox
	}
	if b.reports, err = report.New(o); err != nil {
		return err
	}
	b.reports.Begin(b.modes.state().Mode, time.Now())
	return nil
}

func (b *Box) buildReportSender() error {
	r := b.cfg.Report
	if r.URL == "" {
		return nil
	}
	const without = "reports stay on the card"
	key, err := secret("report secret", r.SecretFile, webhook.MinSecret)
	if err != nil {
		b.lacks(err, without)
		return nil
	}
	b.reportSender, err = webhook.New(webhook.Options{URL: r.URL, Secret: key, Roots: b.trusted("report", r.Roots, without), Outbox: b.outbox, Box: b.cfg.Name,
		Timeout: time.Minute, Log: b.log})
	return err
}

// deliverReports sends what waits; it comes again until it is taken.
func (b *Box) deliverReports(ctx context.Context) error {
	if b.reportSender == nil {
		<-ctx.Done()
		return nil
	}
	return b.outbox.Deliver(ctx, report.Kind, b.reportSender.Deliver)
}

// scene is how the box stands at a change of mode.
func (b *Box) scene() report.Scene {
	p := b.documents.Status()
	s := report.Scene{Serial: b.site.Load().Doc().Serial, Source: p.Source, Fetched: p.Fetched, Trunks: []report.Trunk{}}
	for _, t := range b.trunks.States() {
		s.Trunks = append(s.Trunks, report.Trunk{ID: t.ID, Began: t.Up, Error: t.Err})
	}
	seen := make(map[string]bool)
	for _, x := range b.registrar.All(time.Now()) {
		if x.Reachable() && !seen[x.AOR] {
			seen[x.AOR] = true
			s.Here = append(s.Here, x.AOR)
		}
	}
	for _, c := range b.calls.Calls() {
		s.Running = append(s.Running, c.ID)
	}
	return s
}

// knownEmergencies are the calls for help of RAM and of the card.
func (b *Box) knownEmergencies() ([]emergency.Emergency, error) {
	kept, err := emergency.Read(b.recordsDir(), record.KindEmergency)
	return emergency.Merge(kept, b.journal.All()), err
}

// Reports are those on the card, the oldest first.
func (b *Box) Reports() ([]report.Summary, error) { return b.reports.List() }

// Report is one of them; "" for the last.
func (b *Box) Report(id string) (*report.Report, error) { return b.reports.Get(id) }
