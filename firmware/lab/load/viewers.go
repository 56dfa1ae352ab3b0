package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"holdfast/firmware/lab/ca"
	desk "holdfast/firmware/lab/phone"
	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
)

// ViewerOptions of a measurement of what people cost who look at the box's page.
type ViewerOptions struct {
	Box     string // the holdfast program
	Calls   int    // that run, with audio both ways
	Viewers int    // browsers with a live page
	Rounds  int
	Span    time.Duration // of each half of a round
	Out     io.Writer
}

// Pages that viewers have open, in turns.
var livePages = []string{"overview", "calls", "phones", "emergency", "box"}

const adminPassword = "four words of nonsense"

// Viewers measures the box's processor time with and without viewers, in alternating halves of rounds, while calls run.
func Viewers(ctx context.Context, o ViewerOptions) error {
	authority, err := ca.New("bench-admin")
	if err != nil {
		return err
	}
	if o.Box, err = filepath.Abs(o.Box); err != nil { // a bare name is not to be looked for in PATH
		return err
	}
	dir, err := os.MkdirTemp("", "bench-admin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := startHoldfast(ctx, o.Box, dir, 2*o.Calls, authority)
	if err != nil {
		return err
	}
	defer s.stop()
	cmd := exec.CommandContext(ctx, o.Box, "admin", "passwd", "maria", "-c", filepath.Join(dir, "holdfast.toml"))
	cmd.Stdin = strings.NewReader(adminPassword + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("account: %w: %s", err, out)
	}
	talk, err := converse(ctx, o.Calls, s.target, authority)
	defer talk.stop()
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "%d calls run with audio both ways; %d viewers, %d rounds of %v without and %v with them\n", o.Calls, o.Viewers, o.Rounds, o.Span, o.Span)
	var without, added, heard []float64
	for round := range o.Rounds {
		quiet, err := usage(ctx, s.groups, o.Span)
		if err != nil {
			return err
		}
		w := &watchers{target: s.target}
		if err := w.open(ctx, o.Viewers); err != nil {
			w.close()
			return err
		}
		before := w.bytes.Load()
		busy, err := usage(ctx, s.groups, o.Span)
		bytes := float64(w.bytes.Load()-before) / o.Span.Seconds()
		lost := w.lost.Load()
		w.close()
		if err != nil {
			return err
		}
		if lost > 0 {
			return fmt.Errorf("%d viewers lost their page", lost)
		}
		fmt.Fprintf(o.Out, "round %d: %.1f %% of a core without, %.1f %% with viewers, who get %.0f kB/s together\n", round+1, 100*quiet, 100*busy, bytes/1000)
		without, added, heard = append(without, quiet), append(added, busy-quiet), append(heard, bytes)
	}
	a, more := mean(without), mean(added)
	fmt.Fprintf(o.Out, "bench-admin: viewers=%.1f%%-of-a-core ratio=%.2f calls=%d kB/s=%.0f\n", 100*more, (a+more)/a, o.Calls, mean(heard)/1000)
	return nil
}

func mean(list []float64) (sum float64) {
	for _, x := range list {
		sum += x / float64(len(list))
	}
	return sum
}

// usage is the part of one core that the groups take over a time.
func usage(ctx context.Context, groups []int, span time.Duration) (float64, error) {
	time.Sleep(2 * time.Second) // what came before is over
	began, before := time.Now(), cpu(groups)
	select {
	case <-time.After(span):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return (cpu(groups) - before).Seconds() / time.Since(began).Seconds(), nil
}

// conversation is phones that talk in pairs.
type conversation struct {
	off context.CancelFunc
	wg  sync.WaitGroup
}

func (c *conversation) stop() {
	c.off()
	c.wg.Wait()
}

// converse registers twice as many phones as there are calls, and lets them talk.
func converse(ctx context.Context, calls int, t *target, authority *ca.Authority) (*conversation, error) {
	on, off := context.WithCancel(ctx)
	c := &conversation{off: off}
	phones := make([]*desk.Phone, 2*calls)
	for i := range phones {
		who := newPhone(i, t)
		phones[i] = desk.New(desk.Config{Local: who.local, Roots: authority.Pool(), Expires: 10 * time.Minute, Timeout: 10 * time.Second, Probe: time.Minute,
			Servers: []desk.Server{{Name: "box", Addr: t.addr, TLSName: name}}, Instance: "urn:uuid:5d1c0a8e-0000-4000-8000-0000000" + who.user,
			UA: ua.Config{User: who.user, Domain: domain, Name: "User " + who.user, Password: password, Algorithms: []string{"MD5"}, UserAgent: "load",
				Incoming: func(*sip.Request) ua.Behaviour { return ua.Behaviour{} },
				Voice:    voice.Config{Codecs: []string{"pcmu"}, Suites: []string{"AES_CM_128_HMAC_SHA1_80"}, Hz: 440}}})
		c.wg.Go(func() { phones[i].Run(on) })
		if i%50 == 49 {
			time.Sleep(500 * time.Millisecond) // a storm is another test's
		}
	}
	wait, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, p := range phones {
		if _, err := p.WaitAt(wait, "box"); err != nil {
			return c, err
		}
	}
	for i := range calls {
		call, err := phones[i].Dial(phones[calls+i].User(), ua.DialOptions{})
		if err == nil {
			err = call.Wait(wait)
		}
		if err != nil {
			return c, fmt.Errorf("call %d: %w", i, err)
		}
	}
	return c, nil
}

// watchers are browsers with a live page each.
type watchers struct {
	target *target
	off    context.CancelFunc
	wg     sync.WaitGroup
	bytes  atomic.Int64
	lost   atomic.Int64
}

// open logs in once and opens the pages, each over a connection and from an address of its own.
func (w *watchers) open(ctx context.Context, n int) error {
	on, off := context.WithCancel(ctx)
	w.off = off
	root := "https://" + netip.AddrPortFrom(w.target.addr.Addr(), 8443).String()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	login := w.browser(0)
	login.Jar = jar
	req, err := http.NewRequestWithContext(ctx, "POST", root+"/login", strings.NewReader(url.Values{"name": {"maria"}, "password": {adminPassword}}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := login.Do(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("login: %s", res.Status)
	}
	opened := make(chan error, n)
	for i := range n {
		c := w.browser(i + 1)
		c.Jar = jar
		w.wg.Go(func() { w.watch(on, c, root+"/live/"+livePages[i%len(livePages)], opened) })
	}
	var faults []error
	for range n {
		faults = append(faults, <-opened)
	}
	return errors.Join(faults...)
}

func (w *watchers) browser(i int) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, byte(i/250), byte(i%250+1))}}
	return &http.Client{Transport: &http.Transport{DialContext: d.DialContext, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: w.target.tls.RootCAs, ServerName: name}}}
}

// watch reads a live page until the end.
func (w *watchers) watch(ctx context.Context, c *http.Client, page string, opened chan<- error) {
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, "GET", page, nil)
	var res *http.Response
	if err == nil {
		res, err = c.Do(req)
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	opened <- err
	if err != nil {
		return
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	for {
		line, err := r.ReadSlice('\n')
		w.bytes.Add(int64(len(line)))
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if ctx.Err() == nil {
				w.lost.Add(1)
			}
			return
		}
	}
}

func (w *watchers) close() {
	if w.off != nil {
		w.off()
	}
	w.wg.Wait()
}
