package netcfg

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// apply makes the steps. When one fails, those after it on the same port are left for the next time.
func (m *Manager) apply(ctx context.Context, have Have, steps []Step) {
	failed := make(map[int]bool)
	for _, s := range steps {
		if ctx.Err() != nil || s.Port >= 0 && failed[s.Port] {
			continue
		}
		err := m.do(ctx, have, s)
		switch {
		case err == nil:
			m.o.Log.Info("network: " + s.String())
			continue
		case errors.Is(err, ErrNoCarrier), errors.Is(err, errLater), errors.As(err, new(Conflict)):
		default:
			m.fault("%s: %v", s, err)
			m.o.Log.Error("network: "+s.String(), "err", err)
		}
		failed[s.Port] = true
	}
}

// errLater means that it was tried a moment ago.
var errLater = errors.New("not yet")

func (m *Manager) do(ctx context.Context, have Have, s Step) error {
	if s.Kind != AddAddress || !s.Claim {
		return m.kernel.apply(s)
	}
	a, now := s.Address.Addr(), time.Now()
	if l, ok := have.link(s.Link); ok && !l.Carrier {
		return ErrNoCarrier
	}
	if now.Sub(m.tried[a]) < m.o.Tick/2 {
		return errLater
	}
	if fallbackNetwork.Contains(a) && m.fallbacks >= mostFallbacks && now.Sub(m.movedOn) < fallbackEvery {
		return errLater
	}
	err := claim(ctx, s.Link, a)
	var taken Conflict
	if errors.As(err, &taken) {
		m.tried[a] = time.Now()
		if fallbackNetwork.Contains(a) {
			m.moveOn(time.Now())
		}
		m.contested(a, taken.MAC.String(), true, time.Now())
	}
	if err != nil {
		return err
	}
	delete(m.conflicts, a)
	if err := m.kernel.apply(s); err != nil {
		return err
	}
	m.announce(ctx, s.Link, a)
	return nil
}

// announce tells the wire twice.
func (m *Manager) announce(ctx context.Context, link string, a netip.Addr) {
	m.all.Go(func() {
		for n := range 2 {
			if n > 0 && !pause(ctx, announceAgain) {
				return
			}
			if err := announce(link, a); err != nil {
				m.o.Log.Warn("network: announcement", "address", a.String(), "err", err)
			}
		}
	})
}
