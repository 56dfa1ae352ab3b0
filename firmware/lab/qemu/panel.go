package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Lines of the PL061, as board/qemu-virt names them.
const (
	LEDPower, LEDCloud, LEDService, Buzzer, LEDAlarm = 0, 1, 2, 3, 4
	ButtonMode, ButtonAck, ButtonReset               = 5, 6, 7

	dataRegister = 0x90303fc // all eight lines of the chip at 0x9030000
)

// panel speaks QEMU's qtest protocol, which reads registers and sets interrupt lines of a running machine.
type panel struct {
	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Scanner
	chip string // its path in QEMU's object tree
}

func openPanel(qmp, qtest string, exited <-chan struct{}) (*panel, error) {
	monitor, err := dial(qmp, exited)
	if err != nil {
		return nil, err
	}
	defer monitor.Close()
	chip, err := findChip(monitor)
	if err != nil {
		return nil, err
	}
	conn, err := dial(qtest, exited)
	if err != nil {
		return nil, err
	}
	return &panel{conn: conn, in: bufio.NewScanner(conn), chip: chip}, nil
}

// dial waits for the socket: QEMU makes it when it starts.
func dial(path string, exited <-chan struct{}) (net.Conn, error) {
	for began := time.Now(); ; {
		c, err := net.Dial("unix", path)
		if err == nil {
			return c, nil
		}
		if time.Since(began) > 30*time.Second {
			return nil, fmt.Errorf("QEMU's socket: %w", err)
		}
		select {
		case <-exited:
			return nil, errors.New("QEMU has ended at its start")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// findChip asks the machine protocol (QMP) where the PL061 is.
func findChip(c net.Conn) (string, error) {
	c.SetDeadline(time.Now().Add(30 * time.Second))
	in := json.NewDecoder(c)
	var greeting json.RawMessage
	if err := in.Decode(&greeting); err != nil {
		return "", fmt.Errorf("QMP: %w", err)
	}
	ask := func(command string, into any) error {
		if _, err := c.Write([]byte(command)); err != nil {
			return fmt.Errorf("QMP: %w", err)
		}
		for {
			var answer struct {
				Return json.RawMessage
				Error  json.RawMessage
			}
			if err := in.Decode(&answer); err != nil {
				return fmt.Errorf("QMP: %w", err)
			}
			if answer.Error != nil {
				return fmt.Errorf("QMP: %s", answer.Error)
			}
			if answer.Return != nil { // the others are events
				return json.Unmarshal(answer.Return, into)
			}
		}
	}
	var nothing any
	var devices []struct{ Name, Type string }
	if err := errors.Join(ask(`{"execute":"qmp_capabilities"}`, &nothing),
		ask(`{"execute":"qom-list","arguments":{"path":"/machine/unattached"}}`, &devices)); err != nil {
		return "", err
	}
	for _, d := range devices {
		if d.Type == "child<pl061>" {
			return "/machine/unattached/" + d.Name, nil
		}
	}
	return "", errors.New("this machine has no PL061 (acpi=off?)")
}

func (p *panel) close() { p.conn.Close() }

// ask sends a line and returns what follows OK in the answer.
func (p *panel) ask(line string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := p.conn.Write([]byte(line + "\n")); err != nil {
		return "", fmt.Errorf("qtest: %w", err)
	}
	for p.in.Scan() {
		answer := p.in.Text()
		if rest, ok := strings.CutPrefix(answer, "OK"); ok {
			return strings.TrimSpace(rest), nil
		}
		if !strings.HasPrefix(answer, "IRQ") {
			return "", fmt.Errorf("qtest: %q answered %q", line, answer)
		}
	}
	return "", fmt.Errorf("qtest: %w", errors.Join(p.in.Err(), net.ErrClosed))
}

// Lines reports all lines now, a bit each.
func (m *Machine) Lines() (uint64, error) {
	text, err := m.panel.ask(fmt.Sprintf("readl %#x", dataRegister))
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("qtest: %q is no number", text)
	}
	return v, nil
}

// Set presses a button or lets it go.
func (m *Machine) Set(line int, down bool) error {
	level := 0
	if down {
		level = 1
	}
	_, err := m.panel.ask(fmt.Sprintf("set_irq_in %s unnamed-gpio-in %d %d", m.panel.chip, line, level))
	return err
}

// Press holds a button down for so long.
func (m *Machine) Press(ctx context.Context, line int, d time.Duration) error {
	if err := m.Set(line, true); err != nil {
		return err
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return errors.Join(m.Set(line, false), ctx.Err())
}

// Rhythms names what every output does by what a person would see in three seconds and a half: off, steady, slow, double or fast.
func (m *Machine) Rhythms(ctx context.Context) (out [8]string, err error) {
	const window = 3500 * time.Millisecond
	var changes, on [8]int
	var last uint64
	looks := 0
	for began := time.Now(); time.Since(began) < window; looks++ {
		lines, err := m.Lines()
		if err != nil {
			return out, err
		}
		for i := range out {
			if looks > 0 && (lines^last)>>i&1 == 1 {
				changes[i]++
			}
			on[i] += int(lines >> i & 1)
		}
		last = lines
		select {
		case <-time.After(15 * time.Millisecond):
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
	for i := range out {
		out[i] = rhythm(changes[i], on[i], looks)
	}
	return out, nil
}

// rhythm goes by the number of changes in 3.5 s: slow has 3 or 4, double 8 to 10, fast 28. An emulated machine is not exact.
func rhythm(changes, on, looks int) string {
	switch {
	case changes == 0 && on == 0:
		return "off"
	case changes == 0:
		return "steady"
	case changes <= 5:
		return "slow"
	case changes <= 14 && on*2 < looks:
		return "double"
	}
	return "fast"
}
