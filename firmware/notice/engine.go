package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"holdfast/firmware/emergency"
	"holdfast/hal"
	"holdfast/sip/site"
)

// Options of an Engine. Ringer, Messenger, Light and Buzzer may be nil.
type Options struct {
	Journal   *emergency.Journal
	Site      func() *site.Site
	Ringer    Ringer
	Messenger Messenger
	Light     hal.LED
	Buzzer    hal.LED
	Settings  Settings
	Log       *slog.Logger
}

// Engine tells people until somebody acknowledges. What it has to tell it reads from the journal, so that it goes on
// after a restart where it was.
type Engine struct {
	o Options
	m *machine // Run's own

	mu    sync.Mutex
	inbox []func() // for Run: what became of its calls and texts
	wake  chan struct{}

	calls   map[string]*running // by user; Run's own
	workers sync.WaitGroup
}

// running is a notice call.
type running struct {
	cancel context.CancelFunc
	acked  atomic.Bool // here: it hears the end of the announcement
}

// New makes an Engine; it begins with Run.
func New(o Options) (*Engine, error) {
	if o.Journal == nil || o.Site == nil {
		return nil, errors.New("notice: no journal or no site document")
	}
	if o.Ringer == nil {
		o.Ringer = nobody{}
	}
	if o.Messenger == nil {
		o.Messenger = nobody{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{o: o, m: newMachine(o.Settings), wake: make(chan struct{}, 1), calls: make(map[string]*running)}, nil
}

// Run tells until ctx ends, then ends its calls and waits for them. The light stays as it is: the next life goes on.
func (n *Engine) Run(ctx context.Context) error {
	news := n.o.Journal.Watch()
	defer n.workers.Wait()
	for {
		for _, done := range n.take() {
			done()
		}
		n.read()
		for _, a := range n.m.tick(time.Now()) {
			n.perform(ctx, a)
		}
		n.show()
		var due <-chan time.Time
		if at := n.m.next(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-news:
		case <-n.wake:
		case <-due:
		case <-ctx.Done():
			return nil
		}
	}
}

// post hands something to Run; it never waits.
func (n *Engine) post(f func()) {
	n.mu.Lock()
	n.inbox = append(n.inbox, f)
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *Engine) take() []func() {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.inbox
	n.inbox = nil
	return list
}

// read takes over from the journal what there is to tell, and what there is no more.
func (n *Engine) read() {
	now := time.Now()
	open := make(map[string]bool)
	for _, e := range n.o.Journal.Unnoticed() {
		if open[e.ID] = true; n.m.find(e.ID) == nil {
			users := n.targets()
			if len(users) == 0 {
				n.note(e.ID, emergency.Step{Kind: emergency.NoticeFailed, How: string(ring), Text: "the site document lists nobody whose phones to ring"})
			}
			n.m.raise(now, e.ID, e.Test, users)
			n.o.Log.Warn("emergency call: people are told", "call", e.ID, "display", e.Display(), "test", e.Test, "desks", len(users))
		}
		n.m.retell(now, e.ID, len(warnings(e)))
	}
	for _, t := range slices.Clone(n.m.notices) {
		if open[t.id] {
			continue
		}
		e, _ := n.o.Journal.Get(t.id)
		for _, a := range n.m.clear(t.id) {
			n.halt(a)
		}
		if e.Acknowledged != nil {
			n.o.Log.Warn("emergency call: acknowledged", "call", e.ID, "display", e.Display(), "by", e.Acknowledged.By, "how", e.Acknowledged.How)
		}
	}
}

// targets are those whose phones ring.
func (n *Engine) targets() (users []string) {
	for _, u := range n.o.Site().NotifyUsers() {
		users = append(users, u.ID)
	}
	return users
}

// but is the one of a user's phones that is told nothing: the one that called. Who is there knows, or must not be heard.
func but(e emergency.Emergency, user string) *emergency.Phone {
	if user == "" || user != e.Caller.User {
		return nil
	}
	return &e.Caller.Phone
}

func (n *Engine) show() {
	light, buzzer := n.m.alarm()
	if n.o.Light != nil {
		n.o.Light.Set(light)
	}
	if n.o.Buzzer != nil {
		n.o.Buzzer.Set(buzzer)
	}
}

func (n *Engine) perform(ctx context.Context, a action) {
	e, ok := n.o.Journal.Get(a.id)
	if !ok {
		return // it is gone, and the next read says so
	}
	switch a.verb {
	case ring:
		n.ring(ctx, e, a.user)
	case message:
		n.message(ctx, e, a.user)
	case over:
		n.note(a.id, emergency.Step{Kind: emergency.NoticeOver, Text: "a test's notice, not acknowledged"})
		n.post(func() {}) // read it
	}
}

// halt ends a notice call.
func (n *Engine) halt(a action) {
	if c := n.calls[a.user]; c != nil && !c.acked.Load() {
		c.cancel()
	}
}

// callMost bounds a notice call that is never hung up, beyond its ringing.
const callMost = 2 * time.Minute

func (n *Engine) ring(ctx context.Context, e emergency.Emergency, user string) {
	ctx, cancel := context.WithTimeout(ctx, n.m.s.RingFor+callMost)
	call := &running{cancel: cancel}
	n.calls[user] = call
	c := Call{ID: e.ID, User: user, But: but(e, user), Display: e.Display(), Number: e.Number, Test: e.Test, RingFor: n.m.s.RingFor}
	n.workers.Go(func() {
		defer cancel()
		err := n.o.Ringer.Ring(ctx, c, func(v Event) {
			switch v {
			case Ringing:
				n.once(e, emergency.Step{Kind: emergency.NoticeRung, Who: user})
			case Taken:
				n.once(e, emergency.Step{Kind: emergency.NoticeSeen, Who: user})
			case Acknowledged:
				call.acked.Store(true)
				if err := n.o.Journal.Acknowledge(e.ID, n.name(user), emergency.ByKey); err != nil && !errors.Is(err, emergency.ErrAcknowledged) {
					n.o.Log.Error("an acknowledgement", "call", e.ID, "err", err)
				}
			}
		})
		if err != nil && ctx.Err() == nil {
			n.once(e, emergency.Step{Kind: emergency.NoticeFailed, Who: user, How: string(ring), Text: err.Error()})
			n.o.Log.Debug("a notice call", "call", e.ID, "user", user, "err", err)
		}
		n.post(func() {
			delete(n.calls, user)
			n.m.rung(time.Now(), user, !errors.Is(err, ErrNobodyThere))
		})
	})
}

// name is a user's, for people.
func (n *Engine) name(user string) string {
	if u, ok := n.o.Site().UserByID(user); ok {
		return u.Name + " (" + u.Extension + ")"
	}
	return user
}

// messageMost bounds one try to send a text.
const messageMost = 35 * time.Second // a transaction over UDP takes 32 s (RFC 3261 §17.1.2.2)

func (n *Engine) message(ctx context.Context, e emergency.Emergency, user string) {
	ctx, cancel := context.WithTimeout(ctx, messageMost)
	text := Text(e, n.o.Site().Location())
	n.workers.Go(func() {
		defer cancel()
		err := n.o.Messenger.Message(ctx, user, but(e, user), text)
		switch {
		case err == nil:
			n.once(e, emergency.Step{Kind: emergency.NoticeMessage, Who: user})
		case ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded):
			n.once(e, emergency.Step{Kind: emergency.NoticeFailed, Who: user, How: string(message), Text: err.Error()})
		}
		n.post(func() { n.m.sent(time.Now(), e.ID, user, err == nil || errors.Is(err, ErrNoTexts)) })
	})
}

// once notes a step the first time only: a notice that repeats all night must not fill the record.
func (n *Engine) once(e emergency.Emergency, s emergency.Step) {
	now, _ := n.o.Journal.Get(e.ID)
	if !slices.ContainsFunc(now.Steps, func(x emergency.Step) bool { return x.Kind == s.Kind && x.Who == s.Who && x.How == s.How }) {
		n.note(e.ID, s)
	}
}

func (n *Engine) note(id string, s emergency.Step) {
	if err := n.o.Journal.Add(id, s); err != nil && !errors.Is(err, emergency.ErrUnknown) {
		n.o.Log.Error("the notice of an emergency call", "call", id, "err", err)
	}
}

// Silence stops the buzzer until the next emergency call; the notice goes on. how says who asked: the box's button.
func (n *Engine) Silence(how string) {
	for _, e := range n.o.Journal.Unnoticed() {
		n.once(e, emergency.Step{Kind: emergency.Silenced, How: how})
	}
	n.post(n.m.silence)
}

// ErrNothing says that there is nothing to acknowledge.
var ErrNothing = errors.New("no emergency call is waiting to be acknowledged")

// Acknowledge notes that a person took note of a call, or of all calls where id is "". It returns those of which they
// were the first.
func (n *Engine) Acknowledge(by, how, id string) ([]emergency.Emergency, error) {
	by = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(by, ""))), " ")
	if by == "" || len(by) > 64 {
		return nil, errors.New("say who acknowledges: a name of at most 64 bytes")
	}
	var list []emergency.Emergency
	for _, e := range n.o.Journal.Unnoticed() {
		if id == "" || e.ID == id {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil, n.nothing(id)
	}
	var first []emergency.Emergency
	var faults []error
	for _, e := range list {
		switch err := n.o.Journal.Acknowledge(e.ID, by, how); {
		case err == nil:
			first = append(first, e)
		case errors.Is(err, emergency.ErrAcknowledged): // somebody was faster, this moment
		default:
			if e, ok := n.o.Journal.Get(e.ID); ok && e.Acknowledged != nil && e.Acknowledged.By == by {
				first = append(first, e) // it counts; only a crash would lose it
			}
			faults = append(faults, err)
		}
	}
	if len(first) == 0 && len(faults) == 0 {
		return nil, n.nothing(id)
	}
	if len(faults) > 0 {
		n.o.Log.Error("an acknowledgement would not survive a crash", "err", errors.Join(faults...))
	}
	return first, nil
}

// nothing says why there is nothing to acknowledge: somebody may have done it already.
func (n *Engine) nothing(id string) error {
	all := n.o.Journal.All()
	for _, e := range slices.Backward(all) {
		if a := e.Acknowledged; a != nil && (id == "" || e.ID == id) {
			return fmt.Errorf("%w; %s was acknowledged by %s at %s", ErrNothing, e.Display(), a.By, a.At.In(n.o.Site().Location()).Format("15:04 MST"))
		}
	}
	return ErrNothing
}
