//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	devlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var (
	binary = flag.String("box", "../../../dist/host/holdfast", "the box's program")
	axe    = flag.String("axe", "../../../.cache/axe/node_modules/axe-core/axe.min.js", "axe-core's file")
	shots  = flag.String("shots", "../../../dist/admin", "folder for screenshots")
)

// patience is for one step on a loaded machine.
const patience = 60 * time.Second

// tab is one browser window, with what went wrong in it.
type tab struct {
	t    *testing.T
	ctx  context.Context
	root string // of the page

	mu     sync.Mutex
	faults []string
}

func newTab(t *testing.T, root string) *tab {
	t.Helper()
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		t.Fatal(err)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("no-sandbox", true), chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", true), chromedp.UserDataDir(t.TempDir()))...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(alloc)
	t.Cleanup(closeTab)
	b := &tab{t: t, ctx: ctx, root: root}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	// A page that throws, or that its own policy stops, is broken.
	thrown, logged := chromedp.Events(ctx, runtime.ExceptionThrown), chromedp.Events(ctx, devlog.EntryAdded)
	go func() {
		for e, err := range thrown {
			if err != nil {
				return
			}
			b.fault(fmt.Sprint(e.ExceptionDetails.Text, " ", e.ExceptionDetails.URL))
		}
	}()
	go func() {
		for e, err := range logged {
			if err != nil {
				return
			}
			if e.Entry.Level == devlog.EntryLevelError && !strings.Contains(e.Entry.Text, "status of 4") { // refusals are part of the test
				b.fault(e.Entry.Text)
			}
		}
	}()
	command(b, devlog.Enable, cdp.Empty{})
	return b
}

func (b *tab) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// complaints are what the pages so far objected to.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

// ask runs an action; one that fails ends the test with a picture of what was seen.
func ask[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, action)
	if err != nil {
		seen, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		b.shot("failed")
		b.t.Fatalf("%v; the page says:\n%.3000s", err, seen)
	}
	return out
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ask(b, chromedp.Steps(actions...))
}

// command sends one of the protocol's own.
func command[P, R any](b *tab, c cdp.Command[P, R], params P) {
	b.t.Helper()
	ask(b, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, params) })
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.root+path), chromedp.WaitReady("main"))
}

// eval asks the page.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// sees waits until the page shows a text, by itself.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf(`document.body.innerText.includes(%q)`, text), text)
}

// until asks the page over and over; one that is just being loaded has no answer yet.
func (b *tab) until(script, what string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		if err == nil && yes {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			b.shot("failed")
			b.t.Fatalf("never seen: %s (%v); the page says:\n%.3000s", what, err, eval[string](b, `document.body.innerText`))
		}
	}
}

// look is a window's width and colours.
type look struct {
	name          string
	width, height int64
	dark          bool
}

var looks = []look{{"wide", 1280, 900, false}, {"wide-dark", 1280, 900, true}, {"phone", 360, 740, false}, {"phone-dark", 360, 740, true}}

func (b *tab) wear(l look) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	options := []chromedp.EmulateViewportOption{}
	if l.width < 600 {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	b.do(chromedp.EmulateViewport(l.width, l.height, options...))
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// shot keeps a picture of the whole page, window of what the window shows of it.
func (b *tab) shot(name string)   { b.t.Helper(); b.keep(name, chromedp.FullScreenshot(100)) }
func (b *tab) window(name string) { b.t.Helper(); b.keep(name, chromedp.CaptureScreenshot()) }

func (b *tab) keep(name string, take chromedp.Action[[]byte]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	data, err := chromedp.Run(ctx, take)
	if err == nil {
		err = os.WriteFile(filepath.Join(*shots, name+".png"), data, 0o644)
	}
	if err != nil {
		b.t.Errorf("no picture %s: %v", name, err)
	}
}

// examine takes pictures of the page in every look, and lets axe-core and a ruler judge it.
func (b *tab) examine(name string) {
	b.t.Helper()
	code, err := os.ReadFile(*axe)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, l := range looks {
		b.wear(l)
		b.shot(name + "-" + l.name)
		// Not innerWidth: a phone's browser makes its window as wide as a page that is too wide.
		if over := eval[int64](b, `document.documentElement.scrollWidth`) - l.width; over > 0 {
			b.t.Errorf("%s at %d px is %d px too wide", name, l.width, over)
		}
		b.do(chromedp.Evaluate[chromedp.Void](`typeof axe == "object" || (() => {` + string(code) + `})()`))
		found := eval[string](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.html.slice(0, 200) + " " + n.failureSummary)}))))`)
		var violations []struct {
			ID, Help string
			Nodes    []string
		}
		if err := json.Unmarshal([]byte(found), &violations); err != nil {
			b.t.Fatal(err)
		}
		for _, v := range violations {
			b.t.Errorf("%s, %s: axe: %s: %s\n%s", name, l.name, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
		}
	}
	b.wear(looks[0])
}

// transferred is how many bytes a page costs without a cache.
func (b *tab) transferred(path string) (sum float64) {
	b.t.Helper()
	command(b, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	b.open(path)
	sum = eval[float64](b, `performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).reduce((n, e) => n + e.transferSize, 0)`)
	command(b, network.SetCacheDisabled, network.SetCacheDisabledParams{})
	return sum
}
