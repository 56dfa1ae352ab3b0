package board

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/lab/qemu"
	"holdfast/firmware/lab/script"
)

// mistakes are what installers do: an address that another machine has, a boot file with a fault.
func (r *rig) mistakes() []script.Step {
	return []script.Step{
		{
			Name: "Another machine has the box's address", Want: "the box does not take it, and answers at the fallback address; when the other is gone it takes it",
			Do: r.conflict,
		},
		{
			Name: "A fault in the boot file, on a boot partition that is full",
			Want: "power fast; a page at the fallback address and holdfast-errors.txt say what is wrong",
			Do:   r.fault,
		},
	}
}

func (r *rig) conflict(ctx context.Context, n *script.Notes) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	other := Box.String() + "/32 dev " + tap
	if err := errors.Join(r.MendCloud(), ip("addr add "+other)); err != nil {
		return err
	}
	there := true
	defer func() {
		if there {
			ip("addr del " + other)
		}
	}()
	if err := r.starts(ctx); err != nil {
		return err
	}
	console := r.machine.Console()
	if _, err := console.Wait(ctx, 0, "another machine has the box's address"); err != nil {
		return err
	}
	if err := r.until(ctx, reached); err != nil {
		return fmt.Errorf("the fallback address: %w", err)
	}
	if strings.Contains(console.Tail(1000), "add "+Box.String()) {
		return errors.New("the box took an address that another machine has")
	}
	n.Saw("%v is left alone, %v answers", Box, fallback)
	if err := ip("addr del " + other); err != nil {
		return err
	}
	there = false
	if err := r.answers(ctx); err != nil {
		return err
	}
	n.Saw("taken when it was free")
	return nil
}

func (r *rig) fault(ctx context.Context, n *script.Notes) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	good, err := os.ReadFile(filepath.Join(r.Dir, "holdfast.toml"))
	if err != nil {
		return fmt.Errorf("boot file: %w", err)
	}
	if err := errorsOf(r.card.PutText("holdfast.toml", strings.Replace(string(good), "port_min", "port_mim", 1)), r.card.Fill()); err != nil {
		return err
	}
	if err := r.on(); err != nil {
		return err
	}
	if err := r.until(ctx, func(ctx context.Context) error { return rescuePage(ctx, "port_mim") }); err != nil {
		return err
	}
	if err := r.lights(ctx, n, want{qemu.LEDPower, "fast"}); err != nil {
		return err
	}
	if _, err := r.cut(); err != nil {
		return err
	}
	text, err := r.card.Get("holdfast-errors.txt")
	if err != nil || !strings.Contains(string(text), "port_mim") || !strings.Contains(string(text), "is full: delete from it") {
		return fmt.Errorf("holdfast-errors.txt: %q, %w", text, err)
	}
	n.Saw("the page and the file name the key")
	return errors.Join(r.card.Empty(), r.card.PutText("holdfast.toml", string(good)), r.settle("a"))
}

// rescuePage looks at the page of a box that cannot serve.
func rescuePage(ctx context.Context, want string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+fallback.String()+"/", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && !strings.Contains(string(text), want) {
		err = fmt.Errorf("the page does not name %s: %.200s", want, text)
	}
	return err
}

// until tries something until it works; one try takes two seconds at most.
func (r *rig) until(ctx context.Context, try func(context.Context) error) error {
	for {
		once, done := context.WithTimeout(ctx, 2*time.Second)
		err := try(once)
		done()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w; the console's last words:\n%s", err, r.machine.Console().Tail(12))
		}
		pause(ctx, 100*time.Millisecond)
	}
}
