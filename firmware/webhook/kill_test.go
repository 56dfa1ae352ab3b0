package webhook

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/outbox"
	"holdfast/firmware/snapshot"
)

// Settings of the test binary when it is the program that is killed.
const (
	dirVariable = "HOLDFAST_KILL_TEST_DIR"
	urlVariable = "HOLDFAST_KILL_TEST_URL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		if err := victim(dir, os.Getenv(urlVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// parts of a box that has calls and alerts only.
type parts struct {
	journal *emergency.Journal
	box     *outbox.Box
	sender  *Sender
}

func assemble(dir, url string) (p parts, err error) {
	f, _, err := snapshot.Open(filepath.Join(dir, "snapshot"))
	if err != nil {
		return p, err
	}
	cert, err := os.ReadFile(filepath.Join(dir, "roots.pem"))
	if err != nil {
		return p, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	var errs [3]error
	p.box, errs[0] = outbox.Open(filepath.Join(dir, "outbox"), outbox.Options{})
	p.journal, errs[1] = emergency.New(emergency.Options{Snapshot: f, Followers: []string{Kind}})
	p.sender, errs[2] = New(Options{URL: url, Secret: secret, Roots: pool, Outbox: p.box})
	return p, errors.Join(errs[:]...)
}

func (p parts) run(ctx context.Context) *sync.WaitGroup {
	var group sync.WaitGroup
	group.Go(func() { p.box.Run(ctx) })
	group.Go(func() { p.journal.Follow(ctx, Kind, p.sender.Follow) })
	group.Go(func() { p.box.Deliver(ctx, Kind, p.sender.Deliver) })
	return &group
}

// steps of the victim's call after its beginning; each is an alert.
var steps = []emergency.Kind{emergency.Invite, emergency.Alarm, emergency.Acknowledged, emergency.Ended, emergency.Callback}

// victim says how many steps its call has so far, until it is killed.
func victim(dir, url string) error {
	p, err := assemble(dir, url)
	if err != nil {
		return err
	}
	p.run(context.Background())
	e, _ := call()
	if err := p.journal.Begin(e.Facts); err != nil {
		return err
	}
	fmt.Println(1)
	for n, kind := range steps {
		time.Sleep(2 * time.Millisecond)
		if err := p.journal.Add(e.ID, emergency.Step{Kind: kind}); err != nil {
			return err
		}
		fmt.Println(n + 2)
	}
	select {}
}

// TestKilled: the program is killed at moments that meet the card's writing and the sending; of every step that it took,
// the other side has one alert in the end.
func TestKilled(t *testing.T) {
	for n := range 12 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			dir, r := t.TempDir(), listen(t)
			cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
			if err := os.WriteFile(filepath.Join(dir, "roots.pem"), cert, 0o600); err != nil {
				t.Fatal(err)
			}
			taken := kill(t, dir, r.URL, time.Duration(n)*3*time.Millisecond)

			p, err := assemble(dir, r.URL)
			if err != nil {
				t.Fatal(err)
			}
			e, _ := p.journal.Get("c1")
			if len(e.Steps) < taken {
				t.Fatalf("%d steps of %d are known", len(e.Steps), taken)
			}
			ctx, cancel := context.WithCancel(t.Context())
			group := p.run(ctx)
			wait(t, "delivery", func() bool { return p.journal.Behind(Kind) == 0 && p.box.Stats().Pending == 0 })
			cancel()
			group.Wait()
			var want []string
			for _, s := range e.Steps {
				want = append(want, key(e, s))
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if got := slices.Sorted(maps.Keys(r.alerts)); !slices.Equal(got, want) {
				t.Errorf("alerts %v, want %v", got, want)
			}
		})
	}
}

// kill runs the victim until so long after its first step, and kills it; it returns how many steps it has taken.
func kill(t *testing.T, dir, url string, after time.Duration) (taken int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirVariable+"="+dir, urlVariable+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	if !said.Scan() {
		t.Error("the victim died by itself")
	}
	killed := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer killed.Stop()
	for taken = 1; said.Scan(); taken++ {
	}
	cmd.Wait() // it was killed: that is its error
	return taken
}
