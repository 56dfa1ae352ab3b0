package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestOpenAPI: the document that is served describes what the handlers answer, all of them and nothing else.
func TestOpenAPI(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Updater = updater(func(body io.Reader) error { _, err := io.Copy(io.Discard, body); return err })
	})
	cookie := r.login("root")
	a := r.do("GET", "/api/v1/openapi.json", cookie, nil)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema map[string]any }
			}
			RequestBody struct {
				Content map[string]struct{ Schema map[string]any }
			}
		}
	}
	whole, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	if err == nil {
		err = json.Unmarshal([]byte(a.body), &doc)
	}
	if err != nil || a.status != 200 || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%d %v %.200s", a.status, err, a.body)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("https://box/openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	conforms := func(what, pointer, text string) {
		t.Helper()
		s, err := c.Compile("https://box/openapi.json#" + pointer)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v\n%.300s", what, err, text)
		}
	}
	bodies := map[string]string{"POST /emergency/ack": `{"call":"2-help"}`, "POST /drill": `{"users":["1001"],"minutes":5}`, "PUT /update": "bundle",
		"POST /certificates/request": `{"use":"trunk","dns":["box.example.com"],"ip":["10.0.0.5"],"rsa":true}`, "POST /certificates/install": `{"use":"phones","pem":"chain"}`,
		"POST /accounts": `{"name":"1-abc","role":"viewer","confirm":"` + secret + `"}`, "PUT /accounts/{name}/role": `{"role":"front-desk","confirm":"` + secret + `"}`,
		"PUT /accounts/{name}/password": `{"password":"some other words","confirm":"` + secret + `"}`, "POST /tokens": `{"name":"t","scopes":["read"],"days":1,"confirm":"` + secret + `"}`}
	described := 0
	for _, o := range r.srv.operations() {
		what, method := o.Method+" "+o.Path, strings.ToLower(o.Method)
		op, ok := doc.Paths[o.Path][method]
		if !ok {
			t.Errorf("%s is not described", what)
			continue
		}
		described++
		path := strings.NewReplacer("{id}", "1-abc", "{name}", "1-abc").Replace(o.Path)
		if strings.HasPrefix(o.Path, "/reports/") {
			path = "/reports/20260301T120000Z"
		}
		at := "/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(o.Path) + "/" + method
		at = strings.NewReplacer("{", "%7B", "}", "%7D").Replace(at)
		body := bodies[what]
		if o.body != nil {
			conforms(what+" body", at+"/requestBody/content/application~1json/schema", body)
		}
		a := r.do(o.Method, apiRoot+path, cookie, strings.NewReader(body))
		kind := a.header.Get("Content-Type")
		if a.status != 200 {
			t.Errorf("%s: %d %.300s", what, a.status, a.body)
			continue
		}
		if _, ok := op.Responses["200"].Content[kind]; !ok {
			t.Errorf("%s answers %s", what, kind)
		} else if kind == "application/json" {
			conforms(what, at+"/responses/200/content/application~1json/schema", a.body)
		}
		// And a refusal.
		refused := r.do(o.Method, apiRoot+path, r.login("viewer"), strings.NewReader(body))
		if refused.status == 403 {
			conforms(what+" refused", at+"/responses/default/content/application~1json/schema", refused.body)
		}
	}
	total := 0
	for _, methods := range doc.Paths {
		total += len(methods)
	}
	if total != described || described < 20 {
		t.Errorf("%d operations are described, %d exist", total, described)
	}
	want := []string{"request trunk box.example.com, 10.0.0.5 true", "install phones chain", "ack root page 2-help", "drill root 1001 5m0s", "stop root", "fetch"}
	if got := r.box.asked(); !slices.Equal(got, want) {
		t.Errorf("the box was asked %q, want %q", got, want)
	}
}

// TestRefusals: what the box refuses comes back with its reason.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	cookie := r.login("root")
	r.box.refuse = errors.New("a drill is already running")
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/drill", `{"minutes":5}`, 409, "already running"},
		{"DELETE", "/drill", "", 409, "already running"},
		{"POST", "/emergency/ack", "{}", 409, "already running"},
		{"POST", "/site/fetch", "", 409, "already running"},
		{"GET", "/calls/none", "", 404, "no such call"},
		{"GET", "/calls/none/ladder.svg", "", 404, "nothing is kept"},
		{"GET", "/calls/none/signalling.pcapng", "", 404, "nothing is kept"},
		{"GET", "/reports/none", "", 404, "no such report"},
		{"GET", "/emergency/log?n=0", "", 400, "1 to 1000"},
		{"GET", "/emergency/log?n=x", "", 400, "1 to 1000"},
		{"GET", "/emergency/log?n=%zz", "", 400, "query"},
		{"PUT", "/update", "x", 404, "takes no updates"},
		{"POST", "/certificates/install", `{"use":"phones","pem":"x"}`, 409, "was not installed: a drill is already running"},
		{"POST", "/certificates/request", `{"use":"phones"}`, 409, "already running"},
		{"POST", "/certificates/request", `{"use":"phones","ip":["10.0.0"]}`, 400, "cannot be read"},
		{"POST", "/certificates/install", `{"pem":"` + strings.Repeat("x", maxCertificates) + `"}`, 400, "too large"},
		{"GET", "/certificates/root.pem?use=x", "", 404, "phones or trunk"},
		{"GET", "/certificates/root.pem?use=trunk", "", 404, "not in the chain"},
	} {
		a := r.do(c.method, apiRoot+c.path, cookie, strings.NewReader(c.body))
		var p Problem
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != c.status || !strings.Contains(p.Error, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
}

// TestForms: what buttons send reaches the box as it is meant, and what it came to is said on the next page.
func TestForms(t *testing.T) {
	r := newRig(t)
	cookie := r.login("root")
	for _, c := range []struct{ path, body, order, to, says string }{
		{"/drill/start", "who=all&users=1001&minutes=15", "drill root  15m0s", "/drill", "did drill"},
		{"/drill/start", "who=some&users=1001,+1002%0d%0a1003&minutes=15", "drill root 1001,1002,1003 15m0s", "/drill", "did drill"},
		{"/drill/start", "who=some&users=+,&minutes=15", "", "/drill", "Say who takes part"},
		{"/drill/start", "who=all&minutes=0", "", "/drill", "A drill lasts 1 to 1440 minutes."},
		{"/drill/start", "who=all&minutes=1441", "", "/drill", "A drill lasts 1 to 1440 minutes."},
		{"/drill/start", "who=all", "", "/drill", "A drill lasts 1 to 1440 minutes."},
		{"/drill/start", "who=some&minutes=5&users=" + strings.Repeat("1,", mostDrillUsers+1), "", "/drill", "at most 500 names"},
		{"/drill/stop", "", "stop root", "/drill", "did stop root"},
		{"/emergency/ack", "call=2-help&back=/calls", "ack root page 2-help", "/calls", "did ack"},
		{"/emergency/ack", "call=2-help&back=//evil.example", "ack root page 2-help", "/", "did ack"},
		{"/emergency/ack", "", "ack root page ", "/emergency", "did ack"},
		{"/site/fetch", "", "fetch", "/site", "did fetch"},
		{"/emergency/test", "user=1001", "test 1001", "/emergency", "✗"},
	} {
		before := len(r.box.asked())
		a := r.do("POST", c.path, cookie, strings.NewReader(c.body))
		orders := r.box.asked()[before:]
		if a.status != http.StatusSeeOther || a.header.Get("Location") != c.to || c.order == "" && len(orders) > 0 || c.order != "" && !slices.Equal(orders, []string{c.order}) {
			t.Errorf("%s %.80s: %d to %s, the box was asked %q", c.path, c.body, a.status, a.header.Get("Location"), orders)
		}
		if page := r.do("GET", c.to, cookie, nil); !strings.Contains(page.body, c.says) {
			t.Errorf("%s %.80s: the next page does not say %q", c.path, c.body, c.says)
		}
		if page := r.do("GET", c.to, cookie, nil); strings.Contains(page.body, `class="notice" role="status"`) {
			t.Errorf("%s: said twice", c.path)
		}
	}
}
