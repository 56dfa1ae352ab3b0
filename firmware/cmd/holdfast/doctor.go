package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"holdfast/firmware/clock"
	"holdfast/firmware/control"
	"holdfast/firmware/doctor"
	"holdfast/firmware/netcfg"
	"holdfast/firmware/provision"
	"holdfast/sip/site"
)

// doctorCommand says what is wrong with the box and what to do. It works beside a running box and on one that does not run.
func doctorCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flags("doctor")
	boot := f.String("c", defaultBootFile, "boot file")
	asJSON := f.Bool("json", false, "print JSON")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	p, err := admit(ctx, *boot)
	if err != nil {
		return err
	}
	found := doctor.Examine(ctx, p)
	if *asJSON {
		err = printJSON(out, found)
	} else {
		page := page{now: p.Now, zone: time.Local, colour: isTerminal(out)}
		page.findings(found)
		_, err = io.WriteString(out, page.text.String())
	}
	if n := doctor.Failed(found); n > 0 && err == nil {
		err = fmt.Errorf("%d of %d checks failed", n, len(found))
	}
	return err
}

// admit gathers what can be looked at.
func admit(ctx context.Context, boot string) (doctor.Patient, error) {
	p := doctor.Patient{Now: time.Now()}
	var err error
	if p.Config, err = readConfig(boot); err != nil {
		return p, err
	}
	p.Equip("/etc/resolv.conf")
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if s, err := control.NewClient(filepath.Join(p.Config.RunDir, control.SocketName)).Status(ask); err != nil {
		p.StatusErr = err
	} else {
		p.Status = &s
	}
	p.Clock, p.ClockErr = clock.ReadState(netcfg.Dir)
	p.Built = built()
	p.Site, p.Source, p.Fetched, p.SiteErr = provision.Kept(filepath.Join(p.Config.DataDir, "site"))
	if errors.Is(p.SiteErr, provision.ErrNone) && p.Config.Site.File != "" { // a box that never ran
		if data, err := readBounded(p.Config.Site.File, provision.MaxDocument); err != nil {
			p.SiteErr = err
		} else if p.Site, p.SiteErr = site.Load(data); p.SiteErr == nil {
			p.Source = p.Config.Site.File
			if i, err := os.Stat(p.Source); err == nil {
				p.Fetched = i.ModTime()
			}
		}
	}
	return p, nil
}

// findings are what the doctor says: area by area, and what to do under what is wrong.
func (p *page) findings(list []doctor.Finding) {
	signs := map[doctor.Verdict]string{doctor.OK: p.paint("32", "✓ ok  "), doctor.Warn: p.paint("33", "! warn"), doctor.Fail: p.paint("31", "✗ fail")}
	area := ""
	warned := 0
	for _, f := range list {
		if f.Area != area {
			if area != "" {
				p.line("")
			}
			area = f.Area
			p.line("%s", area)
		}
		if f.Verdict == doctor.Warn {
			warned++
		}
		p.paragraph("  "+signs[f.Verdict]+"  ", "          ", clip(f.Text, alarmLong))
		if f.Fix != "" && f.Verdict != doctor.OK {
			p.paragraph("          → ", "            ", clip(f.Fix, alarmLong))
		}
	}
	p.line("")
	switch n := doctor.Failed(list); {
	case n > 0:
		p.line("%d failed, %d to look at soon.", n, warned)
	case warned > 0:
		p.line("Nothing failed; %d to look at soon.", warned)
	default:
		p.line("All is well.")
	}
}
