package stack

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Sizes of one message. RFC 3261 names no limit; these hold any INVITE that a phone or an SBC writes.
const (
	maxHeader = 16 << 10
	maxBody   = 48 << 10
)

var (
	errHeaderTooLong = errors.New("header section too long")
	errBodyTooLong   = errors.New("body too long")
	errContentLength = errors.New("Content-Length is no number")
	errIncomplete    = errors.New("incomplete")
	buffers          = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}
	crlfcrlf         = []byte("\r\n\r\n")
	pong             = []byte("\r\n")
)

// frame finds the first message in data: its length, or errIncomplete when more bytes are needed. A message without
// Content-Length has no body (RFC 3261 §18.3 demands the header on streams; what follows is then the next message).
func frame(data []byte) (n int, err error) {
	head := bytes.Index(data, crlfcrlf)
	if head < 0 {
		if len(data) > maxHeader {
			return 0, errHeaderTooLong
		}
		return 0, errIncomplete
	}
	head += 4
	if head > maxHeader {
		return head, errHeaderTooLong
	}
	length, err := contentLength(data[:head])
	if err != nil {
		return head, err
	}
	if length > maxBody {
		return head, errBodyTooLong
	}
	if len(data) < head+length {
		return 0, errIncomplete
	}
	return head + length, nil
}

// contentLength reads the header's value; 0 when there is none.
func contentLength(head []byte) (int, error) {
	found := -1
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		name = bytes.TrimSpace(name)
		if !bytes.EqualFold(name, []byte("content-length")) && !bytes.EqualFold(name, []byte("l")) {
			continue
		}
		value = bytes.TrimSpace(value)
		n := 0
		if len(value) == 0 || len(value) > 9 {
			return 0, errContentLength
		}
		for _, b := range value {
			if b < '0' || b > '9' {
				return 0, errContentLength
			}
			n = 10*n + int(b-'0')
		}
		if found >= 0 && found != n {
			return 0, fmt.Errorf("two values: %w", errContentLength)
		}
		found = n
	}
	return max(found, 0), nil
}

// readLoop owns the connection's input until it ends. While nothing arrives it holds one byte, no buffer.
func (c *Conn) readLoop() {
	defer c.Close()
	c.raw.SetReadDeadline(time.Now().Add(c.idle()))
	var first [1]byte
	for {
		if n, err := c.raw.Read(first[:]); err != nil || n == 0 {
			return
		}
		if !c.readBurst(first[0]) {
			return
		}
		c.raw.SetReadDeadline(time.Now().Add(c.idle()))
	}
}

func (c *Conn) idle() time.Duration {
	if c.authenticated.Load() || c.side == Trunk {
		return c.s.o.Limits.IdleTimeout
	}
	return c.s.o.Limits.UnauthenticatedIdle
}

// readBurst reads messages until the input is used up exactly; false ends the connection.
func (c *Conn) readBurst(first byte) bool {
	bp := buffers.Get().(*[]byte)
	buf := *bp
	defer func() {
		if cap(buf) <= 4<<10 {
			buffers.Put(bp)
		}
	}()
	buf[0] = first
	have := 1
	c.raw.SetReadDeadline(time.Now().Add(c.s.o.Limits.MessageTimeout))
	for {
		// RFC 5626 §4.4.1: a double CRLF between messages is a ping, a single CRLF its pong (or an old phone's keepalive).
		skip := 0
		for skip < have && (buf[skip] == '\r' || buf[skip] == '\n') {
			if buf[skip] == '\n' {
				c.newlines++
			}
			skip++
		}
		have = copy(buf, buf[skip:have])
		if c.newlines >= 2 {
			c.newlines = 0
			if c.write(pong) != nil {
				return false
			}
		}
		if have == 0 {
			return true
		}
		n, err := frame(buf[:have])
		if err == nil {
			c.newlines = 0
			if !c.receive(buf[:n]) {
				return false
			}
			have = copy(buf, buf[n:have])
			if have == 0 {
				return true
			}
			c.raw.SetReadDeadline(time.Now().Add(c.s.o.Limits.MessageTimeout))
			continue
		}
		if err != errIncomplete {
			// Framing is lost: say why, then close, since what follows cannot be told from a body.
			c.s.counters.Malformed.Add(1)
			if n > 0 {
				c.refuse(buf[:n], framingStatus(err), err.Error())
			}
			c.s.log.Info("framing lost", "source", c.remote.String(), "err", err)
			c.hangupSoon()
			return false
		}
		if have == len(buf) {
			bigger := make([]byte, min(2*len(buf), maxHeader+maxBody+4))
			if len(bigger) == len(buf) {
				return false
			}
			copy(bigger, buf)
			buf = bigger
		}
		m, err := c.raw.Read(buf[have:])
		if err != nil {
			var t interface{ Timeout() bool }
			if errors.As(err, &t) && t.Timeout() {
				c.s.counters.SlowMessages.Add(1)
			}
			return false
		}
		have += m
	}
}

func framingStatus(err error) int {
	switch {
	case errors.Is(err, errBodyTooLong):
		return 413
	case errors.Is(err, errHeaderTooLong):
		return 513
	default:
		return 400
	}
}

// hangupSoon lets a last response out before the read loop closes the connection.
func (c *Conn) hangupSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing && !c.closed {
		c.drained.Wait()
	}
}
