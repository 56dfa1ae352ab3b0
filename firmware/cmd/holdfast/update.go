package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/firmware/control"
)

// updateCommand puts a new version on the box.
func updateCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flags("update", "update [--force] [--now] FILE|URL")
	socket := socketFlag(f)
	force := f.Bool("force", false, "take an older version, or the same, too")
	now := f.Bool("now", false, "restart at once: running calls end, phones have to register anew, and a PSAP that calls back reaches nobody;\nemergency calls are waited for even so")
	asJSON := f.Bool("json", false, "print JSON")
	if err := parse(f, args, out); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return usageError("say which bundle: holdfast update [--force] [--now] FILE|URL")
	}
	if *now {
		fmt.Fprintln(os.Stderr, "holdfast: --now ends calls that are up when the bundle is written (not emergency calls); Ctrl-C stops it before that")
	}
	body, size, err := openBundle(ctx, f.Arg(0))
	if err != nil {
		return err
	}
	defer body.Close()
	counted := &counter{from: body}
	done := make(chan struct{})
	if isTerminal(out) && !*asJSON {
		go counted.show(out, size, done)
	} else {
		close(done)
	}
	msg, err := control.NewClient(*socket).Update(ctx, counted, control.UpdateOrder{Force: *force, Now: *now})
	counted.ended.Store(true)
	<-done
	switch {
	case err != nil:
		return err
	case *asJSON:
		return printJSON(out, control.Answer{Message: msg})
	}
	_, err = fmt.Fprintln(out, msg)
	return err
}

// openBundle opens a file or a URL; what it holds, the box decides by its signature. size is -1 when it is not known.
func openBundle(ctx context.Context, name string) (body io.ReadCloser, size int64, err error) {
	if !strings.HasPrefix(name, "https://") && !strings.HasPrefix(name, "http://") {
		f, err := os.Open(name)
		if err != nil {
			return nil, 0, fmt.Errorf("bundle: %w", err)
		}
		i, err := f.Stat()
		if err != nil || i.IsDir() {
			f.Close()
			return nil, 0, errors.Join(fmt.Errorf("bundle: %s is no file", name), err)
		}
		return f, i.Size(), nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("bundle: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("bundle: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, 0, fmt.Errorf("bundle: %s answers %s", name, res.Status)
	}
	return res.Body, res.ContentLength, nil
}

// counter counts what has been handed to the box, which takes no more than it writes.
type counter struct {
	from  io.Reader
	bytes atomic.Int64
	ended atomic.Bool
}

// Read implements io.Reader.
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

// show draws the progress until the end.
func (c *counter) show(out io.Writer, size int64, done chan<- struct{}) {
	defer close(done)
	began := time.Now()
	for !c.ended.Load() {
		fmt.Fprintf(out, "\r%-78s", progressLine(c.bytes.Load(), size, time.Since(began)))
		time.Sleep(200 * time.Millisecond)
	}
	fmt.Fprintf(out, "\r%-78s\r", "")
}

// progressLine says how far it is, and how long it will still take.
func progressLine(n, size int64, since time.Duration) string {
	const mib = 1 << 20
	switch {
	case size <= 0:
		return fmt.Sprintf("writing: %d MiB", n/mib)
	case n >= size:
		return "checking what is on the card"
	}
	text := fmt.Sprintf("writing: %d of %d MiB, %d %%", n/mib, size/mib, 100*n/size)
	if n > 0 && since > 2*time.Second {
		left := time.Duration(float64(since) * float64(size-n) / float64(n))
		text += fmt.Sprintf(", about %d s left", int(left.Seconds())+1)
	}
	return text
}
