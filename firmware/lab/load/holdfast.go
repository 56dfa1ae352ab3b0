package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"holdfast/firmware/lab/appliance"
	"holdfast/firmware/lab/ca"
	"holdfast/sip/site"
)

const (
	domain   = "branch.example"
	password = "secret"
	name     = "server.branch.example"
)

var serverAddr = netip.MustParseAddr("127.0.80.10")

// server is one of the two that are compared.
type server struct {
	name   string
	groups []int // process groups
	stop   func()
	target *target
}

// startHoldfast runs the box, its cloud unreachable, and waits until it serves.
func startHoldfast(ctx context.Context, binary, dir string, users int, authority *ca.Authority) (*server, error) {
	if err := errors.Join(certificates(dir, authority), writeUsers(dir, users)); err != nil {
		return nil, err
	}
	boot := fmt.Sprintf(`name = "load"
data_dir = %q
run_dir = %q
[log]
level = "warn"
[phones]
listen = "%s:5061"
certificate = "server.crt"
key = "server.key"
[trunk]
listen = "127.0.80.11:5061"
certificate = "server.crt"
key = "server.key"
roots = "roots.crt"
[media]
port_min = 10000
port_max = 29999
drain = "2s"
[cloud]
roots = "roots.crt"
[[cloud.zone]]
name = "gone"
address = "127.0.80.99:5061"
tls_name = "gone.example"
[site]
file = "site.json"
allow_unsigned = true
[metrics]
listen = "127.0.80.12:9464"
`, filepath.Join(dir, "data"), filepath.Join(dir, "run"), serverAddr)
	if err := os.WriteFile(filepath.Join(dir, "holdfast.toml"), []byte(boot), 0o600); err != nil {
		return nil, err
	}
	for _, d := range []string{"data", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	b := &appliance.Box{Binary: binary, BootFile: filepath.Join(dir, "holdfast.toml"), RunDir: filepath.Join(dir, "run"), LogFile: filepath.Join(dir, "box.log")}
	if err := b.Check(); err != nil {
		return nil, err
	}
	if err := b.Start(); err != nil {
		return nil, err
	}
	stop := func() { b.Stop() }
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, _, err := b.WaitMode(wait, "resilience"); err != nil {
		stop()
		return nil, fmt.Errorf("%w\n%s", err, b.LastWords(5))
	}
	return &server{name: "holdfast", groups: []int{b.PID()}, stop: stop, target: aim(authority)}, nil
}

func certificates(dir string, authority *ca.Authority) error {
	leaf, err := authority.Leaf([]string{name, domain}, serverAddr)
	if err != nil {
		return err
	}
	return errors.Join(ca.Write(dir, "server", leaf), authority.WriteRoots(filepath.Join(dir, "roots.crt")))
}

func writeUsers(dir string, n int) error {
	doc := site.Document{Version: site.FormatVersion, Serial: 1,
		Site:     site.Info{ID: "load", Name: "Load", Domain: domain, Timezone: "UTC", MainNumber: "+12175551000"},
		DialPlan: site.DialPlan{Country: "US", AreaCode: "217", ExternalPrefix: "9", NationalPrefix: "1", InternationalPrefix: "011"},
		Trunks:   []site.Trunk{{ID: "sbc", Address: "127.0.80.98:5061", TLSName: "sbc.example", OptionsInterval: 60}}}
	for i := range n {
		user := newPhone(i, nil).user
		ha1, err := site.HA1("MD5", user, domain, password)
		if err != nil {
			return err
		}
		doc.Users = append(doc.Users, site.User{ID: "user-" + user, Name: "User " + user, Extension: user, Auth: site.Auth{Username: user, HA1: map[string]string{"MD5": ha1}}})
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if _, err := site.Load(b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "site.json"), b, 0o600)
}
