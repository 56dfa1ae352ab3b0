package script

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRun(t *testing.T) {
	fine := func(context.Context, *Notes) error { return nil }
	wrong := func(context.Context, *Notes) error { return errors.New("it broke") }
	patient := func(ctx context.Context, _ *Notes) error { <-ctx.Done(); return ctx.Err() }
	deaf := func(context.Context, *Notes) error { time.Sleep(time.Hour); return nil }
	for _, c := range []struct {
		name    string
		steps   []Step
		ok      []bool
		skipped []bool
		errors  []string
		took    time.Duration
	}{
		{"all well", []Step{{Name: "a", Do: fine}, {Name: "b", Do: fine}}, []bool{true, true}, []bool{false, false}, []string{"", ""}, 0},
		{"a failure that matters to itself only", []Step{{Name: "a", Do: wrong}, {Name: "b", Do: fine}}, []bool{false, true}, []bool{false, false}, []string{"it broke", ""}, 0},
		{"a vital failure", []Step{{Name: "a", Do: wrong, Vital: true}, {Name: "b", Do: fine}}, []bool{false, false}, []bool{false, true}, []string{"it broke", `skipped, as "a" failed`}, 0},
		{"too late", []Step{{Name: "a", Do: patient, Limit: time.Second}}, []bool{false}, []bool{false}, []string{"not within 1s"}, time.Second},
		{"deaf to its deadline", []Step{{Name: "a", Do: deaf, Limit: time.Second}}, []bool{false}, []bool{false}, []string{"not done after 1s"}, time.Second + grace},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			begun := time.Now()
			got := Run(context.Background(), c.steps, NewScreen(&out, false))
			if took := time.Since(begun); took != c.took {
				t.Errorf("%s: took %v, want %v", c.name, took, c.took)
			}
			for i, v := range got {
				if v.OK != c.ok[i] || v.Skipped != c.skipped[i] || !strings.HasPrefix(v.Error, c.errors[i]) || (c.errors[i] == "" && v.Error != "") {
					t.Errorf("%s: step %s: %+v", c.name, v.Name, v)
				}
				if !v.Skipped && !strings.Contains(out.String(), v.Error) {
					t.Errorf("%s: the screen does not say %q:\n%s", c.name, v.Error, out.String())
				}
			}
			time.Sleep(2 * time.Hour) // the deaf one comes back
		})
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	steps := []Step{
		{Name: "a", Do: func(context.Context, *Notes) error { stop(); return nil }},
		{Name: "b", Do: func(context.Context, *Notes) error { t.Error("b ran"); return nil }},
	}
	got := Run(ctx, steps, NewScreen(&bytes.Buffer{}, false))
	if !got[0].OK || got[1].OK || !got[1].Skipped || got[1].Error != "interrupted" {
		t.Errorf("%+v", got)
	}
	if f, skipped := Failed(got); len(f) != 0 || skipped != 1 {
		t.Errorf("Failed = %q, %d skipped", f, skipped)
	}
}

func TestScreenKeepsToEightyColumns(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out, false)
	long := strings.Repeat("wörter und mehr ", 30)
	v := []Verdict{
		{Name: long, Want: long, Saw: long, Error: long},
		{Name: "short", Saw: "all heard", OK: true, Figures: []Figure{{"loss", 0.25, "%"}, {"frames", 500, ""}}},
		{Name: strings.Repeat("x", 300), Error: strings.Repeat("y", 300)},
	}
	for i := range v {
		s.End(i+1, len(v), v[i])
	}
	s.Line("●", "%s", long)
	s.Table(v)
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.Contains(line, "\x1b") {
			t.Errorf("an escape sequence, though this is no terminal: %q", line)
		}
	}
	for _, want := range []string{"all heard, loss 0.2 %, frames 500", "FAILED"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
