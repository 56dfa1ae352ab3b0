package control

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"holdfast/sip/trace"
)

// Traces is what the daemon can be asked about SIP messages.
type Traces interface {
	// TracedCalls are the last n calls of which messages are kept, the oldest first.
	TracedCalls(n int) ([]trace.Summary, error)
	// Ladder is the signalling of a call, by the box's ID or a Call-ID.
	Ladder(call string) (trace.Ladder, error)
	// Capture is the same as a capture file (pcapng).
	Capture(w io.Writer, call string) error
}

// mostTraced bounds the calls in one answer, mostCapture a capture, in bytes.
const (
	mostTraced  = 10000
	mostCapture = 512 << 20
)

func handleTraces(mux *http.ServeMux, b Traces) {
	mux.HandleFunc("GET /trace", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil || n < 1 || n > mostTraced {
			http.Error(w, fmt.Sprintf("n is not 1 to %d", mostTraced), http.StatusBadRequest)
			return
		}
		list, err := b.TracedCalls(n)
		reply(w, list, err)
	})
	mux.HandleFunc("GET /trace/ladder", func(w http.ResponseWriter, r *http.Request) {
		l, err := b.Ladder(r.FormValue("call"))
		reply(w, l, err)
	})
	mux.HandleFunc("GET /trace/capture", func(w http.ResponseWriter, r *http.Request) {
		var whole bytes.Buffer
		if err := b.Capture(&whole, r.FormValue("call")); err != nil {
			reply(w, nil, err)
			return
		}
		w.Header().Set("Content-Type", "application/x-pcapng")
		w.Write(whole.Bytes())
	})
}

// TracedCalls asks of which calls messages are kept.
func (c *Client) TracedCalls(ctx context.Context, n int) ([]trace.Summary, error) {
	var list []trace.Summary
	err := c.call(ctx, http.MethodGet, "/trace?n="+strconv.Itoa(n), nil, &list)
	return list, err
}

// Ladder asks for a call's signalling.
func (c *Client) Ladder(ctx context.Context, call string) (trace.Ladder, error) {
	var l trace.Ladder
	err := c.call(ctx, http.MethodGet, "/trace/ladder?call="+url.QueryEscape(call), nil, &l)
	return l, err
}

// Capture writes a call's signalling as a capture file.
func (c *Client) Capture(ctx context.Context, w io.Writer, call string) error {
	body, err := c.open(ctx, http.MethodGet, "/trace/capture?call="+url.QueryEscape(call), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, io.LimitReader(body, mostCapture)); err != nil {
		return fmt.Errorf("read the capture: %w", err)
	}
	return nil
}
