package box

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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

// loadCertificates reads the box's own and the authorities of the SBC's, each by itself: what cannot be read leaves what is in
// force as it is, and is no reason to refuse the others.
func (b *Box) loadCertificates() error {
	return errors.Join(b.load(certs.Phones), b.load(certs.Trunk), b.load(certs.SBC))
}

// startCertificates puts the first ones into force. A file that cannot be read is an alarm and keeps no box from starting, whoever
// named it: without an SBC calls inside still work, and many a phone takes any certificate. Its page is where it is mended.
func (b *Box) startCertificates() error {
	if err := b.loadCertificates(); err != nil {
		b.log.Error("certificates on the card cannot be used; the box starts without them", "err", err)
	}
	if b.phoneCert.Load() == nil || b.trunkCert.Load() == nil {
		return errors.New("the box has no certificate, and cannot make one: see its log")
	}
	return nil
}

// load puts the files of one use into force, or notes why it cannot.
func (b *Box) load(use certs.Use) error {
	var err error
	switch use {
	case certs.Phones:
		err = b.loadPair(use, &b.phoneCert)
	case certs.Trunk:
		err = b.loadPair(use, &b.trunkCert)
	default:
		err = b.loadAuthorities()
	}
	b.certFaults.set(use, err)
	return err
}

// loadPair reads one of the box's own. What cannot be read, or is gone, never takes the place of one that is in force; at the start,
// when none is, a temporary one does.
func (b *Box) loadPair(use certs.Use, inForce *atomic.Pointer[tls.Certificate]) error {
	p := pairOf(b.cfg, use)
	c, err := certificate(use, p)
	if err == nil {
		inForce.Store(c)
		return nil
	}
	if inForce.Load() == nil {
		c, e := b.temporary(use)
		if e != nil {
			return errors.Join(err, e)
		}
		inForce.Store(c)
	}
	shown, e := certs.Describe(use, inForce.Load())
	switch {
	case e != nil:
		return errors.Join(err, e)
	case !shown.Temporary:
		return fmt.Errorf("%w; the one before stays in force until the next start", err)
	case p.Missing(): // nobody has brought one yet
		return nil
	}
	return fmt.Errorf("%w; a temporary one is shown, which nobody trusts", err)
}

// temporary is one that the box signs itself, before the first one was brought: it can then be asked for a request, and its page
// can be opened.
func (b *Box) temporary(use certs.Use) (*tls.Certificate, error) {
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
	b.log.Warn("a temporary certificate is shown, which nobody trusts", "use", string(use), "file", pairOf(b.cfg, use).Certificate)
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
	files := []string{b.cfg.Trunk.Roots}
	for _, use := range []certs.Use{certs.Phones, certs.Trunk} {
		p := pairOf(b.cfg, use)
		files = append(files, p.Certificate, p.Key)
	}
	tick := time.NewTicker(certificatesEvery)
	defer tick.Stop()
	before := stamps(files)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if now := stamps(files); now != before {
				before = now
				b.reloadCertificates()
			}
		}
	}
}

// reloadCertificates puts into force what is on the card now; what is wrong with it is an alarm until it is mended.
func (b *Box) reloadCertificates() {
	b.certFiles.Lock()
	defer b.certFiles.Unlock()
	if err := b.loadCertificates(); err != nil {
		b.log.Error("not all certificates are renewed; those before stay in force", "err", err)
		return
	}
	b.log.Info("certificates are renewed")
}

// mostShown authorities: a whole machine's list is no page to read.
const mostShown = 50

// Certificates are those that the box shows, and the authorities that it takes an SBC's from.
func (b *Box) Certificates() (out []certs.Info) {
	for _, own := range []struct {
		use certs.Use
		c   *tls.Certificate
	}{{certs.Phones, b.phoneCert.Load()}, {certs.Trunk, b.trunkCert.Load()}} {
		i, err := certs.Describe(own.use, own.c)
		if err != nil {
			b.log.Error("certificate", "use", string(own.use), "err", err)
			continue
		}
		out = append(out, i)
	}
	trusted := b.authorities.Load().Infos(certs.SBC)
	return append(out, trusted[:min(len(trusted), mostShown)]...)
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

// InstallCertificate puts what an authority made of a request into force at once, or whom to trust towards the SBC. What is up
// stays up; what is next towards the SBC is tried here and now, so that a mistake shows before the next connection needs it.
func (b *Box) InstallCertificate(use certs.Use, data []byte) (string, error) {
	b.certFiles.Lock()
	defer b.certFiles.Unlock()
	msg, warnings, err := "", []string(nil), error(nil)
	switch use {
	case certs.Phones, certs.Trunk:
		msg, warnings, err = b.installPair(use, data)
	case certs.SBC:
		msg, warnings, err = b.installAuthorities(data)
	default:
		err = fmt.Errorf("there is no certificate for %q: phones, trunk or sbc", use)
	}
	if err != nil {
		return "", err
	}
	if use != certs.Phones {
		warnings = append(warnings, b.tryTrunks()...)
	}
	for _, w := range warnings {
		msg += "\nBut: " + w + "."
	}
	return msg, nil
}

func (b *Box) installPair(use certs.Use, data []byte) (string, []string, error) {
	p := pairOf(b.cfg, use)
	c, err := certs.Check(use, data, p.Keys(), time.Now())
	if err != nil {
		return "", nil, err
	}
	if err := p.Install(c); err != nil {
		return "", nil, inDataFolder(err)
	}
	if err := b.load(use); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("In force for %s: %s, until %s.", use, strings.Join(c.Info.Names, ", "), c.Info.Until.Format(time.DateOnly)), c.Warnings, nil
}

// inDataFolder says what helps when a file cannot be kept: the image's boot partition is read-only.
func inDataFolder(err error) error {
	return fmt.Errorf("%w; on the box's image the files belong into the data folder: leave certificate, key and roots out of the boot file", err)
}
