package box

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/config"
	"holdfast/sip/site"
)

// expirySoon is how long before its end a certificate is worth a warning: time enough to get another.
const expirySoon = 30 * 24 * time.Hour

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
		fault, warning := validity(string(use), pair.Leaf, now)
		look(fault)
		if warning != nil {
			warnings = append(warnings, warning)
		}
	}
	if cfg.Syslog.Certificate != "" {
		_, err := certificate("syslog", certs.Pair{Certificate: cfg.Syslog.Certificate, Key: cfg.Syslog.Key})
		look(err)
	}
	for what, file := range map[string]string{"trunk": cfg.Trunk.Roots, "cloud": cfg.Cloud.Roots, "portal": cfg.Portal.Roots, "webhook": cfg.Webhook.Roots,
		"report": cfg.Report.Roots, "homer": cfg.Homer.Roots, "syslog": cfg.Syslog.Roots} {
		_, err := roots(what, file)
		look(err)
	}
	for what, file := range map[string]string{"portal token": cfg.Portal.TokenFile, "webhook secret": cfg.Webhook.SecretFile, "report secret": cfg.Report.SecretFile} {
		if file == "" {
			continue
		}
		if data, err := os.ReadFile(file); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		} else if len(data) == 0 {
			faults = append(faults, fmt.Errorf("%s: %s is empty", what, file))
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
	const day = "2006-01-02"
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("%s certificate ended on %s: get a new one", what, c.NotAfter.Format(day)), nil
	case now.Before(c.NotBefore):
		return fmt.Errorf("%s certificate begins on %s; is the clock right (%s)?", what, c.NotBefore.Format(day), now.Format(day)), nil
	case c.NotAfter.Sub(now) < expirySoon:
		return nil, fmt.Errorf("%s certificate ends on %s, in %d days: get a new one", what, c.NotAfter.Format(day), int(c.NotAfter.Sub(now).Hours()/24))
	}
	return nil, nil
}
