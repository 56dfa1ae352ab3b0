package box

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onHangup renews certificates and looks for a new site document at SIGHUP: what a person changed on the card takes
// effect without a restart; what a changed boot file would do is told. What does not load is refused, and the old one serves on.
func (b *Box) onHangup(ctx context.Context) (stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-ch:
				b.reloadCertificates()
				b.lookAtSettings()
				if msg, err := b.Fetch(ctx, false); err != nil {
					b.log.Error("site document", "err", err)
				} else {
					b.log.Info(msg)
				}
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		cancel()
		<-done
	}
}
