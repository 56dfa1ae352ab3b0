package box

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/config"
	"holdfast/firmware/webhook"
	"holdfast/sip/site"
)

// CheckFiles looks at every file that the boot file names, as the box would at its start: what is wrong, and what will
// be soon. Names are those that Config.Resolve made.
func CheckFiles(cfg *config.Config, now time.Time) (faults, warnings []error) {
	look := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	for _, use := range []certs.Use{certs.Phones, certs.Trunk} {
		p := pairOf(cfg, use)
		if p.Missing() {
			warnings = append(warnings, fmt.Errorf("%s certificate %s is not there: the box makes a temporary one, which nobody trusts; then ask it for a request (holdfast cert request)", use, p.Certificate))
			continue
		}
		pair, err := certificate(use, p)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		fault, warning := validity(string(use)+" certificate", pair.Leaf, now)
		look(fault)
		if warning != nil {
			warnings = append(warnings, warning)
		}
	}
	if unbrought(cfg) {
		warnings = append(warnings, fmt.Errorf("trunk roots %s is not there: the box takes no SBC for real until you bring its authority (holdfast cert install --for sbc FILE, or the admin page)", cfg.Trunk.Roots))
	} else if _, err := certs.ReadAuthorities(cfg.Trunk.Roots); err != nil {
		look(fmt.Errorf("trunk roots: %w", err))
	}
	if cfg.Syslog.Certificate != "" {
		_, err := certificate("syslog", certs.Pair{Certificate: cfg.Syslog.Certificate, Key: cfg.Syslog.Key})
		look(err)
	}
	// In one order always: the list of faults beside the boot file is written when it changes.
	for _, f := range []struct{ what, file string }{{"cloud", cfg.Cloud.Roots}, {"portal", cfg.Portal.Roots}, {"webhook", cfg.Webhook.Roots},
		{"report", cfg.Report.Roots}, {"homer", cfg.Homer.Roots}, {"syslog", cfg.Syslog.Roots}} {
		_, err := roots(f.what, f.file)
		look(err)
	}
	for _, f := range []struct {
		what, file string
		least      int
	}{{"portal token", cfg.Portal.TokenFile, 0}, {"webhook secret", cfg.Webhook.SecretFile, webhook.MinSecret}, {"report secret", cfg.Report.SecretFile, webhook.MinSecret}} {
		if f.file != "" {
			_, err := secret(f.what, f.file, f.least)
			look(err)
		}
	}
	if f := cfg.Site.File; f != "" {
		data, err := os.ReadFile(f)
		switch {
		case errors.Is(err, os.ErrNotExist) && cfg.Portal.URL != "":
			warnings = append(warnings, fmt.Errorf("site document %s is not there: the portal has to bring one", f))
		case err != nil:
			faults = append(faults, fmt.Errorf("site document: %w", err))
		default:
			if _, err := site.Load(data); err != nil {
				faults = append(faults, fmt.Errorf("site document %s:\n%w", f, err))
			}
		}
	}
	return faults, warnings
}

// validity says whether a certificate holds now, and for how long it will.
func validity(what string, c *x509.Certificate, now time.Time) (fault, warning error) {
	life, text := certs.Life(c, now)
	text = what + " " + strings.TrimPrefix(text, "it ")
	switch life {
	case certs.Good:
		return nil, nil
	case certs.NotYet:
		return errors.New(text), nil
	case certs.Ended:
		return errors.New(text + ": get a new one"), nil
	}
	return nil, errors.New(text + ": get a new one")
}
