package box

import (
	"context"
	"errors"
	"time"

	"holdfast/firmware/clock"
	"holdfast/firmware/doctor"
	"holdfast/firmware/netcfg"
)

// Examine has the doctor look at the running box: who has no shell on it finds this on the admin page.
func (b *Box) Examine(ctx context.Context) []doctor.Finding {
	status, fetched := b.Status(), b.documents.Status()
	p := doctor.Patient{Config: b.cfg, Status: &status, Source: fetched.Source, Fetched: fetched.Fetched, SiteErr: errors.New("no document has come yet"), Now: time.Now()}
	if b.provisioned() {
		p.Site = b.site.Load()
	}
	p.Clock, p.ClockErr = clock.ReadState(netcfg.Dir)
	p.Equip("/etc/resolv.conf")
	return doctor.Examine(ctx, p)
}
