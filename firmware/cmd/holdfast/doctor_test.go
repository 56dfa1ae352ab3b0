package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/firmware/doctor"
)

func TestFindings(t *testing.T) {
	p := page{}
	p.findings([]doctor.Finding{
		{Area: "clock", Verdict: doctor.OK, Text: "it says 2026-03-01 12:00:00 UTC, by 10.0.0.1"},
		{Area: "dns", Verdict: doctor.Warn, Text: "9.9.9.9 is outside of the branch\x1b[31m", Fix: "give box.branch.example an A record of its own on the LAN's server (the router, usually), and have phones use that server"},
		{Area: "dns", Verdict: doctor.Fail, Text: "10.0.0.1:53 does not know box.branch.example by itself", Fix: "give it a record"},
	})
	const want = `clock
  ✓ ok    it says 2026-03-01 12:00:00 UTC, by 10.0.0.1

dns
  ! warn  9.9.9.9 is outside of the branch?[31m
          → give box.branch.example an A record of its own on the LAN's server
            (the router, usually), and have phones use that server
  ✗ fail  10.0.0.1:53 does not know box.branch.example by itself
          → give it a record

1 failed, 1 to look at soon.
`
	if got := p.text.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestDoctorOnAStoppedBox: with the example's files, on a machine that is not the branch's: much is wrong, and it is said.
func TestDoctorOnAStoppedBox(t *testing.T) {
	boot := bootFolder(t)
	data := filepath.Join(filepath.Dir(boot), "data")
	text, err := os.ReadFile(boot)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("/var/lib/holdfast", data, "/run/holdfast", filepath.Join(filepath.Dir(boot), "run")).Replace(string(text))
	// Nothing outside of this machine is asked.
	for _, host := range []string{"zone1.phones.example.com", "zone2.phones.example.com", "phones.example.com", "portal.example.com", "alerts.example.com", "homer.example.com", "syslog.example.com", "ntp.example.com", "10.0.0.1\"", "10.0.0.2\""} {
		to := "127.0.0.1"
		if strings.HasSuffix(host, "\"") {
			to += "\""
		}
		if host == "zone2.phones.example.com" {
			to = "127.0.0.2"
		}
		changed = strings.ReplaceAll(changed, host, to)
	}
	changed = strings.ReplaceAll(changed, `gateway = "127.0.0.1"`, `gateway = "10.0.0.1"`)
	if err := os.WriteFile(boot, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	out, status, err := call(t, "doctor", "-c", boot, "--json")
	if status != 1 || err == nil || !strings.Contains(err.Error(), "checks failed") {
		t.Fatalf("%d %v\n%s", status, err, out)
	}
	var list []doctor.Finding
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	all := out
	for _, want := range []string{"no box runs here", "phones: it ends on", "phones must trust", "Branch, serial 7: 1 users", "cloud zone east at 127.0.0.1:5061 does not answer", "it cannot be written: " + data} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing of %q in\n%s", want, all)
		}
	}
	if out, status, _ := call(t, "doctor", "-c", boot); status != 1 || !strings.Contains(out, "✗ fail") || !strings.Contains(out, "→ ") {
		t.Errorf("%d\n%s", status, out)
	}
	for _, line := range []string{"doctor now", "doctor --wrong"} {
		if _, status, _ := call(t, strings.Fields(line)...); status != 2 {
			t.Errorf("%s: %d", line, status)
		}
	}
	if _, status, err := call(t, "doctor", "-c", filepath.Join(t.TempDir(), "none")); status != 1 || !strings.Contains(err.Error(), "boot file") {
		t.Error(status, err)
	}
}
