// Package qemu is a board that can be bought nowhere: QEMU's virt machine with the card's image as its disk, started through
// U-Boot like the real ones, with a panel of lights and buttons and a network that is a tap device.
//
// What lies on the card and what the box has to do is not its job. It needs qemu-system-aarch64; no KVM.
package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/firmware/lab/nbd"
)

// Config says what the machine is made of.
type Config struct {
	Dir    string // for its sockets and its console's log
	UBoot  string // u-boot.bin for -bios
	Disk   *nbd.Disk
	Netdev string // for -netdev, with id=lan; "" for no network
	MAC    string
}

// Machine is a machine that is switched on.
type Machine struct {
	On time.Time // when the power came

	cmd     *exec.Cmd
	listen  net.Listener
	served  sync.WaitGroup
	exited  chan struct{}
	console *Console
	keys    io.WriteCloser
	panel   *panel
}

// Start switches it on.
func Start(cfg Config) (*Machine, error) {
	path := func(name string) string { return filepath.Join(cfg.Dir, name) }
	for _, s := range []string{"disk.sock", "qmp.sock", "qtest.sock"} {
		os.Remove(path(s)) // of the machine before
	}
	log, err := os.OpenFile(path("console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("console log: %w", err)
	}
	m := &Machine{exited: make(chan struct{}), console: &Console{log: log, grown: make(chan struct{})}}
	if m.listen, err = net.Listen("unix", path("disk.sock")); err != nil {
		log.Close()
		return nil, fmt.Errorf("disk: %w", err)
	}
	m.served.Go(func() { cfg.Disk.Serve(m.listen) })
	network := []string{"-nic", "none"}
	if cfg.Netdev != "" {
		network = []string{"-netdev", cfg.Netdev, "-device", "virtio-net-pci,netdev=lan,romfile=,mac=" + cfg.MAC}
	}
	// Without random numbers in its device tree the kernel lies at its usual place, and does not change page tables at each system call
	// to hide where: emulated, that takes a third of all time.
	args := append([]string{"-M", "virt,acpi=off,dtb-randomness=off", "-cpu", "cortex-a72", "-smp", "2", "-m", "512", "-display", "none", "-no-user-config", "-nodefaults",
		"-bios", cfg.UBoot,
		"-drive", "file=nbd+unix:///?socket=" + path("disk.sock") + ",format=raw,if=none,id=card,cache=writeback",
		"-device", "virtio-blk-pci,drive=card,romfile=", "-device", "virtio-rng-pci,romfile=", "-device", "i6300esb", "-action", "watchdog=reset",
		"-serial", "stdio",
		"-qmp", "unix:" + path("qmp.sock") + ",server=on,wait=off",
		"-qtest", "unix:" + path("qtest.sock") + ",server=on,wait=off", "-qtest-log", "/dev/null"}, network...)
	m.cmd = exec.Command("qemu-system-aarch64", args...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var complaints bytes.Buffer
	m.cmd.Stdout, m.cmd.Stderr = m.console, &complaints
	if m.keys, err = m.cmd.StdinPipe(); err != nil {
		m.listen.Close()
		m.served.Wait()
		log.Close()
		return nil, fmt.Errorf("serial line: %w", err)
	}
	m.On = time.Now()
	m.console.on = m.On
	if err := m.cmd.Start(); err != nil {
		m.listen.Close()
		m.served.Wait()
		log.Close()
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	go func() {
		m.cmd.Wait()
		m.console.end(strings.TrimSpace(complaints.String()))
		close(m.exited)
	}()
	if m.panel, err = openPanel(path("qmp.sock"), path("qtest.sock"), m.exited); err != nil {
		m.PowerOff()
		return nil, fmt.Errorf("%w\n%s", err, complaints.String())
	}
	return m, nil
}

// Console is what the machine says on its serial line.
func (m *Machine) Console() *Console { return m.console }

// Type sends a text to the machine on its serial line.
func (m *Machine) Type(text string) error {
	if _, err := io.WriteString(m.keys, text); err != nil {
		return fmt.Errorf("serial line: %w", err)
	}
	return nil
}

// PowerOff takes the power away, at once. What was not flushed is the disk's business.
func (m *Machine) PowerOff() {
	m.cmd.Process.Kill()
	<-m.exited
	if m.panel != nil {
		m.panel.close()
	}
	m.listen.Close()
	m.served.Wait()
	m.console.log.Close()
}

// Console collects what is said; its log has the seconds since the power came before each line.
type Console struct {
	mu    sync.Mutex
	log   io.WriteCloser
	on    time.Time
	open  bool // the log's last line has not ended
	text  []byte
	times []moment
	ended string        // why nothing more comes
	grown chan struct{} // closed and replaced when there is more
}

// moment is when the console had come so far.
type moment struct {
	after time.Duration // since the power came
	end   int
}

// When is how long after the power came a text stood there first; false when it does not.
func (c *Console) When(text string) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := bytes.Index(c.text, []byte(text))
	if at < 0 {
		return 0, false
	}
	i := slices.IndexFunc(c.times, func(m moment) bool { return m.end >= at+len(text) })
	return c.times[i].after, true
}

// Write implements io.Writer.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range bytes.Lines(p) {
		if !c.open {
			fmt.Fprintf(c.log, "%6.1f ", time.Since(c.on).Seconds())
		}
		c.log.Write(line) // for people only
		c.open = line[len(line)-1] != '\n'
	}
	c.text = append(c.text, p...)
	c.times = append(c.times, moment{time.Since(c.on), len(c.text)})
	close(c.grown)
	c.grown = make(chan struct{})
	return len(p), nil
}

func (c *Console) end(complaint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = "QEMU has ended " + complaint
	close(c.grown)
	c.grown = make(chan struct{})
}

// Mark is the place up to which the console has come; Wait looks behind it.
func (c *Console) Mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.text)
}

// Wait waits for a text behind a mark, and returns the place behind it.
func (c *Console) Wait(ctx context.Context, mark int, text string) (int, error) {
	for {
		c.mu.Lock()
		at := bytes.Index(c.text[mark:], []byte(text))
		grown, ended := c.grown, c.ended
		c.mu.Unlock()
		if at >= 0 {
			return mark + at + len(text), nil
		}
		if ended != "" {
			return mark, errors.New(ended)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return mark, fmt.Errorf("the console does not say %q: %w; its last words:\n%s", text, ctx.Err(), c.Tail(12))
		}
	}
}

// Text is what was said between two marks.
func (c *Console) Text(from, to int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text[from:to])
}

// Count says how often a text stands behind a mark.
func (c *Console) Count(mark int, text string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Count(c.text[mark:], []byte(text))
}

// Tail are the last lines.
func (c *Console) Tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := strings.Split(strings.TrimRight(string(c.text), "\r\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
