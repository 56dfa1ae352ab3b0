package box

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/config"
	"holdfast/firmware/lab/ca"
	"holdfast/firmware/lab/lowport"
	"holdfast/sip/site"
)

// wholeBox is the real box on loopback with a cloud and an SBC that are not there, running until the test ends.
func wholeBox(t *testing.T, change ...func(*config.Config)) *Box {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	authority, err := ca.New("whole")
	must(err)
	leaf, err := authority.Leaf([]string{"box.branch.example"}, netip.MustParseAddr("127.0.0.1"))
	must(err)
	must(errors.Join(ca.Write(dir, "box", leaf), authority.WriteRoots(filepath.Join(dir, "roots.crt"))))
	doc := site.Document{Version: site.FormatVersion, Serial: 7,
		Site:     site.Info{ID: "whole", Name: "Whole", Domain: "branch.example", Timezone: "UTC", MainNumber: "+12175550100"},
		DialPlan: site.DialPlan{Country: "US"}, Trunks: []site.Trunk{{ID: "sbc", Address: "127.0.0.1:9", TLSName: "sbc.example"}},
		Emergency: site.Emergency{ELINs: []site.ELIN{{Trunk: "sbc", Number: "+12175559000"}, {Trunk: "sbc", Number: "+12175559001"}}},
		Users: []site.User{{ID: "ann", Name: "Ann", Extension: "1001", BYOCNumbers: []string{"+12175551001"},
			Auth: site.Auth{Username: "1001", HA1: map[string]string{"MD5": "00112233445566778899aabbccddeeff"}}}}}
	text, err := json.Marshal(doc)
	must(err)
	must(os.WriteFile(filepath.Join(dir, "site.json"), text, 0o600))
	must(os.WriteFile(filepath.Join(dir, "secret"), []byte("sixteen bytes or more"), 0o600))
	port := func() int {
		l, err := lowport.Listen(netip.MustParseAddr("127.0.0.1"))
		must(err)
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	cfg, err := config.Parse("whole.toml", []byte(fmt.Sprintf(`
name = "whole"
data_dir = "data"
run_dir = %q
[phones]
listen = "127.0.0.1:%d"
certificate = "box.crt"
key = "box.key"
[trunk]
listen = "127.0.0.1:%d"
certificate = "box.crt"
key = "box.key"
roots = "roots.crt"
[[cloud.zone]]
name = "east"
address = "127.0.0.1:9"
[site]
file = "site.json"
allow_unsigned = true
[homer]
address = "127.0.0.1:9"
[syslog]
address = "127.0.0.1:9"
[webhook]
url = "https://127.0.0.1:9/"
secret_file = "secret"
[metrics]
listen = "127.0.0.1:%d"
`, shortDir(t), port(), port(), port())))
	must(err)
	cfg.Resolve(dir)
	for _, c := range change {
		c(cfg)
	}
	b, err := New(cfg, "test", rigLog())
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return b
}

// shortDir is a folder whose name leaves room for a socket.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// scrape is what Prometheus gets.
func (b *Box) scrape(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get("http://" + b.cfg.Metrics.String() + "/metrics")
		if err == nil {
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatal(res.Status, err)
			}
			return string(body)
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestMetrics: what the alerts and the dashboard in scripts/monitoring ask for is there. `make check-monitoring` has the
// answer written to a file, for promtool.
func TestMetrics(t *testing.T) {
	b := wholeBox(t)
	text := b.scrape(t)
	if file := os.Getenv("HOLDFAST_METRICS_FILE"); file != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		`holdfast_info{box="whole",site="whole",version="test"} 1`,
		`holdfast_mode{mode="normal"}`,
		`holdfast_trunk_up{trunk="sbc"} 0`,
		`holdfast_elins{trunk="sbc"} 2`,
		`holdfast_elins_held{trunk="sbc"} 0`,
		`holdfast_users_expected 1`,
		`holdfast_users_registered 0`,
		`holdfast_certificate_expiry_timestamp_seconds{certificate="phones"}`,
		`holdfast_site_document_present 1`,
		`holdfast_card_free_bytes`,
		`holdfast_card_fsync_seconds_bucket`,
		`holdfast_outbox_pending 0`,
		`holdfast_call_packets_lost_total 0`,
		`holdfast_reports_due 0`,
		`holdfast_alarms `,
		`holdfast_feed_up{feed="syslog"} 0`,
		`holdfast_feed_dropped_total{feed="homer"}`,
		`holdfast_webhook_failing 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}
