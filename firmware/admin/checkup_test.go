package admin

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"holdfast/firmware/doctor"
)

// TestDoctorOnThePage: who has no shell looks at everything here; who may only look does not start it, and reads what was found.
func TestDoctorOnThePage(t *testing.T) {
	asked, hold := make(chan context.Context, 9), make(chan struct{})
	r := newRig(t, func(o *Options) {
		o.Examine = func(ctx context.Context) []doctor.Finding {
			asked <- ctx
			<-hold
			return []doctor.Finding{{Area: "dns", Verdict: doctor.Fail, Text: "10.0.0.1 does not know " + evil, Fix: "give it a record"}, {Area: "card", Verdict: doctor.OK, Text: "half of it is free"}}
		}
	})
	admin, viewer := r.login("root"), r.login("viewer")
	if page := r.do("GET", "/box", admin, nil).body; !strings.Contains(page, `action="/doctor"`) || strings.Contains(page, "does not know") {
		t.Error("before anybody asked")
	}
	if a := r.post("/doctor", viewer, url.Values{}); a.status != 403 {
		t.Errorf("a viewer starts it: %d", a.status)
	}
	first := make(chan answer)
	go func() { first <- r.post("/doctor", admin, url.Values{}) }()
	ctx := <-asked
	if _, bounded := ctx.Deadline(); !bounded {
		t.Error("it may take for ever")
	}
	r.post("/doctor", admin, url.Values{}) // while it runs: one at a time
	if page := r.do("GET", "/box", admin, nil).body; !strings.Contains(page, "It is being looked at: wait some seconds.") {
		t.Error("the second is not told")
	}
	close(hold)
	if a := <-first; a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/box") {
		t.Errorf("%d %v", a.status, a.header)
	}
	page := r.do("GET", "/box", viewer, nil).body
	for _, want := range []string{"1 failed", "<b>dns</b>: 10.0.0.1 does not know ", "give it a record", "half of it is free"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(page, evil) || strings.Contains(page, `action="/doctor"`) {
		t.Error("text of others is not escaped, or a viewer has the button")
	}
	var got Checkup
	if a := r.do("POST", apiRoot+"/doctor", admin, nil); json.Unmarshal([]byte(a.body), &got) != nil || got.Failed() != 1 || len(asked) != 1 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
