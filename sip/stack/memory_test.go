package stack

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// register is about 700 bytes, as a desk phone writes it.
func register() string {
	r := request("REGISTER",
		"Contact: <sip:201@192.168.1.50:5061;transport=tls>;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";reg-id=1;expires=300",
		"Supported: path, outbound, gruu",
		"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE, PRACK",
		"User-Agent: DeskPhone 5400/2.1.7",
		"Expires: 300")
	if short := 700 - len(r); short > 0 {
		r = strings.Replace(r, "Expires:", "X-Padding: "+strings.Repeat("x", short)+"\r\nExpires:", 1)
	}
	return r
}

// TestMemoryPerIdlePhone measures what an idle, registered phone costs: heap and goroutine stacks of the server after a
// garbage collection. The phones are in a process of their own, so that their side does not count. Kernel socket
// buffers do not count either: an idle socket holds none. The figure that counts is the one without the race detector,
// which makes stack frames larger.
func TestMemoryPerIdlePhone(t *testing.T) {
	if addr := os.Getenv("STACK_TEST_PHONES"); addr != "" {
		phones(addr)
		return
	}
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		t.Run(tls.VersionName(version), func(t *testing.T) { memoryPerIdlePhone(t, version) })
	}
}

func memoryPerIdlePhone(t *testing.T, version uint16) {
	b := start(t, Options{OnRequest: func(tx *ServerTx) {
		tx.Conn().SetAuthenticated()
		tx.Reply(200, "OK")
	}})
	b.dial().works() // what the first connection brings up is not per phone
	before := inUse()

	cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryPerIdlePhone$")
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.ca.cert.Raw})
	cmd.Env = append(os.Environ(), "STACK_TEST_PHONES="+b.Addr(Access).String(), "STACK_TEST_ROOT="+string(root), fmt.Sprintf("STACK_TEST_TLS=%d", version))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close() // the phones hang up
		io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			t.Errorf("phones: %v", err)
		}
	}()
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line
	}()
	if line := await(t, "phones registered", ready); line != "ready\n" {
		t.Fatalf("phones say %q", line)
	}
	eventually(t, "all are idle", func() bool { return len(b.Conns()) == idlePhones+1 && b.held.Load() == 0 && b.servers.size() == 0 })
	after := inUse()
	heap, stacks := (after.heap-before.heap)/idlePhones, (after.stacks-before.stacks)/idlePhones
	t.Logf("%d idle phones: %d bytes each (heap %d, stack %d)", idlePhones, heap+stacks, heap, stacks)
	if heap+stacks > mostPerPhone {
		t.Errorf("%d bytes an idle phone, at most %d wanted", heap+stacks, mostPerPhone)
	}
}

type memory struct{ heap, stacks int64 }

// inUse is the memory in use after two collections: the first shrinks stacks and empties pools into their victims, the
// second frees those.
func inUse() memory {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{int64(m.HeapInuse), int64(m.StackInuse)}
}

// phones is the other process: it registers, says so, and waits until it is told to end.
func phones(addr string) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(os.Getenv("STACK_TEST_ROOT")))
	cfg := &tls.Config{RootCAs: roots, ServerName: "box.test"}
	fmt.Sscan(os.Getenv("STACK_TEST_TLS"), &cfg.MaxVersion)
	conns := make([]*tls.Conn, idlePhones)
	for i := range conns {
		c, err := tls.Dial("tcp4", addr, cfg)
		if err != nil {
			fail(err)
		}
		conns[i] = c
		c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(c, register()); err != nil {
			fail(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "SIP/2.0 200") {
			fail(fmt.Errorf("registering: %q, %v", line, err))
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(conns)
	os.Exit(0)
}
