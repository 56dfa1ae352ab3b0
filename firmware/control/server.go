package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// SocketName is the socket's file in the box's run folder.
const SocketName = "holdfast.sock"

// Box is what the daemon can be asked.
type Box interface {
	Status() Status
	StartDrill(DrillOrder) (string, error)
	StopDrill(by string) (string, error)
	Fetch(ctx context.Context, force bool) (string, error)
}

// Serve answers on the socket in dir until ctx ends. A socket left by a killed daemon is replaced.
func Serve(ctx context.Context, dir string, b Box) error {
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return fmt.Errorf("control socket: %w", err)
	}
	srv := &http.Server{Handler: handler(b), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() {
		bye, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		srv.Shutdown(bye)
		srv.Close()
	})
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

func handler(b Box) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { reply(w, b.Status(), nil) })
	mux.HandleFunc("POST /drill/start", func(w http.ResponseWriter, r *http.Request) {
		var o DrillOrder
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&o); err != nil {
			http.Error(w, "bad order: "+err.Error(), http.StatusBadRequest)
			return
		}
		msg, err := b.StartDrill(o)
		reply(w, Answer{msg}, err)
	})
	mux.HandleFunc("POST /drill/stop", func(w http.ResponseWriter, r *http.Request) {
		msg, err := b.StopDrill(r.FormValue("by"))
		reply(w, Answer{msg}, err)
	})
	mux.HandleFunc("POST /site/fetch", func(w http.ResponseWriter, r *http.Request) {
		msg, err := b.Fetch(r.Context(), r.FormValue("force") == "true")
		reply(w, Answer{msg}, err)
	})
	return mux
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
