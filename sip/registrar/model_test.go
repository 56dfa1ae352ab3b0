package registrar

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// model is the registrar as one would write it without caring for speed: a list.
type model struct {
	list     []Binding
	contacts int
	total    int
}

func (m *model) register(now time.Time, q Request) error {
	next := slices.Clone(m.list)
	added := 0
	for _, c := range q.Contacts {
		seconds := c.Expires
		if seconds < 0 {
			seconds = q.Expires
		}
		if seconds < 0 || seconds > 600 {
			seconds = 600
		}
		if seconds > 0 && seconds < 60 {
			return &TooBriefError{}
		}
		for _, b := range m.list {
			if b.AOR == q.AOR && identity(b.Contact, c) && b.Expires.After(now) && b.CallID == q.CallID && b.CSeq >= q.CSeq && b.Flow != 0 && slices.Contains(next, b) {
				return ErrOutOfOrder
			}
		}
		next = slices.DeleteFunc(next, func(b Binding) bool { return b.AOR == q.AOR && identity(b.Contact, c) })
		if seconds > 0 {
			next = append(next, Binding{AOR: q.AOR, Contact: c, CallID: q.CallID, CSeq: q.CSeq, Flow: q.Flow, Source: q.Source, UserAgent: q.UserAgent,
				Registered: now, Expires: now.Add(time.Duration(seconds) * time.Second)})
			added++
		}
	}
	if added > 0 {
		for m.of(next, now, q.AOR) > m.contacts {
			stalest := -1
			for i, b := range next {
				if b.AOR == q.AOR && b.Flow == 0 && b.Expires.After(now) && (stalest < 0 || b.Registered.Before(next[stalest].Registered)) {
					stalest = i
				}
			}
			if stalest < 0 {
				return ErrTooManyContacts
			}
			next = slices.Delete(next, stalest, stalest+1)
		}
		if len(next) > m.total && len(next) > len(m.list) {
			return ErrFull
		}
	}
	m.list = next
	return nil
}

func identity(a, b Contact) bool {
	if a.Instance == "" || b.Instance == "" {
		return a.URI == b.URI
	}
	return a.Instance == b.Instance && a.RegID == b.RegID
}

func (m *model) of(list []Binding, now time.Time, aor string) (n int) {
	for _, b := range list {
		if b.AOR == aor && b.Expires.After(now) {
			n++
		}
	}
	return n
}

// TestHistories: over random histories the registrar and the model accept the same, refuse the same and hold the same, and the indexes
// agree with each other.
func TestHistories(t *testing.T) {
	refused := map[string]int{}
	for seed := range uint64(25) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		r, m := New(Options{MaxContacts: 3, MaxBindings: 8}), &model{contacts: 3, total: 8}
		now := t0
		for step := range 400 {
			// Times differ, so that "stalest" and "freshest" are never a tie.
			now = now.Add(time.Duration(1+rnd.IntN(40_000)) * time.Millisecond)
			where := fmt.Sprintf("seed %d step %d", seed, step)
			switch rnd.IntN(10) {
			case 0:
				f := Flow(1 + rnd.IntN(6))
				gone := r.FlowGone(f)
				n := 0
				for i := range m.list {
					if m.list[i].Flow == f {
						m.list[i].Flow = 0
						n++
					}
				}
				if len(gone) != n {
					t.Fatalf("%s: %d gone with flow %d, want %d", where, len(gone), f, n)
				}
			case 1:
				out := r.Expire(now)
				before := len(m.list)
				m.list = slices.DeleteFunc(m.list, func(b Binding) bool { return !b.Expires.After(now) })
				if len(out) != before-len(m.list) {
					t.Fatalf("%s: %d ran out, want %d", where, len(out), before-len(m.list))
				}
			default:
				q := random(rnd)
				_, err := r.Register(now, q)
				want := m.register(now, q)
				if (err == nil) != (want == nil) || want != nil && reflect.TypeOf(err) != reflect.TypeOf(want) || !errors.Is(err, want) && !isBrief(want) {
					t.Fatalf("%s: %+v: %v, want %v", where, q, err, want)
				}
				if err != nil {
					refused[err.Error()]++
				}
			}
			compare(t, where, now, r, m)
		}
	}
	if len(refused) != 4 {
		t.Errorf("the histories do not reach all refusals: %v", refused)
	}
}

func isBrief(err error) bool {
	var brief *TooBriefError
	return errors.As(err, &brief)
}

func random(rnd *rand.Rand) Request {
	pick := func(s string) string { return strings.Split(s, ",")[rnd.IntN(strings.Count(s, ",")+1)] }
	q := Request{AOR: pick("a,b,c,d"), CallID: pick("1,2"), CSeq: rnd.Uint32N(30), Expires: -1, Flow: Flow(1 + rnd.IntN(6)), Source: source, UserAgent: pick("x,y")}
	for range 1 + rnd.IntN(2) {
		q.Contacts = append(q.Contacts, Contact{URI: pick("u1,u2,u3,u4,u5"), Instance: pick(",,i1,i2"), RegID: rnd.IntN(3), Expires: []int{-1, 0, 30, 60, 300, 9999}[rnd.IntN(6)], Q: 0.5})
	}
	return q
}

func compare(t *testing.T, where string, now time.Time, r *Registrar, m *model) {
	t.Helper()
	flows := 0
	for f, list := range r.table.flows {
		for _, e := range list {
			if e.Flow != f {
				t.Fatalf("%s: flow index is wrong", where)
			}
			flows++
		}
	}
	for i, e := range r.table.expiry {
		if e.index != i || i > 0 && e.Expires.Before(r.table.expiry[(i-1)/2].Expires) {
			t.Fatalf("%s: expiry heap is wrong at %d", where, i)
		}
		if e.Flow != 0 {
			flows--
		}
	}
	if flows != 0 || len(r.table.expiry) != len(m.list) {
		t.Fatalf("%s: %d flows astray, %d bindings, want %d", where, flows, len(r.table.expiry), len(m.list))
	}
	for _, aor := range []string{"a", "b", "c", "d"} {
		var want []Binding
		for _, b := range m.list {
			if b.AOR == aor && b.Expires.After(now) {
				want = append(want, b)
			}
		}
		if got := r.Bindings(now, aor); !reflect.DeepEqual(got, arrange(want)) {
			t.Fatalf("%s: %s\ngot  %+v\nwant %+v", where, aor, got, want)
		}
	}
}
