// Package doctor looks at a box as an engineer would who was called at night: certificates, clock, the LAN's DNS, what the
// box has to reach, the trunk, the site document, the card. It says of each what it found and, where something is wrong, what
// to do. It works beside a running box and on one that does not run, and it changes nothing.
//
// What is wrong with the words of a file is `holdfast check`'s job.
package doctor

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/clock"
	"holdfast/firmware/config"
	"holdfast/firmware/control"
	"holdfast/sip/site"
)

// Verdict of one check.
type Verdict string

// The verdicts.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn" // works now, but not for long, or not everywhere
	Fail Verdict = "fail" // does not work
)

// Finding is what one check found.
type Finding struct {
	Area    string  `json:"area"` // certificates, clock, dns, network, trunk, document, card, box
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`          // what is
	Fix     string  `json:"fix,omitempty"` // what to do
}

// Patient is a box as it can be looked at.
type Patient struct {
	Config    *config.Config // with resolved names
	Site      *site.Site     // the document; nil: none
	Source    string         // where it came from
	Fetched   time.Time
	SiteErr   error           // why there is none
	Status    *control.Status // of the running box; nil: none runs
	StatusErr error           // why not
	Clock     clock.State
	ClockErr  error // no helper keeps the clock here, or its word cannot be read

	Now       time.Time
	Built     time.Time // of the program: it cannot be earlier than that; zero: not known
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Exchange  func(ctx context.Context, server string, query []byte) ([]byte, error) // one DNS question over UDP
	Resolvers []string                                                               // DNS servers, host:port
	Card      func(dir string) (Card, error)
	InRAM     func(dir string) bool
}

// Card is how the card does.
type Card struct {
	Free, Total uint64        // bytes
	Took        time.Duration // to keep a few bytes
}

// within bounds one look at something outside.
const within = 4 * time.Second

// Examine makes all checks. They run at the same time; their order is that of the areas.
func Examine(ctx context.Context, p Patient) []Finding {
	checks := []func(context.Context, Patient) []Finding{box, certificates, theClock, dns, network, trunks, document, theCard}
	results := make([][]Finding, len(checks))
	var all sync.WaitGroup
	for i, check := range checks {
		all.Go(func() {
			results[i] = check(ctx, p)
		})
	}
	all.Wait()
	var out []Finding
	for _, r := range results {
		out = append(out, r...)
	}
	return out
}

func ok(area, format string, args ...any) Finding {
	return Finding{area, OK, fmt.Sprintf(format, args...), ""}
}

func warn(area, fix, format string, args ...any) Finding {
	return Finding{area, Warn, fmt.Sprintf(format, args...), fix}
}

func fail(area, fix, format string, args ...any) Finding {
	return Finding{area, Fail, fmt.Sprintf(format, args...), fix}
}

// box says whether it runs, and what it says of itself.
func box(_ context.Context, p Patient) []Finding {
	const area = "box"
	if p.Status == nil {
		why := ""
		if p.StatusErr != nil && !strings.HasPrefix(p.StatusErr.Error(), "no box is running here") { // which is what is said already
			why = p.StatusErr.Error()
		}
		return []Finding{fail(area, "start it: `holdfast run -c holdfast.toml`; on the board it starts by itself, see its log", "no box runs here%s", because(why))}
	}
	out := []Finding{ok(area, "runs in mode %s since %s", p.Status.Mode.Name, p.Status.Mode.Since.Format("2006-01-02 15:04 MST"))}
	for _, a := range p.Status.Alarms {
		out = append(out, warn(area, "do what it says; the checks below may tell more", "says: %s", a))
	}
	return out
}

// theClock judges the time, on which every certificate depends.
func theClock(_ context.Context, p Patient) []Finding {
	const area = "clock"
	now := p.Now.UTC().Format("2006-01-02 15:04:05 UTC")
	switch {
	case !p.Built.IsZero() && p.Now.Before(p.Built):
		return []Finding{fail(area, "name a time server in [time] of the boot file, or let the gateway answer SNTP", "it says %s, but the program is younger than that", now)}
	case p.ClockErr != nil:
		return []Finding{ok(area, "it says %s; the machine keeps it, not `holdfast netcfg`", now)}
	case !p.Clock.Known && p.Clock.Floor:
		return []Finding{warn(area, "name a time server that answers without the internet in [time]: the gateway, or the SBC", "it says %s, which is only what was known before the power cut", now)}
	case !p.Clock.Known:
		return []Finding{warn(area, "name a time server that answers in [time]; UDP port 123 must be open", "no time server has answered yet; it says %s%s", now, because(p.Clock.Error))}
	case p.Now.Sub(p.Clock.Last) > 24*time.Hour:
		return []Finding{warn(area, "look at the servers in [time]; UDP port 123 must be open", "no time server has answered since %s", p.Clock.Last.UTC().Format("2006-01-02 15:04 UTC"))}
	}
	return []Finding{ok(area, "it says %s, by %s", now, p.Clock.Source)}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}
