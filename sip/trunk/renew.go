package trunk

import (
	"time"

	"holdfast/sip/stack"
)

// Renew is Connect for whoever has got no response at all on silent, a connection to the trunk: it may be dead without a word (the SBC
// lost its power, a firewall forgot it), which the keepalive takes longer to find out than a call for help can wait. f gets the
// connection that has come in its place meanwhile, or a new one, and from then on everybody does. The silent one stays as long
// as it may still bring something. The keepalive asks sooner, too.
func (s *Set) Renew(id string, silent *stack.Conn, f func(*stack.Conn, error)) {
	t := s.find(id)
	if t == nil {
		go f(nil, ErrUnknown)
		return
	}
	if t.holds(silent) {
		t.doubt()
	}
	t.connect(silent, f)
}

// doubt has the keepalive ask soon.
func (t *trunk) doubt() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// replaced sees to a connection in whose place another has come.
func (t *trunk) replaced(old *stack.Conn) {
	if !t.set.spawn(func() { t.leave(old) }) {
		old.Close()
	}
}

// leave closes an old connection: at once when it turns out to be dead, else when nothing is under way on it any more. The
// SBC may be slow and not gone: then calls ring on it.
func (t *trunk) leave(old *stack.Conn) {
	defer old.Close()
	for t.ctx.Err() == nil {
		got := make(chan outcome, 4)
		t.ask(old, got)
		if o := t.await(got, t.set.o.Patience); !o.answered {
			old.Abort()
			return
		}
		if old.Idle() {
			return
		}
		select {
		case <-t.ctx.Done():
		case <-time.After(t.set.o.Patience):
		}
	}
}
