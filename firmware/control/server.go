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
	Emergencies
	Traces
	Reports
	Front
	Ports
	Certificates
	Updates
}

// longestPath of a Unix socket (unix(7): 108 bytes with the zero at the end).
const longestPath = 107

// Serve answers on the socket in dir until ctx ends, and returns when the last answer is out. A socket left by a killed
// daemon is replaced, that of a running one is not.
func Serve(ctx context.Context, dir string, b Box) error {
	l, err := listen(filepath.Join(dir, SocketName))
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	srv := &http.Server{Handler: handler(b), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		bye, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		srv.Shutdown(bye)
		srv.Close()
	})
	err = srv.Serve(l)
	if !stop() {
		<-ended
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// listen opens the socket so that nobody but the daemon's user may connect to it.
func listen(path string) (net.Listener, error) {
	if len(path) > longestPath {
		return nil, fmt.Errorf("%s is longer than %d bytes: choose another run_dir", path, longestPath)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("another box is running at %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
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
	handleEmergencies(mux, b)
	handleTraces(mux, b)
	handleReports(mux, b)
	handlePanel(mux, b)
	handlePorts(mux, b)
	handleCertificates(mux, b)
	handleUpdates(mux, b)
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
