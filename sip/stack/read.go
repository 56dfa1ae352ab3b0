package stack

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// smallBuffer holds most messages; a longer one gets a buffer of its own while it is read.
const smallBuffer = 4 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}

// readLoop owns the connection's input until it ends. While nothing arrives it holds one byte, no buffer.
func (c *Conn) readLoop() {
	defer c.Close()
	var first [1]byte
	for {
		c.arm(false)
		if n, err := c.raw.Read(first[:]); err != nil || n == 0 {
			return
		}
		if !c.readBurst(first[0]) {
			return
		}
	}
}

// readBurst reads messages until the input is used up exactly; false ends the connection.
func (c *Conn) readBurst(first byte) bool {
	small := buffers.Get().(*[]byte)
	defer buffers.Put(small)
	buf := *small
	defer func() { c.s.held.Add(-int64(len(buf) - smallBuffer)) }()
	buf[0] = first
	have := 1
	c.arm(true)
	for {
		skip := c.keepalive(buf[:have])
		if skip < 0 {
			return false
		}
		have = copy(buf, buf[skip:have])
		if have == 0 {
			return true
		}
		n, err := frame(buf[:have])
		switch err {
		case nil:
			c.newlines = 0
			if !c.receive(buf[:n]) {
				return false
			}
			have = copy(buf, buf[n:have])
			if have == 0 {
				return true
			}
			c.arm(true)
			continue
		case errIncomplete:
		default:
			c.framingLost(buf[:n], err)
			return false
		}
		for have < n {
			if have == len(buf) {
				// Twice as long, and long enough for any message that frame lets through.
				bigger := min(2*len(buf), maxHeader+maxBody)
				if !c.hold(bigger - len(buf)) {
					c.s.counters.Overflows.Add(1)
					return false
				}
				buf = append(make([]byte, 0, bigger), buf...)[:bigger]
			}
			m, err := c.raw.Read(buf[have:])
			if err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					c.s.counters.SlowMessages.Add(1)
				}
				return false
			}
			have += m
		}
	}
}

// keepalive takes the line ends before a message and answers pings: a double CRLF is one, a single CRLF its pong or an old
// phone's keepalive (RFC 5626 §4.4.1). It returns how many bytes it took, -1 when the peer pings too often.
func (c *Conn) keepalive(data []byte) int {
	n := 0
	for n < len(data) && (data[n] == '\r' || data[n] == '\n') {
		if data[n] == '\n' {
			c.newlines++
		}
		n++
		if c.newlines == 2 {
			c.newlines = 0
			if !c.allow(time.Now()) || c.write(pong) != nil {
				return -1
			}
		}
	}
	return n
}

// framingLost says why and lets the answer out before the connection is closed, since what follows cannot be told from a
// body.
func (c *Conn) framingLost(head []byte, err error) {
	c.s.counters.Malformed.Add(1)
	if !c.s.quiet(framingLost, time.Now()) {
		c.s.log.Info("framing lost", "side", c.side, "source", c.remote.String(), "err", err)
	}
	status, reason := framingStatus(err)
	c.refuse(head, status, reason)
	c.flush()
	// A socket that is closed with input unread resets the connection, and the answer with it: take in what was under way.
	// A timer, not a read deadline: a handler that authenticates the peer just now would lift that.
	cut := time.AfterFunc(lingerTime, c.cut)
	defer cut.Stop()
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		io.CopyN(io.Discard, c.raw, 4*(maxHeader+maxBody))
	}
}

// lingerTime is how long a peer has to read the last answer.
const lingerTime = 500 * time.Millisecond
