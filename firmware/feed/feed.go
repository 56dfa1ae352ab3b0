// Package feed carries frames to one server that somebody watches the box from: over UDP, TCP or TLS, from a bounded queue,
// with a new connection whenever one breaks. Who feeds never waits; what finds no room is counted and, where the protocol has
// a way, told to the server. What a frame is, firmware/hep and firmware/syslog know.
//
// It is no way for what must arrive: that is firmware/outbox.
package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Feed; the zero value of a limit means its default.
type Options struct {
	What    string      // for logs: "homer", "syslog"
	Network string      // udp or tcp
	Address string      // host:port
	TLS     *tls.Config // nil: in the clear
	Frames  int         // that wait (4096)
	Bytes   int64       // of them (4 MiB)
	// Lost makes a frame that tells of so many that were dropped; nil: nobody is told.
	Lost func(n uint64) []byte
	Log  *slog.Logger // must not lead back here
}

// Times of a connection.
const (
	dialWithin  = 10 * time.Second
	writeWithin = 10 * time.Second
	firstPause  = time.Second
	mostPause   = time.Minute
	lastWords   = time.Second // for what waits at the end
	logEvery    = time.Minute // over UDP
)

// Feed is one stream. Send and Status may be called from anywhere, Run once.
type Feed struct {
	o      Options
	frames chan []byte
	queued atomic.Int64

	sent, dropped atomic.Uint64
	untold        atomic.Uint64 // dropped, and the server does not know

	mu     sync.Mutex
	up     bool
	last   string    // error
	logged time.Time // when a change was last logged
}

// New makes a Feed; nothing is sent before Run.
func New(o Options) (*Feed, error) {
	if _, _, err := net.SplitHostPort(o.Address); err != nil {
		return nil, fmt.Errorf("%s: %w", o.What, err)
	}
	if o.Network != "udp" && o.Network != "tcp" || o.Network == "udp" && o.TLS != nil {
		return nil, fmt.Errorf("%s: no way to send over %q with TLS %t", o.What, o.Network, o.TLS != nil)
	}
	if o.Frames == 0 {
		o.Frames = 4096
	}
	if o.Bytes == 0 {
		o.Bytes = 4 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Feed{o: o, frames: make(chan []byte, o.Frames)}, nil
}

// Send takes a frame, which must not change any more. It never waits; false: there was no room.
func (f *Feed) Send(frame []byte) bool {
	if f.queued.Add(int64(len(frame))) <= f.o.Bytes {
		select {
		case f.frames <- frame:
			return true
		default:
		}
	}
	f.queued.Add(-int64(len(frame)))
	f.drop()
	return false
}

func (f *Feed) drop() {
	f.dropped.Add(1)
	f.untold.Add(1)
}

// Status is how it goes.
type Status struct {
	Sent, Dropped uint64
	Up            bool   // there is a connection; over UDP: the last frame could be sent
	LastError     string // of the last connection; "" while it is up
}

// Status is a copy.
func (f *Feed) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Status{f.sent.Load(), f.dropped.Load(), f.up, f.last}
}

// Run sends until ctx ends, and then for a moment what still waits.
func (f *Feed) Run(ctx context.Context) error {
	pause := firstPause
	var left []byte // what a broken connection has not taken
	for ctx.Err() == nil {
		began := time.Now()
		err := f.connection(ctx, &left)
		if ctx.Err() != nil {
			break
		}
		f.state(false, err)
		if time.Since(began) > mostPause {
			pause = firstPause // it had worked for a while
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, mostPause)
	}
	return nil
}

// state notes and logs a change.
func (f *Feed) state(up bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := up != f.up || f.last == "" && err != nil
	f.up, f.last = up, ""
	if err != nil {
		f.last = err.Error()
	}
	// A port that nobody listens on costs every other datagram: a word a minute is enough.
	if now := time.Now(); changed && (f.o.Network != "udp" || now.Sub(f.logged) > logEvery) {
		f.logged = now
		if up {
			f.o.Log.Info(f.o.What+" is connected", "server", f.o.Address)
		} else {
			f.o.Log.Warn(f.o.What+" is not connected; it is tried again", "server", f.o.Address, "err", err)
		}
	}
}

// connection opens one and uses it until it breaks or ctx ends.
func (f *Feed) connection(ctx context.Context, left *[]byte) error {
	conn, err := f.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	f.state(true, nil)
	broken := make(chan error, 1)
	if f.o.Network == "tcp" { // a server says nothing, but it hangs up: that is seen before the next frame is lost
		go func() {
			_, err := io.Copy(io.Discard, conn)
			broken <- errors.Join(errors.New("the server hung up"), err)
		}()
	}
	for {
		if *left != nil {
			if err := f.write(conn, *left, writeWithin); err != nil {
				return err
			}
			*left = nil
		}
		f.tellLoss(conn)
		select {
		case *left = <-f.frames:
			f.queued.Add(-int64(len(*left)))
		case err := <-broken:
			return err
		case <-ctx.Done():
			f.flush(conn)
			return nil
		}
	}
}

func (f *Feed) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	network := f.o.Network + "4"
	if f.o.TLS != nil {
		return (&tls.Dialer{Config: f.o.TLS}).DialContext(ctx, network, f.o.Address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, f.o.Address)
}

// write sends one frame. Over UDP a failure costs the frame; over TCP it ends the connection, and the frame goes into the next.
func (f *Feed) write(conn net.Conn, frame []byte, within time.Duration) error {
	conn.SetWriteDeadline(time.Now().Add(within))
	_, err := conn.Write(frame)
	if err == nil {
		f.sent.Add(1)
		if f.o.Network == "udp" {
			f.state(true, nil)
		}
		return nil
	}
	if f.o.Network == "udp" {
		f.drop()
		f.state(false, err)
		return nil
	}
	return fmt.Errorf("write: %w", err)
}

// tellLoss says what is missing, before what comes after it.
func (f *Feed) tellLoss(conn net.Conn) {
	if f.o.Lost == nil {
		return
	}
	if n := f.untold.Swap(0); n > 0 {
		conn.SetWriteDeadline(time.Now().Add(writeWithin))
		if _, err := conn.Write(f.o.Lost(n)); err != nil {
			f.untold.Add(n)
		}
	}
}

// flush sends what waits, for a moment.
func (f *Feed) flush(conn net.Conn) {
	end := time.Now().Add(lastWords)
	for {
		select {
		case frame := <-f.frames:
			f.queued.Add(-int64(len(frame)))
			if left := time.Until(end); left <= 0 || f.write(conn, frame, left) != nil {
				return
			}
		default:
			return
		}
	}
}
