// Package torture sends the messages of RFC 4475 and RFC 5118 to a SIP server over TLS and holds what comes back against
// a table: what each may lead to, and why. After each message the server must still serve, on the same connection too
// unless the message has destroyed its own framing.
package torture

import (
	"bufio"
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed messages
var messages embed.FS

// Result of one message.
type Result struct {
	File   string `json:"file"`
	Why    string `json:"why"`
	Got    int    `json:"got"` // status, 0: silence, -1: closed without an answer
	Right  bool   `json:"right"`
	Defect string `json:"defect,omitempty"`
}

// Server is where the messages go.
type Server struct {
	Addr   string
	Domain string // that the server serves
	TLS    *tls.Config
}

// quiet is how long a message that gets no answer is waited for.
const quiet = 700 * time.Millisecond

// patience is how long an answer that must come may take, and a broken message's connection stay open.
const patience = 15 * time.Second

// Run sends every message; each is told as soon as it is judged.
func Run(ctx context.Context, s Server, told func(Result)) ([]Result, error) {
	var all []Result
	for _, e := range table {
		raw, err := messages.ReadFile("messages/" + e.file)
		if err != nil {
			return all, fmt.Errorf("torture: %w", err)
		}
		r, err := s.one(ctx, e, raw)
		if err != nil {
			return all, fmt.Errorf("torture %s: %w", e.file, err)
		}
		all = append(all, r)
		told(r)
	}
	return all, nil
}

// one judges a message.
func (s Server) one(ctx context.Context, e expectation, raw []byte) (Result, error) {
	r := Result{File: e.file, Why: e.why}
	c, err := s.dial(ctx)
	if err != nil {
		return r, fmt.Errorf("the server takes no connection any more: %w", err)
	}
	defer c.Close()
	if _, err := c.Write(raw); err != nil {
		return r, err
	}
	in := bufio.NewReader(c)
	wait := patience
	if slices.Contains(e.allowed, silence) {
		wait = quiet
	}
	r.Got, err = final(c, in, wait)
	if err != nil {
		return r, err
	}
	if r.Right = slices.Contains(e.allowed, r.Got); !r.Right {
		r.Defect = fmt.Sprintf("got %s, want %s", name(r.Got), names(e.allowed))
		return r, nil
	}
	if !e.framing {
		if err := s.alive(c, in); err != nil {
			r.Right, r.Defect = false, "the connection is dead after it: "+err.Error()
			return r, nil
		}
	}
	fresh, err := s.dial(ctx)
	if err != nil {
		return r, fmt.Errorf("the server takes no connection any more: %w", err)
	}
	defer fresh.Close()
	if err := s.alive(fresh, bufio.NewReader(fresh)); err != nil {
		return r, fmt.Errorf("the server does not serve any more: %w", err)
	}
	return r, nil
}

func (s Server) dial(ctx context.Context) (*tls.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: s.TLS}
	c, err := d.DialContext(ctx, "tcp4", s.Addr)
	if err != nil {
		return nil, err
	}
	return c.(*tls.Conn), nil
}

// alive asks by OPTIONS.
func (s Server) alive(c *tls.Conn, in *bufio.Reader) error {
	id := strconv.FormatInt(time.Now().UnixNano(), 36)
	_, err := fmt.Fprintf(c, "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/TLS %s;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: <sip:torture@%s>;tag=%s\r\n"+
		"To: <sip:%s>\r\nCall-ID: alive-%s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", s.Domain, c.LocalAddr(), id, s.Domain, id, s.Domain, id)
	if err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(patience))
	for {
		status, callID, err := response(in)
		if err != nil {
			return err
		}
		if callID == "alive-"+id {
			if status != 200 {
				return fmt.Errorf("OPTIONS answered %d", status)
			}
			return nil
		}
	}
}

// final reads up to the first final answer.
func final(c *tls.Conn, in *bufio.Reader, wait time.Duration) (int, error) {
	c.SetReadDeadline(time.Now().Add(wait))
	for {
		status, _, err := response(in)
		switch {
		case err == nil && status >= 200:
			return status, nil
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return silence, nil
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "reset"):
			return closed, nil
		default:
			return 0, err
		}
	}
}

// response reads one SIP response without a body.
func response(in *bufio.Reader) (status int, callID string, err error) {
	line := ""
	for line == "" { // keepalives
		if line, err = in.ReadString('\n'); err != nil {
			return 0, "", err
		}
		line = strings.TrimRight(line, "\r\n")
	}
	f := strings.SplitN(line, " ", 3)
	if len(f) < 2 || f[0] != "SIP/2.0" {
		return 0, "", fmt.Errorf("not a response: %q", line)
	}
	if status, err = strconv.Atoi(f[1]); err != nil {
		return 0, "", fmt.Errorf("not a response: %q", line)
	}
	length := 0
	for {
		if line, err = in.ReadString('\n'); err != nil {
			return 0, "", err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		k, v, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(k)) {
		case "content-length":
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return 0, "", err
			}
		case "call-id":
			callID = strings.TrimSpace(v)
		}
	}
	_, err = in.Discard(length)
	return status, callID, err
}

func name(got int) string {
	switch got {
	case silence:
		return "no answer"
	case closed:
		return "a closed connection"
	}
	return strconv.Itoa(got)
}

func names(list []int) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = name(n)
	}
	return strings.Join(out, " or ")
}

// String is the result as a line of the table.
func (r Result) String() string {
	mark, rest := "ok  ", r.Why
	if !r.Right {
		mark, rest = "BAD ", r.Defect+" ("+r.Why+")"
	}
	return fmt.Sprintf("%s %-42s %-10s %s", mark, r.File, name(r.Got), rest)
}

// Count is how many are right.
func Count(all []Result) (right int) {
	for _, r := range all {
		if r.Right {
			right++
		}
	}
	return right
}
