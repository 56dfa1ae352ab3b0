//go:build browser

package browser

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/ua"
)

const password = "four words of nonsense"

// account makes one with the command line, as an installer does.
func account(t *testing.T, b *branch.Branch, name, role string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), b.Box.Binary, "admin", "passwd", name, "--role", role, "-c", b.Box.BootFile)
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func (b *tab) login(name, password string) {
	b.t.Helper()
	b.open("/login")
	b.do(chromedp.SendKeys(`[name=name]`, name), chromedp.SendKeys(`[name=password]`, password), chromedp.Click(`button.main`))
}

// TestOutage is the story of an outage as the page tells it.
func TestOutage(t *testing.T) {
	lab, err := branch.Start(t.TempDir(), *binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	if _, _, err := lab.Box.WaitMode(ctx, "normal"); err != nil {
		t.Fatal(err)
	}
	b := newTab(t, "https://"+lab.Admin.String())
	b.wear(looks[0])
	b.open("/")
	b.sees("No account yet")
	account(t, lab, "maria", "admin")

	b.login("maria", "not the password")
	b.sees("The name or the password is wrong.")
	b.examine("login")
	b.login("maria", password)
	b.sees("Are we up?")
	b.sees("The cloud answers.")
	for _, p := range lab.People {
		if _, err := p.Phone.WaitAt(ctx, "zone1"); err != nil {
			t.Fatal(err)
		}
	}
	b.until(`!document.body.innerText.includes("is down")`, "everything up")
	b.examine("overview-normal")
	if n := b.transferred("/"); n > 100_000 {
		t.Errorf("the first page costs %.0f bytes", n)
	}

	drill(b)
	outage(ctx, t, b, lab)

	b.open("/reports")
	b.sees("Drill of")
	b.do(chromedp.Click(`.reports a`))
	b.sees("Carol Chen")
	b.shot("report")
	for _, path := range []string{"reports", "site", "box", "log", "account"} {
		b.open("/" + path)
		b.examine(path)
	}
	accounts(t, b)
	b.open("/phones")
	eval[bool](b, `fetch("/logout", {method: "POST"}).then(r => r.ok)`) // in another tab: this one has to notice
	b.sees("Log in")
	b.login("maria", password)
	b.sees("Are we up?")
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("form[action='/logout'] button").click()`))
	b.sees("Log in")
	b.open("/phones")
	b.sees("Log in")
	for _, f := range b.complaints() {
		t.Errorf("the page complained: %s", f)
	}
}

// drill starts one for a user, sees it begin and ends it.
func drill(b *tab) {
	b.open("/drill")
	b.examine("drill")
	b.do(chromedp.Click(`[value=some]`), chromedp.SendKeys(`[name=users]`, "1003"), chromedp.Click(`form[action="/drill/start"] button`))
	b.sees("A drill runs")
	b.sees("for 1 of the site’s users")
	b.shot("drill-running")
	b.do(chromedp.Click(`form[action="/drill/stop"] button`))
	b.sees("Drill ended.")
}

// outage cuts the cloud while the page is open: it has to change by itself.
func outage(ctx context.Context, t *testing.T, b *tab, lab *branch.Branch) {
	b.open("/")
	b.do(chromedp.Evaluate[chromedp.Void](`window.sameDocument = true`))
	if err := lab.CutCloud(); err != nil {
		t.Fatal(err)
	}
	b.sees("The cloud does not answer.")
	b.sees("All 6 users have a phone here.")
	if !eval[bool](b, `window.sameDocument === true`) {
		t.Error("the page was loaded anew instead of changing")
	}
	alice, err := lab.Person("1003").Phone.Dial(branch.DialledOut, ua.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	b.sees("1 call now")
	b.examine("overview-outage")
	b.open("/phones")
	b.sees(branch.Agent)
	b.examine("phones")

	lab.Person(branch.FrontDesk).Behave(ua.Behaviour{Never: true}) // nobody takes the notice call: the page has to do
	erin, err := lab.Person("1005").Phone.Dial(branch.Emergency, ua.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.sees("911 ERIN EK")
	b.sees(branch.ELIN)
	b.until(`document.title.includes("911")`, "the tab's title says it")
	b.open("/")
	b.sees("take note of the call")
	b.examine("overview-emergency")
	b.open("/emergency")
	b.examine("emergency")
	b.do(chromedp.Click(`.banner form button`))
	b.sees("Acknowledged by maria")
	b.examine("emergency-acknowledged")
	if err := erin.HangUp(ctx); err != nil {
		t.Error(err)
	}

	picture(b)
	b.open("/calls")
	b.until(`!!document.querySelector(".calls .score.good")`, "the call's quality")
	b.examine("calls")
	b.do(chromedp.Click(`.calls tbody a`))
	b.sees("Quality, last 5 minutes")
	b.sees("Signalling")
	b.examine("call")
	ladder(t, b)
	if err := alice.HangUp(ctx); err != nil {
		t.Error(err)
	}
	b.sees("ended: hangup")
	if err := lab.MendCloud(); err != nil {
		t.Fatal(err)
	}
	b.open("/")
	b.sees("Phones go home")
	b.shot("overview-recovering")
}

// ladder takes the call's signalling away and looks into it.
func ladder(t *testing.T, b *tab) {
	b.until(`document.querySelectorAll("svg.ladder .msg").length > 5`, "the ladder")
	get := func(file string) string {
		return eval[string](b, `fetch(document.querySelector("a[href$='`+file+`']").href).then(r => r.status == 200 && r.headers.get("content-disposition").startsWith("attachment") ? r.text() : "status " + r.status)`)
	}
	if svg := get("ladder.svg"); !strings.HasPrefix(svg, "<svg ") || !strings.Contains(svg, "INVITE") || strings.Contains(svg, "inline:") {
		t.Errorf("the ladder is %.300s", svg)
	}
	capture := get("signalling.pcapng")
	if !strings.HasPrefix(capture, "\n\r\r\n") || !strings.Contains(capture, "INVITE sip:") {
		t.Errorf("the capture is %.100q", capture)
	}
	for _, secret := range []string{"lab-1003", "response=\"0", "response=\"1"} {
		if strings.Contains(capture, secret) {
			t.Errorf("the capture holds %q", secret)
		}
	}
}

// picture takes the README's.
func picture(b *tab) {
	b.wear(look{"readme", 1200, 860, false})
	b.open("/")
	b.until(`!!document.querySelector(".talk .score.good")`, "the call's quality")
	b.window("readme")
	b.wear(looks[0])
}
