//go:build browser

package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// accounts makes a colleague and a key for a script with nothing but the page, and takes both away again.
func accounts(t *testing.T, b *tab) {
	b.open("/accounts")
	b.do(chromedp.SendKeys(`form[action="/tokens"] [name=name]`, "grafana"), chromedp.SendKeys(`form[action="/tokens"] [name=confirm]`, password), chromedp.Click(`form[action="/tokens"] button`))
	b.sees("The token grafana is good until")
	const ask = `fetch("/api/v1/status", {headers: {Authorization: "Bearer " + window.token}}).then(r => r.status)`
	if status := eval[int](b, `window.token = document.querySelector(".secret code").textContent, `+ask); status != 200 {
		t.Errorf("the token: %d", status)
	}
	token := eval[string](b, `window.token`)

	b.do(chromedp.SendKeys(`form[action="/accounts"] [name=name]`, "Zoë / Park"), chromedp.Click(`form[action="/accounts"] [value="front-desk"]`),
		chromedp.SendKeys(`form[action="/accounts"] [name=confirm]`, password), chromedp.Click(`form[action="/accounts"] button`))
	b.sees("Zoë / Park may log in as Front desk")
	b.until(`/^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/.test(document.querySelector(".secret code").textContent)`, "the password that the box has made")
	b.do(chromedp.Click(`.secret button`))
	b.until(`/Copied|Selected/.test(document.querySelector(".secret [role=status]").textContent)`, "the secret is copied, or selected")
	b.examine("accounts")
	b.do(chromedp.Click(`[aria-label^="Revoke the token grafana"]`))
	b.sees("The token grafana is refused from now on.")
	if status := eval[int](b, `window.token = "`+token+`", `+ask); status != 401 {
		t.Errorf("the token, revoked: %d", status)
	}

	b.do(chromedp.Click(`[aria-label="Change Zoë / Park"]`))
	b.until(`location.pathname === "/accounts/Zo%C3%AB%20%2F%20Park"`, "the account's own page")
	b.sees("Another role")
	b.examine("person")
	b.do(chromedp.Click(`form[action$="/remove"] button`))
	b.sees("and is logged out everywhere") // which the page with the button does not say
}
