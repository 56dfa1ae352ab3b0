package box

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/firmware/mode"
)

// serveMetrics answers Prometheus on loopback until ctx ends.
func (b *Box) serveMetrics(ctx context.Context) error {
	if !b.cfg.Metrics.IsValid() {
		<-ctx.Done()
		return nil
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), gauges{b}, b.fsyncs)
	l, err := net.Listen("tcp4", b.cfg.Metrics.String())
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// gauges reads the box's parts when Prometheus asks: nothing is counted twice.
type gauges struct{ b *Box }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("holdfast_"+name, help, labels, nil)
}

// sink takes what one look at the box finds.
type sink struct{ ch chan<- prometheus.Metric }

func (m sink) gauge(name, help string, v float64) {
	m.ch <- prometheus.MustNewConstMetric(desc(name, help), prometheus.GaugeValue, v)
}

func (m sink) total(name, help string, v uint64) {
	m.ch <- prometheus.MustNewConstMetric(desc(name+"_total", help), prometheus.CounterValue, float64(v))
}

func (m sink) labelled(name, help, label, value string, kind prometheus.ValueType, v float64) {
	m.ch <- prometheus.MustNewConstMetric(desc(name, help, label), kind, v, value)
}

// Describe says nothing: the set depends on the site document (an unchecked collector).
func (g gauges) Describe(chan<- *prometheus.Desc) {}

// Collect reads everything once.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	m := sink{ch}
	gauge, total, labelled := m.gauge, m.total, m.labelled
	defer g.watch(m)
	b, now := g.b, time.Now()
	state := b.modes.state()
	for _, x := range []mode.Mode{mode.Normal, mode.Resilience, mode.Drill, mode.Recovering} {
		labelled("mode", "1 for the mode that the box is in.", "mode", x.String(), prometheus.GaugeValue, flag(x == state.Mode))
	}
	gauge("mode_since_timestamp_seconds", "When the mode began, Unix time.", float64(state.Since.UnixMilli())/1000)
	for _, e := range b.modes.evidence() {
		ch <- prometheus.MustNewConstMetric(desc("zone_up", "1 while the cloud's zone counts as up.", "zone", "kind"), prometheus.GaugeValue,
			flag(e.Verdict == mode.Up), e.Zone, e.Kind.String())
	}
	for _, t := range b.trunks.States() {
		labelled("trunk_up", "1 while the trunk answers OPTIONS.", "trunk", t.ID, prometheus.GaugeValue, flag(t.Up))
	}
	n := b.registrar.Counts(now)
	gauge("phones_registered", "Bindings.", float64(n.Bindings))
	gauge("phones_unreachable", "Bindings whose connection is lost.", float64(n.Unreachable))
	gauge("users_registered", "Users with a phone here.", float64(n.Users))
	gauge("users_expected", "Users of the site document.", float64(len(b.site.Load().Doc().Users)))
	gauge("calls", "Running calls.", float64(b.calls.Count()))
	ct := b.calls.Totals()
	total("calls", "Calls begun.", ct.Calls.Load())
	total("calls_answered", "Calls answered.", ct.Answered.Load())
	total("calls_refused", "Calls refused.", ct.Refused.Load())
	total("call_faults", "Calls that ended by a fault of the program.", ct.Faults.Load())
	total("emergency_calls", "Emergency calls begun.", ct.Emergency.Load())
	gauge("emergency_unacknowledged", "Emergency calls that nobody has acknowledged, tests left out.", float64(b.unacknowledged()))
	gauge("emergency_pins", "ELINs that lead back to a caller.", float64(len(b.Pins())))
	gauge("emergency_steps_waiting", "Steps of emergency calls that are not on the card yet.", float64(b.journal.Behind(onCard)))
	if b.webhook != nil {
		w := b.webhook.Status()
		total("webhook_sent", "Alerts that the webhook took.", w.Sent)
		total("webhook_refused", "Alerts that the webhook will never take.", w.Refused)
		gauge("webhook_failing", "1 while alerts do not arrive.", flag(w.LastError != ""))
	}
	at := b.access.Totals()
	total("registrations", "REGISTER requests accepted.", at.Registered.Load())
	total("registrations_refused", "REGISTER requests refused because the box does not serve.", at.Refused.Load())
	total("authentication_failures", "Wrong passwords and unknown users.", at.Failed.Load())
	sc := b.stack.Counters()
	total("connections_accepted", "TLS connections accepted.", sc.Accepted.Load())
	total("connections_refused", "Connections over a cap or a rate.", sc.RefusedConns.Load())
	total("handshakes_failed", "TLS handshakes that failed.", sc.HandshakeFailures.Load())
	total("trunk_strangers", "Trunk connections whose certificate belongs to no trunk.", sc.Unauthorized.Load())
	total("sip_foreign", "Datagrams and connections without TLS that no device of the site document sent.", sc.Foreign.Load())
	total("sip_requests", "SIP requests received.", sc.Requests.Load())
	total("sip_malformed", "Messages refused as malformed.", sc.Malformed.Load())
	total("sip_faults", "Messages that a fault of the program has cost.", sc.Faults.Load())
	total("sip_slow_messages", "Messages that were not complete in time.", sc.SlowMessages.Load())
	total("sip_stray_responses", "Responses to no request of ours.", sc.StrayResponses.Load())
	total("sip_overflows", "Connections closed because memory for strangers or a queue was full.", sc.Overflows.Load())
	total("sip_rate_limited", "Requests over a connection's rate.", sc.RateLimited.Load())
	r := b.relay.Counts()
	gauge("media_ports_used", "Port pairs in use.", float64(r.PortsUsed))
	gauge("media_ports_free", "Port pairs free.", float64(r.PortsFree))
	total("media_packets_received", "RTP and RTCP packets received.", r.RxPackets)
	total("media_packets_sent", "RTP and RTCP packets sent.", r.TxPackets)
	total("media_packets_missed", "Packets that a full receive queue of the kernel cost.", r.Missed)
	for why, c := range r.Drops {
		labelled("media_dropped_total", "Packets dropped, by reason.", "reason", why, prometheus.CounterValue, float64(c))
	}
	gauge("site_document_serial", "Serial of the document in force.", float64(b.site.Load().Doc().Serial))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
