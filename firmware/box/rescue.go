package box

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/panel"
	"holdfast/firmware/update"
)

// Rescue is what is left of the box when it cannot serve: its panel says so, and a page at every address that the machine
// has (the fallback address among them) says why, to people only. It blocks until ctx ends, or until one of files is written.
// at is where the page is, such as ":80".
func Rescue(ctx context.Context, at, version string, fault error, files []string, log *slog.Logger) error {
	log.Error("the box cannot serve; it only says why", "page", at, "err", fault)
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	board, kind, _ := openBoard("auto")
	front := newFront(log, board, kind, "")
	front.facts = func() panel.Facts { return panel.Facts{Phase: panel.BadSettings} }
	front.act = func(panel.Action) error { return errors.New("the box has no settings to work with") }
	all.Go(func() { _ = front.run(ctx) }) // it only ends with ctx
	all.Go(func() { rescuePage(ctx, at, version, fault, log) })
	if _, err := os.Stat(releaseFile); err == nil {
		all.Go(func() { leaveTrial(ctx, update.NewClient(update.SocketPath), log) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := stamps(files)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if stamps(files) != before {
				log.Info("the settings have changed")
				return nil
			}
		}
	}
}

// leaveTrial goes back to the version before, if this one is on trial: with these settings that one served. It asks until the updater, which
// starts beside the box, has answered.
func leaveTrial(ctx context.Context, k update.Keeper, log *slog.Logger) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s, err := k.Status(ctx)
		if err == nil && (!s.Trial || s.State.Good == s.Running) {
			return
		}
		if err == nil {
			log.Error("the version on trial cannot serve with these settings: back to the one before", "version", s.Version)
			if _, err = k.GiveUp(ctx); err == nil {
				err = k.Reboot(ctx)
			}
			if err == nil {
				return
			}
			log.Error("the version on trial stays for now", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stamps differs when a file was written.
func stamps(files []string) string {
	var b strings.Builder
	for _, f := range files {
		if i, err := os.Stat(f); err == nil {
			fmt.Fprintln(&b, f, i.ModTime().UnixNano(), i.Size())
		}
	}
	return b.String()
}

var rescueText = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Holdfast: mistakes in the settings</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}pre{white-space:pre-wrap;border-left:.3rem solid #b00;padding-left:1rem}</style>
<h1>This box serves nobody: its settings have mistakes</h1>
<pre>{{.Fault}}</pre>
<p>Mend holdfast.toml, or what it names, on the card's first partition with any PC, and start the box again. The same list stands there in holdfast-errors.txt.
<p><small>Holdfast {{.Version}}</small>
`))

// rescuePage serves until ctx ends. A taken port leaves the panel.
func rescuePage(ctx context.Context, at, version string, fault error, log *slog.Logger) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", at)
	if err != nil {
		log.Error("rescue page", "err", err)
		return
	}
	srv := &http.Server{ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = rescueText.Execute(w, struct{ Fault, Version string }{fault.Error(), version}) // the reader may be gone
		})}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		log.Error("rescue page", "err", err)
	}
}
