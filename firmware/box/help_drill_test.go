package box

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/emergency"
)

// TestDrillCallback: the drill waits for somebody to call the number that was shown, and says whom that reached.
func TestDrillCallback(t *testing.T) {
	for name, c := range map[string]struct {
		answered *emergency.Step // after a minute
		stop     bool
		want     string
		after    time.Duration
	}{
		"the right one":  {&emergency.Step{Kind: emergency.CallbackAnswered, Who: "u204"}, false, "true reached u204", time.Minute},
		"at the cloud":   {&emergency.Step{Kind: emergency.CallbackAnswered, Who: "+12175550142", Text: "by the caller's number at the cloud"}, false, "true reached +12175550142", time.Minute},
		"somebody else":  {&emergency.Step{Kind: emergency.CallbackAnswered, Who: "u1003"}, false, "false reached u1003", time.Minute},
		"it only rang":   {&emergency.Step{Kind: emergency.Callback, ELIN: "+12175559000"}, false, "false nobody was reached", callbackWithin},
		"nobody called":  {nil, false, "false nobody was reached", callbackWithin},
		"it was stopped": {nil, true, "false nobody was reached", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := helpBox(t, deskSite(t, guard))
				begin(t, b, "c1", true)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Minute, func() {
					if c.stop {
						cancel()
					}
					if c.answered != nil {
						if err := b.journal.Add("c1", *c.answered); err != nil {
							t.Error(err)
						}
					}
				})
				var said []string
				start := time.Now()
				b.drillCallback(ctx, "c1", func(ok bool, name, detail, fix string) {
					if name != "callback" || fix == "" != (len(said) == 0) {
						t.Errorf("step %q, fix %q", name, fix)
					}
					said = append(said, fmt.Sprintf("%v %s", ok, detail))
				})
				if took := time.Since(start); took < c.after || took > c.after+time.Second {
					t.Errorf("it took %v", took)
				}
				if len(said) != 2 || !strings.HasPrefix(said[0], "true now call +12175559000 from outside") || said[1] != c.want {
					t.Errorf("%q", said)
				}
			})
		})
	}
}
