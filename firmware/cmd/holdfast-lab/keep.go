package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"holdfast/firmware/lab/branch"
)

// stayUp leaves the branch running until Ctrl-C or "quit" and obeys short commands from standard input.
func stayUp(ctx context.Context, out io.Writer, b *branch.Branch) {
	box := b.Servers[len(b.Servers)-1]
	fmt.Fprintf(out, `
The branch stays up. Files: %s (boot file holdfast.toml, site.json, roots.crt, box.log)

  box, phones' side   %v  TLS, certificate name %s
  box, SBC's side     %v  mutual TLS
  cloud zones         %v  %v
  SBC                 %v
  metrics             http://%v/metrics
  phones              extensions %s to %s in domain %s, password lab-EXTENSION
  ask the box         %s

Type cut (the cloud dies), mend, phones, status, or quit; Ctrl-C ends it too.
`, b.Dir, box.Addr, box.TLSName, b.TrunkAddr(), b.Zones[0].SIP(), b.Zones[1].SIP(), b.SBC.Addr(), b.Metrics,
		b.People[0].Extension, b.People[len(b.People)-1].Extension, branch.Domain, strings.Join(b.Box.StatusCommand(), " "))
	lines := make(chan string)
	go func() { // ends with the process: nothing can interrupt a read of a terminal
		sc := bufio.NewScanner(os.Stdin)
		for sc.Scan() {
			lines <- strings.TrimSpace(sc.Text())
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.Box.Exited():
			fmt.Fprintln(out, b.Box.Err())
			return
		case line := <-lines:
			if line == "quit" {
				return
			}
			if err := obey(ctx, out, b, line); err != nil {
				fmt.Fprintln(out, err)
			}
		}
	}
}

func obey(ctx context.Context, out io.Writer, b *branch.Branch, line string) error {
	switch line {
	case "":
		return nil
	case "cut":
		return b.CutCloud()
	case "mend":
		return b.MendCloud()
	case "phones":
		for _, p := range b.People {
			where, since := p.Phone.Place()
			if where == "" {
				where = "nowhere"
			}
			fmt.Fprintf(out, "  %s  %-14s %-8s since %s\n", p.Extension, p.Name, where, since.Format("15:04:05"))
		}
		return nil
	case "status":
		args := b.Box.StatusCommand()
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = out, out
		return cmd.Run()
	}
	return fmt.Errorf("no command %q: cut, mend, phones, status, quit", line)
}
