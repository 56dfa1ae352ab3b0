package load

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast/firmware/lab/ca"
)

//go:embed peer/kamailio.cfg
var kamailioConfig string

//go:embed peer/tls-atfork.c
var tlsAtFork []byte

const ngAddr = "127.0.80.13:2223"

func aim(authority *ca.Authority) *target {
	return &target{addr: netip.AddrPortFrom(serverAddr, 5061), domain: domain, password: password,
		tls: &tls.Config{RootCAs: authority.Pool(), ServerName: name, MinVersion: tls.VersionTLS13}}
}

// startKamailio runs Kamailio and rtpengine. Debian's Kamailio 5.6 with OpenSSL 3 dies in a storm of handshakes; a preload
// that clears libcrypto's thread-local state after each fork keeps it alive (upstream issue 3791).
func startKamailio(ctx context.Context, dir string, authority *ca.Authority) (*server, error) {
	if err := certificates(dir, authority); err != nil {
		return nil, err
	}
	tlsText := fmt.Sprintf("[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\nprivate_key = %[1]s/server.key\ncertificate = %[1]s/server.crt\nca_list = %[1]s/roots.crt\n"+
		"[client:default]\nmethod = TLSv1.2+\nverify_certificate = yes\nrequire_certificate = yes\nca_list = %[1]s/roots.crt\n", dir)
	text := strings.NewReplacer("@ADDRESS@", serverAddr.String(), "@DOMAIN@", domain, "@SECRET@", password, "@RUN@", dir, "@NG@", ngAddr).Replace(kamailioConfig)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "tls.cfg"), []byte(tlsText), 0o600),
		os.WriteFile(filepath.Join(dir, "kamailio.cfg"), []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "tls-atfork.c"), tlsAtFork, 0o600))
	if err != nil {
		return nil, err
	}
	preload := filepath.Join(dir, "tls-atfork.so")
	if out, err := exec.CommandContext(ctx, "gcc", "-shared", "-fPIC", "-o", preload, filepath.Join(dir, "tls-atfork.c")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("preload: %w: %s", err, out)
	}
	engine, err := spawn(dir, "rtpengine", nil, "rtpengine", "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=4", "--interface=127.0.80.13",
		"--listen-ng="+ngAddr, "--port-min=30000", "--port-max=39999", "--tos=184")
	if err != nil {
		return nil, err
	}
	kam, err := spawn(dir, "kamailio", []string{"LD_PRELOAD=" + preload}, "kamailio", "-f", filepath.Join(dir, "kamailio.cfg"), "-P", filepath.Join(dir, "pid"), "-w", dir, "-Y", dir,
		"-m", "1024", "-M", "16", "-DD")
	if err != nil {
		kill(engine)
		return nil, err
	}
	s := &server{name: "kamailio", groups: []int{kam.Process.Pid, engine.Process.Pid}, target: aim(authority), stop: func() { kill(kam); kill(engine) }}
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		c, err := net.Dial("tcp4", s.target.addr.String())
		if err == nil {
			c.Close()
			return s, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			s.stop()
			log, _ := os.ReadFile(filepath.Join(dir, "kamailio.log"))
			return nil, fmt.Errorf("kamailio does not listen: %s", bytes.TrimSpace(log))
		}
	}
}

// spawn starts a program in a process group of its own.
func spawn(dir, name string, env []string, args ...string) (*exec.Cmd, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("%s (from Debian's package): %w", name, err)
	}
	return c, nil
}

func kill(c *exec.Cmd) {
	syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
	timer := time.AfterFunc(3*time.Second, func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	c.Wait()
}
