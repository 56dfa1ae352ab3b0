package box

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/config"
)

// unbrought reports that the authorities of the SBC's certificate were not brought yet: the boot file names no file of its own,
// and the one in the data folder is not there.
func unbrought(c *config.Config) bool {
	_, err := os.Stat(c.Trunk.Roots)
	return errors.Is(err, fs.ErrNotExist) && filepath.Base(filepath.Dir(c.Trunk.Roots)) == "certs"
}

// loadAuthorities puts into force whom the box trusts towards the SBC; nobody, until somebody has said whom. A file that cannot be
// read, or is gone, takes nobody's trust away: it may be in the middle of being replaced, and 911 goes that way.
func (b *Box) loadAuthorities() error {
	a, err := certs.ReadAuthorities(b.cfg.Trunk.Roots)
	if err == nil {
		b.authorities.Store(&a)
		return nil
	}
	b.authorities.CompareAndSwap(nil, &certs.Authorities{Pool: x509.NewCertPool()})
	switch nobody := len(b.authorities.Load().List) == 0; {
	case !nobody:
		return fmt.Errorf("trunk roots: %w; those before stay in force until the next start", err)
	case unbrought(b.cfg):
		return nil
	}
	return fmt.Errorf("trunk roots: %w; no SBC is trusted", err)
}

// sbcRoots are asked for at each handshake.
func (b *Box) sbcRoots() *x509.CertPool { return b.authorities.Load().Pool }

func (b *Box) installAuthorities(data []byte) (string, []string, error) {
	a, err := certs.CheckAuthorities(data, time.Now())
	if err != nil {
		return "", nil, err
	}
	if err := a.Install(b.cfg.Trunk.Roots); err != nil {
		return "", nil, inDataFolder(err)
	}
	if err := b.load(certs.SBC); err != nil {
		return "", nil, err
	}
	var names []string
	for _, c := range a.List {
		names = append(names, c.Subject.String())
	}
	return fmt.Sprintf("In force: the SBC's certificate must come from %s.", strings.Join(names, ", or from ")), a.Warnings, nil
}

// tryWithin is how long an SBC on the site may take to be connected to and to answer OPTIONS.
const tryWithin = 4 * time.Second

// tryTrunks makes a new connection to every trunk and says which of them cannot be made.
func (b *Box) tryTrunks() (faults []string) {
	ctx, cancel := context.WithTimeout(context.Background(), tryWithin)
	defer cancel()
	states := b.trunks.States()
	said := make([]string, len(states))
	var all sync.WaitGroup
	for i, t := range states {
		all.Go(func() {
			if err := b.trunks.Try(ctx, t.ID); err != nil {
				said[i] = fmt.Sprintf("a new connection to trunk %s was tried, and there is none: %v; what is connected goes on", t.ID, err)
			}
		})
	}
	all.Wait()
	for _, s := range said {
		if s != "" {
			faults = append(faults, s)
		}
	}
	return faults
}

// trustAlarms are what is wrong with whom the box trusts, and with files that were changed and cannot be used.
func (b *Box) trustAlarms(now time.Time) (out []string) {
	a := b.authorities.Load()
	if len(a.List) == 0 {
		out = append(out, "it is not known whom to trust towards the SBC: no call goes outside, 911 included; bring the authority of its certificate (holdfast cert install --for sbc FILE, or the admin page)")
	}
	if len(a.List) <= fewAuthorities { // of a whole machine's list some have always ended
		for _, c := range a.List {
			if fault, warning := validity(fmt.Sprintf("the SBC's authority %q", c.Subject), c, now); fault != nil || warning != nil {
				out = append(out, errors.Join(fault, warning).Error())
			}
		}
	}
	return append(out, b.certFaults.alarms()...)
}

// fewAuthorities are a customer's own.
const fewAuthorities = 10
