package box

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

var errRestored = errors.New("the reset button was held while the power came")

// restoreLastGood is for somebody who has locked the box up, or whom an update has: the version before runs again, and who may use
// the admin page is said by the boot file. The program begins anew.
func (b *Box) restoreLastGood() error {
	accounts := filepath.Join(b.cfg.DataDir, AccountsFile)
	if err := os.Rename(accounts, accounts+".before-reset"); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.log.Error("the admin page's accounts stay", "err", err)
	}
	if k := b.updates.keeper; k != nil {
		ctx, cancel := context.WithTimeout(context.Background(), askedWithin)
		defer cancel()
		back, err := k.GiveUp(ctx)
		if err != nil {
			b.log.Error("the update on trial stays", "err", err)
		}
		if back {
			return b.updates.reboot(ctx)
		}
	}
	select {
	case b.restart <- errRestored:
	default:
	}
	return nil
}

// awaitRestart ends the program when it is to begin anew.
func (b *Box) awaitRestart(ctx context.Context) error {
	select {
	case err := <-b.restart:
		return err
	case <-ctx.Done():
		return nil
	}
}
