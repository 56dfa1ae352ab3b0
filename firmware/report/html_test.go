package report

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPage: one file that fetches nothing, runs nothing and lets no name speak HTML.
func TestPage(t *testing.T) {
	var b strings.Builder
	r := built(t, outage())
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	os.WriteFile(filepath.Join(t.ArtifactDir(), "outage.html"), []byte(page), 0o600) // to look at, with go test -artifacts
	for _, bad := range []string{"<script", "http://", "https://", "url(", "@import", "javascript:", " style=", "<b>", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
	if regexp.MustCompile(`<[^>]* on[a-z]+=`).MatchString(page) {
		t.Error("an event handler is in the page")
	}
	for _, want := range []string{"Outage from 12:00:00 to 12:05:30 CST", "≤ 6.0 s", "3 of 5", "1 of 7", "911 ROOM 204", "shown as", "12175559000 on sbc-b", "Carol &lt;script&gt;", "Springfield &lt;b&gt;",
		"nobody has this number", "missed", "not answered", "Sunday, 1 March 2026", "<svg", `role="img"`, "polyline", "1 h 0 min old", "What to do now", "12:01:00 by Bob (key)"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	_, rest, _ := strings.Cut(page, "<style>")
	css, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(css))
	if !strings.Contains(ContentSecurityPolicy(), "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Error("the page's own style is not allowed by its policy")
	}
	if len(page) > 100<<10 {
		t.Errorf("%d bytes", len(page))
	}
}

func TestSpan(t *testing.T) {
	for s, want := range map[float64]string{0: "0.0 s", -3: "0.0 s", 9.94: "9.9 s", 42.4: "42 s", 61: "1 min 1 s", 3600: "1 h 0 min", 86400 * 3: "3 days"} {
		if got := span(at(s).Sub(at(0))); got != want {
			t.Errorf("%v: %s, want %s", s, got, want)
		}
	}
}
