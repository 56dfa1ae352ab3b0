package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/firmware/netcfg"
)

// Somebody on the wire has the box's address, and somebody the usual fallback address: the admin page is at another one all the
// same, lets an installer in there, and leaves it when it has to move on.
func TestAdminPageWhenBothAddressesAreTaken(t *testing.T) {
	m := newMachine(t)
	far := m.far
	boot, _, net := onMachine(t, 0)
	if err := os.WriteFile(filepath.Join(filepath.Dir(boot), "admin.password"), []byte("four words of nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	far.run("ip", "addr", "add", "10.77.0.5/24", "dev", "far0")
	far.run("ip", "addr", "add", "169.254.9.11/16", "dev", "far0")
	inRun := func(args ...string) *program { // in a /run where the helper's folder is the test's
		t.Helper()
		script := `mount -t tmpfs none /run; mkdir /run/holdfast-net; mount --bind "$NET" /run/holdfast-net; exec "$@"`
		p := &program{Cmd: m.command(append([]string{"unshare", "-m", "sh", "-ec", script, "sh", os.Args[0]}, args...)...)}
		p.Env = append(os.Environ(), asProgram+"=1", "NET="+net)
		p.Stdout, p.Stderr = &p.out, &p.out
		p.started(t)
		return p
	}
	if err := os.Mkdir(net, 0o755); err != nil {
		t.Fatal(err)
	}
	inRun("run", "-c", boot)
	inRun("netcfg", "-c", boot)
	fallback := func(not ...string) (a string) {
		eventually(t, "a fallback address besides "+strings.Join(not, " "), func() bool {
			s, err := netcfg.ReadState(net)
			if err != nil || s.Ports[0].Fallback == "" || s.Ports[0].Conflict == nil || s.Ports[0].Address != "" {
				return false
			}
			a = s.Ports[0].Fallback
			for _, n := range not {
				if a == n {
					return false
				}
			}
			return true
		})
		return a
	}
	login := func(at string) string {
		body := "name=admin&password=four+words+of+nonsense"
		ask := fmt.Sprintf("POST /login HTTP/1.1\r\nHost: %s:8443\r\nOrigin: https://%s:8443\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
			"Content-Length: %d\r\nConnection: close\r\n\r\n%s", at, at, len(body), body)
		c := far.command("openssl", "s_client", "-quiet", "-connect", at+":8443")
		c.Stdin = strings.NewReader(ask)
		out, _ := c.CombinedOutput()
		return string(out)
	}
	first := fallback("169.254.9.11")
	far.run("ip", "addr", "add", "169.254.1.1/16", "dev", "far0")
	eventually(t, "a login at "+first, func() bool {
		answer := login(first)
		return strings.Contains(answer, "303 See Other") && strings.Contains(answer, "Set-Cookie: ")
	})
	// The other machine takes this one, too: the box gives way (RFC 3927 section 2.5), and the page goes with it.
	far.run("ip", "addr", "add", first+"/16", "dev", "far0")
	far.run("sh", "-ec", "echo 1 >/proc/sys/net/ipv4/conf/far0/arp_notify; ip link set far0 down; ip link set far0 up")
	second := fallback("169.254.9.11", first)
	eventually(t, "a login at "+second, func() bool { return strings.Contains(login(second), "303 See Other") })
}
