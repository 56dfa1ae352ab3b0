package box

import (
	"bytes"
	"context"
	"fmt"
	"os"
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
	if b.cfg.Report.URL != "" {
		secret, err := os.ReadFile(b.cfg.Report.SecretFile)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		pool, err := roots("report", b.cfg.Report.Roots)
		if err != nil {
			return err
		}
		if b.reportSender, err = webhook.New(webhook.Options{URL: b.cfg.Report.URL, Secret: bytes.TrimSpace(secret), Roots: pool, Outbox: b.outbox, Box: b.cfg.Name,
			Timeout: time.Minute, Log: b.log}); err != nil {
			return err
		}
		o.Outbox = b.outbox
	}
	var err error
	if b.reports, err = report.New(o); err != nil {
		return err
	}
	b.reports.Begin(b.modes.state().Mode, time.Now())
	return nil
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
