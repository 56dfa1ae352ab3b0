package box

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/firmware/report"
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
}

// runWatching starts it.
func (b *Box) runWatching(under func(name string, run func(context.Context) error)) {
	under("reports", b.reports.Run)
	under("report delivery", b.deliverReports)
}
