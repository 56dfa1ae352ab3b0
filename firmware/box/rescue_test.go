package box

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/lab/lowport"
	"holdfast/firmware/update"
)

func TestRescue(t *testing.T) {
	l, err := lowport.Listen(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	boot := filepath.Join(t.TempDir(), "holdfast.toml")
	if err := os.WriteFile(boot, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- Rescue(t.Context(), at, "test", errors.New(`holdfast.toml:3: name: "<script>" is wrong`), []string{boot}, slog.New(slog.DiscardHandler))
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/anything", nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 503 || !strings.Contains(string(text), "holdfast.toml:3: name: &#34;&lt;script&gt;&#34; is wrong") {
			t.Errorf("%s %v: %s", res.Status, err, text)
		}
		break
	}
	if err := os.WriteFile(boot, []byte("mended"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp4", at); err == nil {
		c.Close()
		t.Error("the page stays")
	}
}

// A version on trial that the settings keep from serving is left at once, as soon as the updater can be asked; any other stays.
func TestRescueLeavesTrial(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*keeper)
		want   string
	}{
		"on trial":         {func(k *keeper) { onTrial(nil, k) }, "give up, reboot"},
		"confirmed":        {func(k *keeper) { onTrial(nil, k); k.status.State.Good = update.B }, ""},
		"nothing on trial": {func(*keeper) {}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := &keeper{status: update.Status{Running: update.A, State: update.State{Slot: update.A, Good: update.A}}}
			c.change(k)
			k.fault = errors.New("the updater is not up yet")
			go func() {
				time.Sleep(5 * time.Second)
				k.mu.Lock()
				k.fault = nil
				k.mu.Unlock()
			}()
			leaveTrial(t.Context(), k, rigLog())
			if k.did() != c.want {
				t.Errorf("%s: %q, want %q", name, k.did(), c.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // a card that refuses writes: tried until the page ends
		k := &keeper{refused: errors.New("read-only")}
		onTrial(nil, k)
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		if leaveTrial(ctx, k, rigLog()); k.did() != "give up, give up, give up, give up" {
			t.Error(k.did())
		}
	})
}
