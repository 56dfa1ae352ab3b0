package main

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/lab/branch"
)

// The boot file changes while the box runs: it says so, takes up at SIGHUP what is good as soon as nobody needs it, and never what is
// not.
func TestSettingsChangeWhileTheBoxRuns(t *testing.T) {
	t.Setenv(asProgram, "1")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := branch.Start(t.TempDir(), binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if t.Failed() {
			t.Logf("the box's last words:\n%s", b.Box.LastWords(60))
		}
	})
	b.SwitchOff()
	client := control.NewClient(filepath.Join(b.Box.RunDir, control.SocketName))
	status := func(is func(control.Status, string) bool) func() bool {
		return func() bool {
			s, err := client.Status(t.Context())
			return err == nil && is(s, strings.Join(s.Alarms, "\n"))
		}
	}
	alarm := func(words ...string) func() bool {
		return status(func(_ control.Status, alarms string) bool {
			for _, w := range words {
				if !strings.Contains(alarms, w) {
					return false
				}
			}
			return true
		})
	}
	hup := func() {
		t.Helper()
		if err := syscall.Kill(b.Box.PID(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(at netip.AddrPort) bool {
		d := &net.Dialer{Timeout: 5 * time.Second}
		c, err := tls.DialWithDialer(d, "tcp4", at.String(), &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	old := b.Servers[len(b.Servers)-1].Addr
	l, err := net.Listen("tcp4", netip.AddrPortFrom(old.Addr(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	other := l.Addr().(*net.TCPAddr).AddrPort()
	text, err := os.ReadFile(b.Box.BootFile)
	if err != nil {
		t.Fatal(err)
	}
	write := func(from, to string) {
		t.Helper()
		if err := os.WriteFile(b.Box.BootFile, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a quiet box", status(func(s control.Status, _ string) bool {
		return s.Mode.Name == "normal" && len(s.Zones) > 1 && s.Trunks[0].Up
	}))
	began, pid := time.Time{}, b.Box.PID()
	status(func(s control.Status, _ string) bool { began = s.Started; return true })()

	write(old.String(), other.String()) // where somebody else listens
	eventually(t, "the taken port", alarm("holdfast.toml has changed and could not be begun with", "phones.listen: listen tcp4 "+other.String(), "address already in use"))
	write("[log]", "[lag]")
	eventually(t, "the mistake", alarm("holdfast.toml has changed and could not be begun with", "lag: is unknown"))
	hup()
	l.Close()
	write(old.String(), other.String())
	eventually(t, "what has changed", alarm("holdfast.toml has changed (phones.listen)", "kill -HUP restarts it"))
	if _, err := client.StartDrill(t.Context(), control.DrillOrder{By: "test", Limit: 10 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	hup()
	eventually(t, "the wait for the drill", alarm("(phones.listen)", "it restarts after the end of the drill"))
	if !answers(old) || answers(other) {
		t.Error("it did not wait")
	}
	if _, err := client.StopDrill(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new listener", func() bool { return answers(other) })
	eventually(t, "a new life without the alarm", status(func(s control.Status, alarms string) bool {
		return s.Started.After(began) && !strings.Contains(alarms, "holdfast.toml")
	}))
	if answers(old) || b.Box.PID() != pid {
		t.Error("the old listener is still there")
	}
	select {
	case <-b.Box.Exited():
		t.Error("the program has ended")
	default:
	}
}
