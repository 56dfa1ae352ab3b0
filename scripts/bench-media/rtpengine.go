package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// rtpengine is the peer process, steered by its ng protocol: a cookie and a bencoded dictionary in a datagram, each way.
type rtpengine struct {
	cmd  *exec.Cmd
	conn *net.UDPConn
	dir  string
	next int
}

const ngPort = 19222

func startRtpengine(threads int) (*rtpengine, error) {
	dir, err := os.MkdirTemp("", "bench-media-")
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=4", "--interface=127.0.0.1",
		"--listen-ng=127.0.0.1:" + strconv.Itoa(ngPort), "--port-min=20000", "--port-max=29999", "--tos=184"}
	if threads > 0 {
		args = append(args, "--num-threads="+strconv.Itoa(threads))
	}
	e := &rtpengine{cmd: exec.Command("rtpengine", args...), dir: dir}
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	e.conn, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: ngPort})
	if err != nil {
		e.stop()
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		answer, err := e.ask(map[string]any{"command": "ping"})
		if err == nil && answer["result"] == "pong" {
			return e, nil
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(log.Name())
			e.stop()
			return nil, fmt.Errorf("rtpengine does not answer: %v\n%s", err, bytes.TrimSpace(text))
		}
	}
}

func (e *rtpengine) stop() {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
	if e.conn != nil {
		e.conn.Close()
	}
	os.RemoveAll(e.dir)
}

// ask sends one command.
func (e *rtpengine) ask(command map[string]any) (map[string]any, error) {
	e.next++
	cookie := strconv.Itoa(e.next) + "_" + rand.Text()[:6]
	msg := append([]byte(cookie+" "), encode(command)...)
	if _, err := e.conn.Write(msg); err != nil {
		return nil, err
	}
	if err := e.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	buffer := make([]byte, 65536)
	for {
		n, err := e.conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		rest, ok := bytes.CutPrefix(buffer[:n], []byte(cookie+" "))
		if !ok {
			continue // the answer to an earlier question
		}
		value, _, err := decode(rest)
		if err != nil {
			return nil, err
		}
		answer, ok := value.(map[string]any)
		if !ok {
			return nil, errors.New("rtpengine's answer is no dictionary")
		}
		if answer["result"] == "error" {
			return nil, fmt.Errorf("rtpengine: %v", answer["error-reason"])
		}
		return answer, nil
	}
}

// place sets up one call by an offer and an answer, as a SIP proxy would. The callee takes the suite that the call wants from those
// offered, with the key that goes with it.
func (e *rtpengine) place(i int, call *[2]side) error {
	a, b := &call[0], &call[1]
	id, protocol := "call-"+strconv.Itoa(i), "RTP/AVP"
	var lines []string
	if a.Suite != "" {
		protocol = "RTP/SAVP"
		lines = []string{cryptoLine(1, a.Suite, a.Says)}
	}
	command := map[string]any{
		"command": "offer", "call-id": id, "from-tag": "a", "sdp": session(a.Phone, protocol, lines),
		"transport-protocol": protocol, "ICE": "remove", "DTLS": "off", "flags": []string{"trust-address"}, "replace": []string{"origin"},
	}
	answer, err := e.ask(command)
	if err != nil {
		return err
	}
	offered, err := parseSession(answer["sdp"])
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	b.Box = offered.addr
	lines = nil
	if b.Suite != "" {
		chosen, ok := offered.keys[b.Suite]
		if !ok {
			return fmt.Errorf("rtpengine offers no %s", b.Suite)
		}
		b.Hear = chosen.key
		lines = []string{cryptoLine(chosen.tag, b.Suite, b.Says)}
	}
	command["command"], command["to-tag"], command["sdp"] = "answer", "b", session(b.Phone, protocol, lines)
	if answer, err = e.ask(command); err != nil {
		return err
	}
	answered, err := parseSession(answer["sdp"])
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	a.Box = answered.addr
	if a.Suite != "" {
		chosen, ok := answered.keys[a.Suite]
		if !ok {
			return fmt.Errorf("rtpengine answers without %s", a.Suite)
		}
		a.Hear = chosen.key
	}
	return nil
}

func session(at netip.AddrPort, protocol string, lines []string) string {
	s := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
		"m=audio " + strconv.Itoa(int(at.Port())) + " " + protocol + " 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
	for _, l := range lines {
		s += l + "\r\n"
	}
	return s
}

func cryptoLine(tag int, suite string, key []byte) string {
	return fmt.Sprintf("a=crypto:%d %s inline:%s", tag, suite, base64.StdEncoding.EncodeToString(key))
}

type described struct {
	addr netip.AddrPort
	keys map[string]struct { // by suite
		tag int
		key []byte
	}
}

func parseSession(sdp any) (described, error) {
	text, _ := sdp.(string)
	d := described{keys: make(map[string]struct {
		tag int
		key []byte
	})}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "m=audio "); ok {
			port, _, _ := strings.Cut(rest, " ")
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil || n == 0 {
				return d, fmt.Errorf("no port in %q", line)
			}
			d.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n))
		}
		if rest, ok := strings.CutPrefix(line, "a=crypto:"); ok {
			f := strings.Fields(rest)
			if len(f) < 3 {
				return d, fmt.Errorf("cannot read %q", line)
			}
			tag, err := strconv.Atoi(f[0])
			if err != nil {
				return d, fmt.Errorf("cannot read %q", line)
			}
			text, _, _ := strings.Cut(strings.TrimPrefix(f[2], "inline:"), "|")
			key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
			if err != nil {
				return d, fmt.Errorf("key in %q: %w", line, err)
			}
			if _, double := d.keys[f[1]]; !double {
				d.keys[f[1]] = struct {
					tag int
					key []byte
				}{tag, key}
			}
		}
	}
	if !d.addr.IsValid() {
		return d, fmt.Errorf("no audio in %q", text)
	}
	return d, nil
}
