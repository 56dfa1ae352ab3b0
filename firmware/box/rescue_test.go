package box

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRescue(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
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
