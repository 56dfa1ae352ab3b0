package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/panel"
)

// panelCommand shows the box's panel: once into a pipe, alive on a terminal, where keys press its buttons.
func panelCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flags("panel", "panel [--once]", "panel --press mode|ack [--hold 5s]")
	socket := socketFlag(f)
	asJSON := f.Bool("json", false, "print JSON")
	once := f.Bool("once", false, "print it once, also on a terminal")
	press := f.String("press", "", "press a button, mode or ack, instead")
	hold := f.Duration("hold", 200*time.Millisecond, "how long (with --press); "+panel.DrillHeld.String()+" of mode start or end a drill")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	c := control.NewClient(*socket)
	if *press != "" {
		msg, err := c.Press(ctx, control.PressOrder{Button: *press, Hold: hold.Milliseconds()})
		if err == nil {
			_, err = fmt.Fprintln(out, msg)
		}
		return err
	}
	p, err := c.Panel(ctx)
	switch {
	case err != nil:
		return err
	case *asJSON:
		return printJSON(out, p)
	case *once || !isTerminal(out) || !isTerminal(os.Stdin):
		_, err := fmt.Fprint(out, drawPanel(p, "", nil, isTerminal(out)))
		return err
	}
	return watchPanel(ctx, c, p, out)
}

// asked is how often the box is asked what it shows; lights blink in between by themselves.
const asked = 300 * time.Millisecond

// watchPanel draws until q or Ctrl-C.
func watchPanel(ctx context.Context, c *control.Client, p control.Panel, out io.Writer) error {
	terminal, err := openTerminal(os.Stdin, out)
	if err != nil {
		return err
	}
	defer terminal.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	keys := make(chan byte)
	go terminal.keys(ctx, keys)
	fresh := make(chan control.Panel)
	lost := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			p, err := c.Panel(ctx)
			if err != nil {
				lost <- err
				return
			}
			select {
			case fresh <- p:
				time.Sleep(asked)
			case <-ctx.Done():
			}
		}
	}()
	said := make(chan string, 1)
	press := func(button string, hold time.Duration) {
		go func() {
			_, err := c.Press(ctx, control.PressOrder{Button: button, Hold: hold.Milliseconds()})
			if err != nil && ctx.Err() == nil {
				select {
				case said <- err.Error():
				case <-ctx.Done():
				}
			}
		}()
	}
	began, last, message := time.Now(), "", ""
	for {
		since := time.Since(began)
		next := time.Second
		for _, l := range p.Lights {
			if left := l.Shows().Left(since); left > 0 {
				next = min(next, left)
			}
		}
		lit := func(l control.Light) bool { return l.Shows().On(since) }
		if frame := drawPanel(p, message, lit, os.Getenv("NO_COLOR") == "") + panelKeys; frame != last {
			terminal.draw(frame)
			last = frame
		}
		select {
		case p = <-fresh:
		case message = <-said:
		case <-time.After(next):
		case k := <-keys:
			message = ""
			switch k {
			case 'm':
				press("mode", 200*time.Millisecond)
			case 'M':
				press("mode", panel.DrillHeld+300*time.Millisecond)
			case 'a':
				press("ack", 200*time.Millisecond)
			case 'q':
				return nil
			}
		case err := <-lost:
			if ctx.Err() == nil {
				return err
			}
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

const panelKeys = `
  m  tap mode: second page      M  hold mode 5 s: start or end a drill
  a  ack: silence the buzzer    q  leave
`

// colours of the lights; their rhythm says as much.
var lightColours = map[string]string{"power": "32", "cloud": "34", "service": "33", "alarm": "31", "buzzer": "35"}

// drawPanel is the front of the box, and what it says. lit says which lights are on at this moment; nil: all that ever are.
func drawPanel(p control.Panel, message string, lit func(control.Light) bool, colour bool) string {
	var names, lamps, words strings.Builder
	brush := page{colour: colour}
	for _, l := range p.Lights {
		on := l.Pattern != "off"
		if lit != nil {
			on = lit(l)
		}
		lamp := "○"
		if on {
			lamp = brush.paint(lightColours[l.Name], "●")
		}
		fmt.Fprintf(&names, "%-11s", l.Name)
		fmt.Fprintf(&lamps, "  %s%8s", lamp, "")
		fmt.Fprintf(&words, "  %-8s %-7s %s\n", clip(l.Name, 8), clip(l.Pattern, 7), clip(l.Says, 62))
	}
	if p.Fault != "" {
		fmt.Fprintf(&words, "\n  %s\n", clip(p.Fault, columns-2))
	}
	if message != "" {
		fmt.Fprintf(&words, "\n  %s\n", clip(message, columns-2))
	}
	edge := strings.Repeat("─", 59)
	return fmt.Sprintf("\n  ┌%s┐\n  │   %-56s│\n  │   %s%s│\n  │%59s│\n  │   %-56s│\n  └%s┘\n\n%s",
		edge, names.String(), lamps.String(), " ", "", "( mode )   ( ack )    ( reset )", edge, words.String())
}
