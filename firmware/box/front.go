package box

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"holdfast/firmware/panel"
	"holdfast/hal"
)

// front runs the panel: it tells firmware/panel of buttons and of the box's state, and shows and does what it says.
type front struct {
	log     *slog.Logger
	board   hal.Board
	kind    string // gpio, sim, none
	fault   string // why it is not what the settings ask for
	restore bool   // reset is held, and the power has just come
	facts   func() panel.Facts
	act     func(panel.Action) error

	changes       chan hal.Change
	wake          chan struct{}
	light, buzzer wish

	mu   sync.Mutex
	view panel.View
}

// look is how often the state is looked at when nobody says that it has changed.
const look = time.Second

func newFront(log *slog.Logger, board hal.Board, kind, fault string) *front {
	f := &front{log: log, board: board, kind: kind, fault: fault, changes: make(chan hal.Change, 16), wake: make(chan struct{}, 1)}
	f.light.wake, f.buzzer.wake = f.news, f.news
	return f
}

// news says that the state has changed; it never waits.
func (f *front) news() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// press takes a button's change. One that comes while 16 wait is lost: nobody has that many fingers.
func (f *front) press(c hal.Change) {
	select {
	case f.changes <- c:
	default:
	}
}

// shown is what the panel shows.
func (f *front) shown() panel.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view
}

// run works until ctx ends; then the lights are dark.
func (f *front) run(ctx context.Context) error {
	var board sync.WaitGroup
	defer board.Wait()
	board.Go(func() {
		if err := f.board.Run(ctx, f.press); err != nil {
			f.log.Error("panel", "err", err)
		}
	})
	p := panel.New(time.Now(), f.restore)
	tick := time.NewTicker(look)
	defer tick.Stop()
	facts := f.facts()
	for {
		now := time.Now()
		f.obey(p, p.Tick(now))
		f.show(p.View(time.Now(), facts))
		var due <-chan time.Time
		if next := p.Next(now); !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case c := <-f.changes:
			f.obey(p, p.Change(c))
		case <-f.wake:
			facts = f.facts()
		case <-tick.C:
			facts = f.facts()
		case <-due:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *front) obey(p *panel.Panel, actions []panel.Action) {
	for _, a := range actions {
		err := f.act(a)
		p.Done(time.Now(), err == nil)
		if err != nil {
			f.log.Warn("a button's order is refused", "order", a.String(), "err", err)
		} else {
			f.log.Info("a button's order", "order", a.String())
		}
		f.news()
	}
}

// show sets what has changed.
func (f *front) show(v panel.View) {
	f.mu.Lock()
	old := f.view
	f.view = v
	f.mu.Unlock()
	for o, l := range v {
		f.board.LED(hal.Output(o)).Set(l.Pattern)
		if l != old[o] {
			f.log.Debug("panel", "output", hal.Output(o).String(), "pattern", l.Name, "says", l.Says)
		}
	}
}

// wish is an output as the notice of emergency calls sees it: the panel decides what becomes of it.
type wish struct {
	wake func()
	mu   sync.Mutex
	p    hal.Pattern
}

// Set notes what is asked for.
func (w *wish) Set(p hal.Pattern) {
	w.mu.Lock()
	same := p == w.p
	w.p = p
	w.mu.Unlock()
	if !same {
		w.wake()
	}
}

func (w *wish) now() hal.Pattern {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.p
}
