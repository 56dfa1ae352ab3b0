package box

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/firmware/hep"
	"holdfast/firmware/report"
	"holdfast/firmware/syslog"
	"holdfast/firmware/webhook"
	"holdfast/sip/trace"
)

// watching is what keeps and tells how the box does, for those who look at it from outside.
type watching struct {
	trace        *trace.Log // nil: no SIP is kept
	reports      *report.Collector
	reportSender *webhook.Sender // nil: reports stay here
	fsyncs       prometheus.Histogram
	heard        heard
	homer        *hep.Exporter  // nil: none
	syslog       *syslog.Sender // nil: none
}

// runWatching starts it.
func (b *Box) runWatching(under func(name string, run func(context.Context) error)) {
	under("reports", b.reports.Run)
	under("report delivery", b.deliverReports)
	if b.homer != nil {
		under("homer", b.homer.Run)
	}
	if b.syslog != nil {
		under("syslog", b.syslog.Run)
	}
}
