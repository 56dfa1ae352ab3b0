package box

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/config"
)

// pairOf is where the certificate of a use is.
func pairOf(c *config.Config, use certs.Use) certs.Pair {
	if use == certs.Trunk {
		return certs.Pair{Certificate: c.Trunk.Certificate, Key: c.Trunk.Key}
	}
	return certs.Pair{Certificate: c.Phones.Certificate, Key: c.Phones.Key}
}

// certificate loads a leaf with its chain and key, and says in plain words what is wrong with it.
func certificate(use certs.Use, p certs.Pair) (*tls.Certificate, error) {
	c, err := p.Load()
	if err != nil {
		return nil, fmt.Errorf("%s certificate (%s, %s): %w", use, p.Certificate, p.Key, err)
	}
	return c, nil
}

// loadCertificates reads both; what cannot be read leaves both as they are.
func (b *Box) loadCertificates() error {
	phones, errP := b.loadCertificate(certs.Phones)
	trunks, errT := b.loadCertificate(certs.Trunk)
	if err := errors.Join(errP, errT); err != nil {
		return err
	}
	b.phoneCert.Store(phones)
	b.trunkCert.Store(trunks)
	return nil
}

// loadCertificate reads one. Before the first one was brought the box signs one itself: it can then be asked for a request,
// and its page can be opened.
func (b *Box) loadCertificate(use certs.Use) (*tls.Certificate, error) {
	p := pairOf(b.cfg, use)
	if !p.Missing() {
		return certificate(use, p)
	}
	own := filepath.Join(b.cfg.DataDir, "certs", "temporary-"+string(use)+".pem")
	if c, err := (certs.Pair{Certificate: own, Key: own}).Load(); err == nil {
		return c, nil
	}
	key, err := certs.NewKey(false)
	if err != nil {
		return nil, err
	}
	cert, err := certs.Temporary(key, b.names(use), time.Now())
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(own), 0o700), os.WriteFile(own, append(cert, key...), 0o600)); err != nil {
		b.log.Warn("the temporary certificate is not kept", "err", err) // the next start makes another
	}
	b.log.Warn("there is no certificate yet; a temporary one is shown, which nobody trusts", "use", string(use), "file", p.Certificate)
	return &c, nil
}

// names are what a certificate of the box should carry, unless somebody says otherwise: those of the one in force, or the
// address that the other side dials.
func (b *Box) names(use certs.Use) (n certs.Names) {
	at, c := b.cfg.Phones.Listen.Addr(), b.phoneCert.Load()
	if use == certs.Trunk {
		at, c = b.cfg.Trunk.Listen.Addr(), b.trunkCert.Load()
	}
	if c != nil && c.Leaf != nil {
		n.DNS = c.Leaf.DNSNames
		for _, ip := range c.Leaf.IPAddresses {
			if a, ok := netip.AddrFromSlice(ip.To4()); ok {
				n.IP = append(n.IP, a)
			}
		}
		return n
	}
	if !at.IsUnspecified() {
		n.IP = append(n.IP, at)
	}
	if strings.Contains(b.cfg.Name, ".") || len(n.IP) == 0 {
		n.DNS = append(n.DNS, b.cfg.Name)
	}
	return n
}

// certificatesEvery is how often the files are looked at.
const certificatesEvery = 5 * time.Second

// renewCertificates puts files that have changed into force, until ctx ends.
func (b *Box) renewCertificates(ctx context.Context) error {
	files := func() (all []string) {
		for _, use := range []certs.Use{certs.Phones, certs.Trunk} {
			p := pairOf(b.cfg, use)
			all = append(all, p.Certificate, p.Key)
		}
		return all
	}()
	tick := time.NewTicker(certificatesEvery)
	defer tick.Stop()
	before := stamps(files)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			now := stamps(files)
			if now == before {
				continue
			}
			before = now
			if err := b.loadCertificates(); err != nil {
				b.log.Error("certificates are not renewed; the old ones stay in force", "err", err)
			} else {
				b.log.Info("certificates are renewed")
			}
		}
	}
}

// Certificates are those that the box shows.
func (b *Box) Certificates() (out []certs.Info) {
	for use, c := range map[certs.Use]*tls.Certificate{certs.Phones: b.phoneCert.Load(), certs.Trunk: b.trunkCert.Load()} {
		i, err := certs.Describe(use, c)
		if err != nil {
			b.log.Error("certificate", "use", string(use), "err", err)
			continue
		}
		out = append(out, i)
	}
	if len(out) == 2 && out[0].Use == certs.Trunk {
		out[0], out[1] = out[1], out[0]
	}
	return out
}

// CertificateRequest makes a request for an authority. The key stays here; without names it carries those of the
// certificate in force.
func (b *Box) CertificateRequest(use certs.Use, n certs.Names, useRSA bool) ([]byte, error) {
	if use != certs.Phones && use != certs.Trunk {
		return nil, fmt.Errorf("there is no certificate for %q: phones or trunk", use)
	}
	if len(n.DNS)+len(n.IP) == 0 {
		n = b.names(use)
	}
	b.certFiles.Lock()
	defer b.certFiles.Unlock()
	key, err := pairOf(b.cfg, use).NewKey(useRSA)
	if err != nil {
		return nil, inDataFolder(err)
	}
	return certs.Request(key, n)
}

// InstallCertificate puts what an authority made of a request into force at once.
func (b *Box) InstallCertificate(use certs.Use, data []byte) (string, error) {
	if use != certs.Phones && use != certs.Trunk {
		return "", fmt.Errorf("there is no certificate for %q: phones or trunk", use)
	}
	b.certFiles.Lock()
	defer b.certFiles.Unlock()
	p := pairOf(b.cfg, use)
	c, err := certs.Check(use, data, p.Keys(), time.Now())
	if err != nil {
		return "", err
	}
	if err := p.Install(c); err != nil {
		return "", inDataFolder(err)
	}
	if err := b.loadCertificates(); err != nil {
		return "", err
	}
	msg := fmt.Sprintf("In force for %s: %s, until %s.", use, strings.Join(c.Info.Names, ", "), c.Info.Until.Format(time.DateOnly))
	for _, w := range c.Warnings {
		msg += "\nBut: " + w + "."
	}
	return msg, nil
}

// inDataFolder says what helps when a file cannot be kept: the image's boot partition is read-only.
func inDataFolder(err error) error {
	return fmt.Errorf("%w; on the box's image the files belong into the data folder: leave certificate and key out of the boot file", err)
}

// roots loads the authorities of a PEM file; "" means the system's, returned as nil.
func roots(what, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s roots: %w", what, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s roots: %w", what, errors.New(file+" holds no certificate in PEM form"))
	}
	return pool, nil
}
