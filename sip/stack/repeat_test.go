package stack

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// heard collects what a client transaction tells its owner.
type heard struct {
	mu       sync.Mutex
	statuses []int
	err      error
}

func (h *heard) on(res *sip.Response, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.err = err
		return
	}
	h.statuses = append(h.statuses, res.StatusCode)
}

func (h *heard) failed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Timers A, B, E and F: when a request that nobody answers is sent again (RFC 3261 §17.1.1.2, §17.1.2.2).
func TestRepeatUnanswered(t *testing.T) {
	for _, c := range []struct {
		method sip.RequestMethod
		want   []string
	}{
		{sip.INVITE, []string{"0s", "500ms", "1.5s", "3.5s", "7.5s", "15.5s", "31.5s"}},
		{sip.OPTIONS, []string{"0s", "500ms", "1.5s", "3.5s", "7.5s", "11.5s", "15.5s", "19.5s", "23.5s", "27.5s", "31.5s"}},
	} {
		ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
			var h heard
			began := time.Now()
			if _, err := s.Reach(netip.MustParseAddrPort(gatewayAt)).Send(toDevice(c.method), h.on); err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Second)
			want := slices.Clone(c.want)
			for i := range want {
				want[i] += " " + string(c.method) + " sip:300@10.0.0.71 SIP/2.0"
			}
			same(t, string(c.method), e.lines(began), want...)
			if !errors.Is(h.err, ErrTimeout) || h.statuses != nil {
				t.Errorf("told %v %v", h.statuses, h.err)
			}
			if u := s.Usage(); u.ClientTxs != 0 {
				t.Errorf("%d transactions left", u.ClientTxs)
			}
		})
	}
}

// What a peer has promised to answer is waited for as long as a person may take to pick up, but not in a dialog: there nobody has to, and
// a transaction that is never answered would stay as long as the connection.
func TestPromisedAnswer(t *testing.T) {
	for tag, left := range map[string]int{"": 1, "there": 0} {
		ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
			var h heard
			req := toDevice(sip.INVITE)
			if tag != "" {
				req.To().Params.Add("tag", tag)
			}
			c := s.Reach(netip.MustParseAddrPort(gatewayAt))
			c.SetAuthenticated()
			if _, err := c.Send(req, h.on); err != nil {
				t.Fatal(err)
			}
			e.put(gatewayAt, answered(e.take()[0].text, 100))
			time.Sleep(40 * time.Second)
			if u := s.Usage(); u.ClientTxs != 1 || h.failed() != nil {
				t.Errorf("tag %q: %d transactions after 40 s, told %v", tag, u.ClientTxs, h.failed())
			}
			time.Sleep(time.Hour)
			if u := s.Usage(); u.ClientTxs != left || errors.Is(h.failed(), ErrTimeout) != (left == 0) {
				t.Errorf("tag %q: %d transactions after an hour, told %v", tag, u.ClientTxs, h.failed())
			}
		})
	}
}

// A refused INVITE is acknowledged as often as the refusal comes; a provisional response ends the repetitions.
func TestRepeatRefused(t *testing.T) {
	ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
		var h heard
		began := time.Now()
		s.Reach(netip.MustParseAddrPort(gatewayAt)).Send(toDevice(sip.INVITE), h.on)
		req := e.take()[0].text
		time.Sleep(700 * time.Millisecond)
		e.take()
		e.put("10.0.0.71:62000", answered(req, 180)) // a device may answer from another port
		time.Sleep(20 * time.Second)
		same(t, "while it rings", e.lines(began))
		no := answered(req, 486)
		e.put(gatewayAt, no)
		time.Sleep(time.Second)
		e.put(gatewayAt, no)
		same(t, "acknowledged", e.lines(began), "20.7s ACK sip:300@10.0.0.71 SIP/2.0", "21.7s ACK sip:300@10.0.0.71 SIP/2.0")
		time.Sleep(33 * time.Second)
		e.put(gatewayAt, no) // timer D has ended it
		same(t, "after timer D", e.lines(began))
		if !slices.Equal(h.statuses, []int{180, 486}) || h.err != nil {
			t.Errorf("told %v %v", h.statuses, h.err)
		}
		if u := s.Usage(); u.ClientTxs != 0 {
			t.Errorf("%d transactions left", u.ClientTxs)
		}
	})
}

// A request in progress is repeated every T2 (§17.1.2.2), a CANCEL as any other.
func TestRepeatProceeding(t *testing.T) {
	ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
		var h, i heard
		began := time.Now()
		c := s.Reach(netip.MustParseAddrPort(gatewayAt))
		c.Send(toDevice(sip.BYE), h.on)
		bye := e.take()[0].text
		e.put(gatewayAt, answered(bye, 100))
		time.Sleep(10 * time.Second)
		same(t, "in progress", e.lines(began), "500ms BYE sip:300@10.0.0.71 SIP/2.0", "4.5s BYE sip:300@10.0.0.71 SIP/2.0", "8.5s BYE sip:300@10.0.0.71 SIP/2.0")
		e.put(gatewayAt, answered(bye, 200))
		e.put(gatewayAt, answered(bye, 200))
		time.Sleep(10 * time.Second)
		same(t, "answered", e.lines(began))
		if !slices.Equal(h.statuses, []int{100, 200}) {
			t.Errorf("told %v", h.statuses)
		}

		began = time.Now()
		tx, _ := c.Send(toDevice(sip.INVITE), i.on)
		inv := e.take()[0].text
		tx.Cancel()
		e.put(gatewayAt, answered(inv, 100))
		time.Sleep(2 * time.Second)
		got := e.lines(began)
		same(t, "cancelled", got, "0s CANCEL sip:300@10.0.0.71 SIP/2.0", "500ms CANCEL sip:300@10.0.0.71 SIP/2.0", "1.5s CANCEL sip:300@10.0.0.71 SIP/2.0")
		cancel := strings.Replace(strings.Replace(inv, "INVITE sip", "CANCEL sip", 1), "1 INVITE", "1 CANCEL", 1)
		e.put(gatewayAt, answered(cancel, 200))
		e.put(gatewayAt, answered(inv, 487))
		time.Sleep(10 * time.Second)
		same(t, "done", e.lines(began), "2s ACK sip:300@10.0.0.71 SIP/2.0")
		if !slices.Equal(i.statuses, []int{100, 487}) || i.err != nil {
			t.Errorf("told %v %v", i.statuses, i.err)
		}
	})
}

// Every 2xx is told, also one that comes again: its ACK belongs to the layer above.
func TestRepeatedAnswerTold(t *testing.T) {
	ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
		var h heard
		s.Reach(netip.MustParseAddrPort(gatewayAt)).Send(toDevice(sip.INVITE), h.on)
		req := e.take()[0].text
		e.put(gatewayAt, answered(req, 200))
		e.put(gatewayAt, answered(req, 200))
		time.Sleep(time.Minute)
		if e.take() != nil || !slices.Equal(h.statuses, []int{200, 200}) || s.Usage().ClientTxs != 0 {
			t.Errorf("told %v", h.statuses)
		}
	})
}

// Timers G, H and I: a refusal is repeated until its ACK (§17.2.1).
func TestLingerRefused(t *testing.T) {
	const no = " SIP/2.0 404 Not Found"
	for _, acks := range []bool{true, false} {
		calls := 0
		ethered(t, Options{OnRequest: func(tx *ServerTx) { calls++; tx.Reply(180, "Ringing"); tx.Reply(404, "Not Found") }}, func(t *testing.T, s *Stack, e *ether) {
			began := time.Now()
			inv := asked("INVITE")
			e.put(gatewayAt, inv)
			e.put(gatewayAt, inv) // doubled on the way
			time.Sleep(2 * time.Second)
			same(t, "refused", e.lines(began), "0s SIP/2.0 180 Ringing", "0s"+no, "0s"+no, "500ms"+no, "1.5s"+no)
			if acks {
				ack := strings.NewReplacer("INVITE sip", "ACK sip", "1 INVITE", "1 ACK").Replace(inv)
				e.put(gatewayAt, ack)
				e.put(gatewayAt, ack)
				e.put(gatewayAt, inv) // late: absorbed
				if n := s.Usage().ServerTxs; n != 1 {
					t.Errorf("%d transactions in timer I", n)
				}
				time.Sleep(5 * time.Second)
				same(t, "after the ACK", e.lines(began))
			} else {
				time.Sleep(31 * time.Second)
				same(t, "without ACK", e.lines(began), "3.5s"+no, "7.5s"+no, "11.5s"+no, "15.5s"+no, "19.5s"+no, "23.5s"+no, "27.5s"+no, "31.5s"+no)
			}
			if n := s.Usage().ServerTxs; n != 0 || calls != 1 {
				t.Errorf("%d transactions left, %d calls", n, calls)
			}
		})
	}
}

// Timers J and L: what comes again is answered again, and handled once.
func TestLingerAnswered(t *testing.T) {
	calls := 0
	var tx *ServerTx
	ethered(t, Options{OnRequest: func(x *ServerTx) {
		calls++
		if tx = x; x.Method() != "INVITE" {
			x.Reply(200, "OK")
		}
	}}, func(t *testing.T, s *Stack, e *ether) {
		began := time.Now()
		r := asked("REGISTER")
		e.put(gatewayAt, r)
		time.Sleep(20 * time.Second)
		e.put(gatewayAt, r)
		same(t, "doubled", e.lines(began), "0s SIP/2.0 200 OK", "20s SIP/2.0 200 OK")
		time.Sleep(13 * time.Second)
		if n := s.Usage().ServerTxs; n != 0 || calls != 1 {
			t.Errorf("%d transactions left, %d calls", n, calls)
		}

		began = time.Now()
		inv := asked("INVITE")
		e.put(gatewayAt, inv)
		e.put(gatewayAt, inv) // before any answer: nothing to say
		same(t, "nothing said", e.lines(began))
		tx.Reply(180, "Ringing")
		e.put(gatewayAt, inv)
		same(t, "ringing again", e.lines(began), "0s SIP/2.0 180 Ringing", "0s SIP/2.0 180 Ringing")
		tx.Reply(200, "OK")
		e.put(gatewayAt, inv)
		same(t, "answered once by the transaction", e.lines(began), "0s SIP/2.0 200 OK")
		time.Sleep(33 * time.Second)
		if n := s.Usage().ServerTxs; n != 0 || calls != 2 {
			t.Errorf("%d transactions left, %d calls", n, calls)
		}
	})
}

// A CANCEL that was lost or doubled on the way does its work once.
func TestLingerCancel(t *testing.T) {
	cancelled := 0
	ethered(t, Options{OnRequest: func(tx *ServerTx) {
		tx.OnCancel(func() { cancelled++; tx.Reply(487, "Request Terminated") })
		tx.Reply(180, "Ringing")
	}}, func(t *testing.T, s *Stack, e *ether) {
		began := time.Now()
		inv := asked("INVITE")
		e.put(gatewayAt, inv)
		cancel := strings.NewReplacer("INVITE sip", "CANCEL sip", "1 INVITE", "1 CANCEL").Replace(inv)
		e.put(gatewayAt, cancel)
		e.put(gatewayAt, cancel)
		same(t, "cancelled", e.lines(began), "0s SIP/2.0 180 Ringing", "0s SIP/2.0 200 OK", "0s SIP/2.0 487 Request Terminated", "0s SIP/2.0 200 OK")
		if cancelled != 1 {
			t.Errorf("cancelled %d times", cancelled)
		}
	})
}

// Two stacks on a network that loses a third of all datagrams (but each one twice at most), doubles a third and delays some: every request is handled
// once, and its owner hears one final response.
func TestLossyNetwork(t *testing.T) {
	var mu sync.Mutex
	lost := 0
	for seed := range uint64(20) {
		handled := map[string]int{}
		server := Options{OnRequest: func(tx *ServerTx) {
			mu.Lock()
			handled[tx.Request().CallID().Value()]++
			mu.Unlock()
			if tx.Method() == "INVITE" {
				tx.Reply(100, "Trying")
				tx.Reply(486, "Busy Here")
				return
			}
			tx.Reply(200, "OK")
		}}
		ethered(t, server, func(t *testing.T, s *Stack, e *ether) {
			ethered2(t, func(c *Stack, f *ether) {
				rnd, losses := rand.New(rand.NewPCG(seed, 3)), map[string]int{}
				link := func(to *ether, from string) func(gram) {
					return func(g gram) {
						mu.Lock()
						defer mu.Unlock()
						n := rnd.IntN(3) // 0 lost, 2 doubled
						if n == 0 {
							if losses[from+g.text]++; losses[from+g.text] > 2 {
								n = 1
							} else {
								lost++
							}
						}
						for range n {
							sock, delay := to.open(), time.Duration(rnd.IntN(300))*time.Millisecond
							time.AfterFunc(delay, func() { sock.in <- gram{at: netip.MustParseAddrPort(from), text: g.text} })
						}
					}
				}
				e.to, f.to = link(f, etherBox.String()), link(e, gatewayAt)
				results := make([]heard, 30)
				ids := make([]string, len(results))
				for i := range results {
					req := toDevice([]sip.RequestMethod{sip.OPTIONS, sip.INVITE, sip.BYE}[i%3])
					ids[i] = req.CallID().Value()
					if _, err := c.Reach(etherBox).Send(req, results[i].on); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				for i := range results {
					h, finals := &results[i], 0
					for _, status := range h.statuses {
						if status >= 200 {
							finals++
						}
					}
					if h.err != nil || finals != 1 || handled[ids[i]] != 1 {
						t.Errorf("seed %d request %d: %v %v, handled %d times", seed, i, h.statuses, h.err, handled[ids[i]])
					}
				}
				if u, v := s.Usage(), c.Usage(); u.ServerTxs+v.ClientTxs != 0 {
					t.Errorf("left: %+v %+v", u, v)
				}
			})
		})
	}
	if lost < 100 {
		t.Errorf("only %d datagrams were lost", lost)
	}
}
