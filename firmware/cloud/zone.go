package cloud

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"holdfast/firmware/mode"
)

// zone asks one SIP zone by OPTIONS over a TLS connection that is kept as long as it works.
type zone struct {
	label   string
	address string // host:port
	dial    dialer
	tls     *tls.Config

	conn *tls.Conn // nil: to be dialled
	in   *bufio.Reader
}

func (z *zone) name() (string, mode.Kind) { return z.label, mode.SIP }

// ask sends one OPTIONS. A kept connection that the other side has closed meanwhile says nothing about the zone, so it
// is dialled anew once, within the same deadline.
func (z *zone) ask(ctx context.Context) answer {
	kept := z.conn != nil
	a, err := z.try(ctx)
	if err != nil && kept && closed(err) {
		a, err = z.try(ctx)
	}
	if err != nil {
		return answer{detail: explain(err), here: neverLeft(err)}
	}
	return a
}

func (z *zone) try(ctx context.Context) (a answer, err error) {
	defer func() {
		if err != nil {
			z.close()
		}
	}()
	if z.conn == nil {
		if err := z.connect(ctx); err != nil {
			return answer{}, err
		}
	}
	deadline, _ := ctx.Deadline()
	if err := z.conn.SetDeadline(deadline); err != nil {
		return answer{}, fmt.Errorf("set deadline: %w", err)
	}
	// A cancelled ctx must not wait for the deadline.
	conn := z.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	request, branch := options(z.address, z.conn.LocalAddr())
	begin := time.Now()
	if _, err := z.conn.Write(request); err != nil {
		return answer{}, fmt.Errorf("send OPTIONS: %w", err)
	}
	status, reason, err := final(z.in, branch)
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	return answer{
		alive:  status != 408 && status != 503, // anything else was said by a living zone
		rtt:    time.Since(begin),
		detail: strings.TrimSpace(fmt.Sprintf("%d %s", status, reason)),
	}, nil
}

func (z *zone) connect(ctx context.Context) error {
	raw, err := z.dial(ctx, "tcp4", z.address)
	if err != nil {
		return err
	}
	secure := tls.Client(raw, z.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close()
		return fmt.Errorf("TLS: %w", err)
	}
	z.conn, z.in = secure, bufio.NewReaderSize(secure, 4096)
	return nil
}

func (z *zone) close() {
	if z.conn == nil {
		return
	}
	z.conn.NetConn().Close() // without TLS's farewell, which could wait on a dead peer
	z.conn, z.in = nil, nil
}

// closed is true for the ways in which a connection that was fine tells that it is no more.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explain is an error for people; a deadline is what it means, not how it was noticed.
func explain(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case closed(err):
		return "connection closed"
	}
	return err.Error()
}

// neverLeft reports whether a probe failed before anything of it was sent to the cloud: this machine has no address or no route
// yet, or nobody tells it the zone's address.
func neverLeft(err error) bool {
	var name *net.DNSError
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.As(err, &name)
}
