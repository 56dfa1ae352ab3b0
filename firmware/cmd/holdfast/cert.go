package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/control"
)

// certCommand asks the running box for its certificates, for a request, and brings it new ones.
func certCommand(ctx context.Context, args []string, out io.Writer) error {
	w := ways{"cert show", "cert request [--names box.example.com,10.0.0.5]", "cert install FILE"}
	f := flags("cert", w...)
	socket := socketFlag(f)
	use := f.String("for", string(certs.Phones), "which one: phones or trunk; install and show also sbc: the authorities that the SBC's certificate has to come from")
	names := f.String("names", "", "names and addresses that it has to carry, separated by commas; without them those of the one in force (request)")
	useRSA := f.Bool("rsa", false, "make an RSA key, for phones that know no other (request)")
	roots := f.Bool("root", false, "print the authority that the other side must trust, in PEM (show)")
	asJSON := f.Bool("json", false, "print JSON (show)")
	what, args, ok := subcommand(args, "show", "request", "install")
	if !ok {
		return w.say()
	}
	if err := parse(f, args, out); err != nil {
		return err
	}
	if want := map[string]int{"show": 0, "request": 0, "install": 1}[what]; f.NArg() != want {
		return usageError("`holdfast cert " + what + "` takes " + map[int]string{0: "flags only", 1: "one file, after the flags"}[want])
	}
	c := control.NewClient(*socket)
	switch what {
	case "request":
		n := certs.ParseNames(*names)
		request, err := c.CertificateRequest(ctx, control.CertificateOrder{Use: certs.Use(*use), DNS: n.DNS, IP: n.IP, RSA: *useRSA})
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, request)
		return err
	case "install":
		data, err := readBounded(f.Arg(0), certs.MaxSize)
		if err != nil {
			return err
		}
		msg, err := c.InstallCertificate(ctx, control.CertificateFile{Use: certs.Use(*use), PEM: string(data)})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, msg)
		return err
	}
	list, err := c.Certificates(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, list)
	}
	p := page{now: time.Now(), zone: time.Local}
	if *roots {
		i := slices.IndexFunc(list, func(i certs.Info) bool { return string(i.Use) == *use })
		if i < 0 {
			return fmt.Errorf("nothing is in force for %q; `holdfast cert show` lists what is", *use)
		}
		_, err = io.WriteString(out, list[i].Trust.PEM)
		return err
	}
	for _, i := range list {
		p.certificate(i)
	}
	_, err = io.WriteString(out, p.text.String())
	return err
}

func (p *page) certificate(i certs.Info) {
	if i.Use == certs.SBC {
		p.line("Trusted towards the SBC: %s", i.Subject)
		p.line("  until        %s", i.Until.In(p.zone).Format("2006-01-02 15:04 MST"))
		p.line("  SHA-256      %s", i.SHA256)
		return
	}
	who := map[certs.Use]string{certs.Phones: "Phones", certs.Trunk: "The SBC"}[i.Use]
	p.line("For %s: %s", i.Use, strings.Join(i.Names, ", "))
	p.line("  until        %s", i.Until.In(p.zone).Format("2006-01-02 15:04 MST"))
	p.line("  SHA-256      %s", i.SHA256)
	if i.Temporary {
		p.line("  temporary    the box made it itself: nobody trusts it")
		return
	}
	p.line("  issued by    %s", i.Issuer)
	p.line("  %s must trust %s", who, i.Trust.Subject)
	if i.Trust.SHA256 != "" {
		p.line("               SHA-256 %s; `holdfast cert show --root --for %s` prints it", i.Trust.SHA256, i.Use)
	}
}
