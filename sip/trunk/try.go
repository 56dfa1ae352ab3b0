package trunk

import (
	"context"
	"fmt"

	"github.com/emiago/sipgo/sip"
)

// Try connects to a trunk beside the connection that is in use, as the next one will be made, asks by OPTIONS over it and hangs
// up: a certificate or an authority that was changed is proven before it is needed. nil: any answer came.
func (s *Set) Try(ctx context.Context, id string) error {
	t := s.find(id)
	if t == nil {
		return ErrUnknown
	}
	conn, err := s.o.Stack.Dial(ctx, t.cfg.Address, t.tlsConfig(), t.cfg.ID)
	if err != nil {
		return err
	}
	defer conn.Close()
	got := make(chan error, 4) // more than can come: a late one is dropped with it
	_, err = conn.Send(t.options(conn), func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			got <- err
		}
	})
	if err != nil {
		return err
	}
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer to OPTIONS: %w", ctx.Err())
	}
}
