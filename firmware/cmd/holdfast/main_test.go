package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/config"
	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/lab/ca"
	"holdfast/sip/site"
)

// call runs a command line: what it prints, and its exit status.
func call(t *testing.T, args ...string) (out string, status int, err error) {
	t.Helper()
	var b bytes.Buffer
	err = dispatch(t.Context(), args, &b)
	if _, usage := errors.AsType[usageError](err); usage {
		status = 2
	} else if err != nil {
		status = 1
	}
	return b.String(), status, err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const goodSite = `{
  "version": 1, "serial": 7,
  "site": {"id": "s", "name": "Branch", "domain": "branch.example.com", "timezone": "UTC", "main_number": "+12175551000"},
  "dial_plan": {"country": "US"}, "emergency": {},
  "users": [{"id": "alice", "name": "Alice", "extension": "1001", "byoc_numbers": ["+12175551000"],
    "auth": {"username": "1001", "ha1": {"MD5": "00112233445566778899aabbccddeeff"}}}],
  "trunks": []
}`

// bootFolder is a folder with the example boot file and everything that it names.
func bootFolder(t *testing.T) (boot string) {
	t.Helper()
	dir := t.TempDir()
	authority, err := ca.New("test")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Leaf([]string{"box.test"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(dir, "roots")
	if err := authority.WriteRoots(roots); err != nil {
		t.Fatal(err)
	}
	rootsPEM, err := os.ReadFile(roots)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	for name, text := range map[string]string{"holdfast.toml": config.Example(), "phones.pem": cert, "phones.key": private, "trunk.pem": cert, "trunk.key": private,
		"sbc-roots.pem": string(rootsPEM), "cloud-roots.pem": string(rootsPEM), "portal-roots.pem": string(rootsPEM), "webhook-roots.pem": string(rootsPEM),
		"report-roots.pem": string(rootsPEM), "homer-roots.pem": string(rootsPEM), "syslog-roots.pem": string(rootsPEM), "syslog.pem": cert, "syslog.key": private, "report.secret": "a secret of 16 bytes",
		"portal.token": "token", "webhook.secret": "a secret of 16 bytes", "site.json": goodSite} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "holdfast.toml")
}

// TestCheckLooksAtFiles: a boot file whose files are not there, or do not belong together, is not usable.
func TestCheckLooksAtFiles(t *testing.T) {
	for name, want := range map[string]string{"phones.key": "phones certificate", "sbc-roots.pem": "trunk roots", "portal.token": "portal token", "webhook.secret": "webhook secret"} {
		boot := bootFolder(t)
		if err := os.Remove(filepath.Join(filepath.Dir(boot), name)); err != nil {
			t.Fatal(err)
		}
		if out, status, _ := call(t, "check", boot); status != 1 || !strings.Contains(out, want) {
			t.Errorf("without %s: status %d\n%s", name, status, out)
		}
	}
}

func TestCheck(t *testing.T) {
	boot := bootFolder(t)
	doc := write(t, "site.json", "\xef\xbb\xbf"+goodSite)
	out, status, err := call(t, "check", boot, doc)
	if status != 0 || err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{
		boot + ": good. Phones at 10.0.0.5:5061, trunk at 10.0.1.5:5061, 2 cloud zones.\n",
		"  warning: phones certificate ends on ",
		doc + ": good. Branch (serial 7): 1 users, 0 devices, 0 trunks.\n",
		"  warning: line 7: /trunks: the site has no trunk;",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

// TestCheckTellsAll: every fault of every file is listed, with its place and what would be right, and the status is 1.
func TestCheckTellsAll(t *testing.T) {
	boot := write(t, "bad.toml", strings.NewReplacer(`"10.0.0.5:5061"`, `"[::1]:5061"`, `"2s"`, `"two"`, "dscp_sip", "dscp_spi").Replace(config.Example()))
	doc := write(t, "bad.json", strings.NewReplacer(`"US"`, `"XX"`, `"UTC"`, `"Mars/Olympus"`, `"1001", "ha1"`, `"10 01", "ha1"`, `"trunks": []`, `"trunks": [], "bogus": 1`).Replace(goodSite))
	good := write(t, "good.json", goodSite)
	out, status, err := call(t, "check", boot, good, doc)
	if status != 1 || err == nil || !strings.Contains(err.Error(), "mend") {
		t.Errorf("status %d, %v", status, err)
	}
	for _, want := range []string{
		boot + ": not usable", "phones.listen", "cloud.interval", "cloud.timeout", "dscp_spi", "bad.toml:15: phones.listen",
		doc + ": not usable", "line 3: /site/timezone", "line 4: /dial_plan", "line 6: /users/0/auth/username", "/bogus", good + ": good.",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") { // a fault is indented under its file
		if !strings.HasPrefix(line, "  ") && !strings.HasSuffix(line, ": not usable") && !strings.Contains(line, ": good.") {
			t.Errorf("stray line %q", line)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"missing":    {filepath.Join(t.TempDir(), "none.json"), "no such file"},
		"folder":     {t.TempDir(), "is a directory"},
		"no JSON":    {write(t, "x.pem", "-----BEGIN"), "neither a boot file"},
		"empty":      {write(t, "x.json", ""), "neither a boot file"},
		"list":       {write(t, "x.json", "[]"), "neither a boot file"},
		"cut JSON":   {write(t, "x.json", `{"version": 1,`), "line 1"},
		"no TOML":    {write(t, "x.toml", "{"), "x.toml:1"},
		"large TOML": {write(t, "x.toml", strings.Repeat("# comment\n", config.MaxSize/10+1)), "is larger than"},
		"binary":     {write(t, "x.json", "\x00\x01\x02"), "neither a boot file"},
	} {
		out, status, _ := call(t, "check", c.file)
		if status != 1 || !strings.Contains(out, c.want) {
			t.Errorf("%s: status %d, want %q in:\n%s", name, status, c.want, out)
		}
	}
}

// TestUsage: a wrong command line is told from a failure, and names what would be right.
func TestUsage(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"help dance", "there is no command \"dance\""},
		{"version 2", "has no place here"},
		{"emergency drill", "say `holdfast emergency drill [--number 933] [--callback] USER`"},
		{"dance", "there is no command \"dance\"; `holdfast help` lists them"},
		{"check", "name a boot file (.toml) or a site document (.json)"},
		{"check --fast x", "flag provided but not defined: -fast; `holdfast check -h` lists the flags"},
		{"status now", "\"now\" has no place here; `holdfast status -h` lists the flags"},
		{"status --json=maybe", "invalid boolean value"},
		{"drill", "say `holdfast drill start"},
		{"drill pause", "say `holdfast drill start"},
		{"drill start 1001", "\"1001\" has no place here; `holdfast drill -h` lists the flags"},
		{"drill start --for soon", "invalid value \"soon\" for flag -for"},
		{"drill start --users=", "--users names nobody"},
		{"drill start --users=,", "--users names nobody"},
		{"site", "say `holdfast site fetch` or `holdfast site schema` or `holdfast site example`"},
		{"site push", "say `holdfast site fetch`"},
		{"site fetch now", "has no place here"},
		{"run holdfast.toml", "\"holdfast.toml\" has no place here; `holdfast run -h` lists the flags"},
	} {
		out, status, err := call(t, strings.Fields(c.line)...)
		if status != 2 || err == nil || !strings.Contains(err.Error(), c.want) || out != "" {
			t.Errorf("%s: status %d, %v, want %s; printed %q", c.line, status, err, c.want, out)
		}
	}
}

// TestHelp is asked for, so it is no failure, and it goes where output goes.
func TestHelp(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", "holdfast drill"}, {"help", "Exit status: 0 done"}, {"-h", "holdfast check"}, {"--help", "holdfast run"},
		{"status -h", "-json"}, {"run -h", "boot file"}, {"drill -h", "-users"}, {"drill start --help", "-for"}, {"site -h", "-force"},
		{"check -h", "  holdfast check FILE…"}, {"help drill", "  holdfast drill stop\n"}, {"site example", "\"security_desk\""}, {"version", "holdfast dev"}, {"--version", "holdfast dev"}, {"example", "[[cloud.zone]]"},
	} {
		out, status, err := call(t, strings.Fields(c.line)...)
		if status != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: status %d, %v, want %q in:\n%s", c.line, status, err, c.want, out)
		}
	}
	out, _, _ := call(t, "help")
	for _, c := range commands() {
		if !strings.Contains(out, "holdfast "+c.name+" ") {
			t.Errorf("help does not name %s", c.name)
		}
	}
	for line := range strings.SplitSeq(out, "\n") {
		if len([]rune(line)) > columns {
			t.Errorf("help is %d columns wide: %s", len([]rune(line)), line)
		}
	}
	schema, status, _ := call(t, "site", "schema")
	if !json.Valid([]byte(schema)) || status != 0 || schema != string(site.Schema()) {
		t.Error("the schema is not printed")
	}
	version, commit = "1.0", "abc"
	defer func() { version, commit = "dev", "" }()
	if out, _, _ := call(t, "version"); out != "holdfast 1.0 (abc)\n" {
		t.Errorf("version %q", out)
	}
}

func TestRunRefuses(t *testing.T) {
	for file, want := range map[string]string{
		filepath.Join(t.TempDir(), "none.toml"):            "no such file",
		write(t, "bad.toml", "[phones]\nlisten = \"x\"\n"): "the boot file has faults:\n",
	} {
		if _, status, err := call(t, "run", "-c", file); status != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%d, %v, want %s", status, err, want)
		}
	}
}

// fake is a running box.
type fake struct {
	mu    sync.Mutex
	asked []any
	err   error
}

func (f *fake) note(what any) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, what)
	return "Done.", f.err
}

func (f *fake) Status() control.Status                              { return outage() }
func (f *fake) StartDrill(o control.DrillOrder) (string, error)     { return f.note(o) }
func (f *fake) StopDrill(by string) (string, error)                 { return f.note("stop by " + by) }
func (f *fake) Fetch(_ context.Context, force bool) (string, error) { return f.note(force) }

// TestRunningBox: the commands that talk to one, over its socket.
func TestRunningBox(t *testing.T) {
	nobody := filepath.Join(t.TempDir(), control.SocketName)
	if _, status, err := call(t, "status", "--socket", nobody); status != 1 || !strings.Contains(err.Error(), "no box is running here") {
		t.Errorf("without a box: %d, %v", status, err)
	}
	f := new(fake)
	served(t, f)
	out, status, _ := call(t, "status")
	if !strings.HasPrefix(out, "● RESILIENCE") || strings.Contains(out, "\x1b") || status != 0 {
		t.Errorf("status %d:\n%s", status, out)
	}
	out, status, _ = call(t, "status", "--json")
	var s control.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Mode.Name != "resilience" || len(s.Calls) != 2 || status != 0 {
		t.Errorf("%v:\n%s", err, out)
	}
	for _, c := range []struct {
		line string
		want any
	}{
		{"drill start --by ann", control.DrillOrder{By: "ann", Limit: 15 * time.Minute}},
		{"drill start --by ann --for 90s --users 1001,alice,,1002", control.DrillOrder{By: "ann", Limit: 90 * time.Second, Users: []string{"1001", "alice", "1002"}}},
		{"drill stop --by ann", "stop by ann"},
		{"ack --call c1 Maria Lopez", control.AckOrder{By: "Maria Lopez", How: emergency.ByCommand, Call: "c1"}},
		{"site fetch", false},
		{"site fetch --force", true},
	} {
		out, status, err := call(t, strings.Fields(c.line)...)
		got, _ := json.Marshal(f.asked[len(f.asked)-1])
		want, _ := json.Marshal(c.want)
		if out != "Done.\n" || status != 0 || !bytes.Equal(got, want) {
			t.Errorf("%s: %q, %v; asked %s, want %s", c.line, out, err, got, want)
		}
	}
	if by := loginName(); by == "" {
		t.Error("nobody orders the drill")
	}
	f.err = errors.New("the cloud is away: this is no time for a drill")
	for _, line := range []string{"drill start", "drill stop", "site fetch", "ack Maria", "emergency log"} {
		if out, status, err := call(t, strings.Fields(line)...); status != 1 || err == nil || err.Error() != f.err.Error() || out != "" {
			t.Errorf("%s: %d, %v, printed %q", line, status, err, out)
		}
	}
}
