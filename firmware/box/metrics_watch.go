package box

import (
	"crypto/tls"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/firmware/feed"
	"holdfast/firmware/record"
	"holdfast/firmware/update"
	"holdfast/sip/site"
)

// What an operator is woken up for: scripts/monitoring has the alerts.

// newFsyncs measures how long the card takes to keep a few bytes (see probeCard). A card that dies gets slow first.
func newFsyncs() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_card_fsync_seconds", Help: "How long the card takes to keep a few bytes.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}})
}

// heard counts packets of calls that have ended, as the box received them.
type heard struct{ packets, lost atomic.Uint64 }

func (h *heard) add(c record.Call) {
	for _, l := range c.Legs {
		h.packets.Add(l.RxPackets)
		h.lost.Add(l.RxLost)
	}
}

// watch adds what does not count calls but tells whether the next one will work.
func (g gauges) watch(m sink) {
	b := g.b
	doc := b.site.Load().Doc()
	m.ch <- prometheus.MustNewConstMetric(desc("info", "Always 1: which box this is.", "box", "site", "version"), prometheus.GaugeValue, 1, b.cfg.Name, doc.Site.ID, b.version)
	for what, c := range map[string]*tls.Certificate{"phones": b.phoneCert.Load(), "trunk": b.trunkCert.Load()} {
		if c != nil && c.Leaf != nil {
			m.labelled("certificate_expiry_timestamp_seconds", "When the certificate ends, Unix time.", "certificate", what, prometheus.GaugeValue, float64(c.Leaf.NotAfter.Unix()))
		}
	}
	p := b.documents.Status()
	m.gauge("site_document_present", "1 while there is a site document.", flag(b.provisioned()))
	m.gauge("site_document_fetched_timestamp_seconds", "When the document in force came, Unix time; 0: never.", unix(p.Fetched))
	m.gauge("site_document_confirmed_timestamp_seconds", "When its source last said that it is the newest, Unix time; 0: never.", unix(p.Confirmed))
	m.gauge("site_document_failing", "1 while the last look for a new document failed.", flag(p.Error != ""))
	m.gauge("site_document_warnings", "Doubtful places in the document.", float64(len(b.site.Load().WarningsAt(time.Now()))))
	g.elins(m, doc)
	g.card(m)
	m.total("call_packets_received", "Media packets received in calls that have ended.", b.heard.packets.Load())
	m.total("call_packets_lost", "Media packets that did not arrive in calls that have ended.", b.heard.lost.Load())
	o := b.outbox.Stats()
	m.gauge("outbox_pending", "What waits in the queue to be delivered.", float64(o.Pending))
	m.gauge("outbox_bytes", "Size of the queue on the card.", float64(o.Bytes))
	m.gauge("outbox_failing", "1 while the queue cannot be written.", flag(o.LastError != ""))
	m.total("outbox_given_up", "Entries that were given up for their age or for want of room.", o.Expired)
	m.total("outbox_damaged", "Damaged places found in the queue.", o.Corrupt)
	m.total("records_lost", "Records that are missing in the files.", b.records.Stats().Lost)
	r := b.reports.Status()
	m.total("reports", "Reports of outages and drills.", r.Made)
	m.gauge("reports_due", "Outages and drills whose report is not safe yet.", float64(r.Due))
	if b.trace != nil {
		t := b.trace.Stats()
		m.gauge("trace_messages", "SIP messages that are kept.", float64(t.Messages))
		m.gauge("trace_oldest_timestamp_seconds", "When the oldest kept message of a call came, Unix time; 0: none.", unix(t.Oldest))
	}
	feeds := make(map[string]feed.Status)
	if b.homer != nil {
		feeds["homer"] = b.homer.Status()
	}
	if b.syslog != nil {
		feeds["syslog"] = b.syslog.Status()
	}
	for name, s := range feeds {
		m.labelled("feed_up", "1 while the server that gets copies is connected.", "feed", name, prometheus.GaugeValue, flag(s.Up))
		m.labelled("feed_sent_total", "Messages or lines sent to it.", "feed", name, prometheus.CounterValue, float64(s.Sent))
		m.labelled("feed_dropped_total", "Messages or lines that found no room.", "feed", name, prometheus.CounterValue, float64(s.Dropped))
	}
	m.gauge("alarms", "What a person should look at, as holdfast status lists it.", float64(len(b.Status().Alarms)))
}

// elins tells how many numbers for help are left on each trunk.
func (g gauges) elins(m sink, doc *site.Document) {
	have := make(map[string]map[string]bool)
	add := func(list []site.ELIN) {
		for _, e := range list {
			if have[e.Trunk] == nil {
				have[e.Trunk] = make(map[string]bool)
			}
			have[e.Trunk][e.Number] = true
		}
	}
	add(doc.Emergency.ELINs)
	for _, z := range doc.Zones {
		add(z.ELINs)
	}
	for _, u := range doc.Users {
		add(u.ELINs)
	}
	for _, d := range doc.Devices {
		add(d.ELINs)
	}
	held := make(map[string]map[string]bool)
	for _, p := range g.b.Pins() {
		if have[p.Trunk][p.ELIN] {
			if held[p.Trunk] == nil {
				held[p.Trunk] = make(map[string]bool)
			}
			held[p.Trunk][p.ELIN] = true
		}
	}
	for _, t := range doc.Trunks {
		m.labelled("elins", "Numbers for emergency calls on the trunk.", "trunk", t.ID, prometheus.GaugeValue, float64(len(have[t.ID])))
		m.labelled("elins_held", "Of these, how many lead back to a caller now.", "trunk", t.ID, prometheus.GaugeValue, float64(len(held[t.ID])))
	}
}

// card tells how the card does.
func (g gauges) card(m sink) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(g.b.cfg.DataDir, &fs); err == nil {
		m.gauge("card_bytes", "Size of the card's file system.", float64(fs.Blocks)*float64(fs.Bsize))
		m.gauge("card_free_bytes", "Room that is left on it.", float64(fs.Bavail)*float64(fs.Bsize))
	}
	damaged := 0
	for _, health := range g.b.updates.shown().Health {
		if health == string(update.Damaged) {
			damaged++
		}
	}
	m.gauge("slots_damaged", "Slots of the card that are not as they were written; 0 before they have been read back, too.", float64(damaged))
	m.gauge("card_healthy", "1 while the card keeps what is written to it.", flag(len(g.b.card.Faults()) == 0))
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
