package box

import (
	"holdfast/firmware/snapshot"
	"holdfast/sip/b2bua"
)

// dialogsSection of the snapshot: what it takes to end the calls of a program that was killed.
const dialogsSection = "dialogs"

// dialogs keeps calls' dialogs in the snapshot.
type dialogs struct{ b *Box }

// Keep saves a dialog.
func (d dialogs) Keep(key string, s b2bua.SavedDialog) {
	if err := d.b.snapshot.Put(dialogsSection, key, s); err != nil {
		d.b.log.Error("a crash would leave somebody talking into dead air", "err", err)
	}
}

// Forget drops it.
func (d dialogs) Forget(key string) {
	if err := d.b.snapshot.Delete(dialogsSection, key); err != nil {
		d.b.log.Error("dialog is not forgotten", "err", err)
	}
}

// restoreDialogs hangs up the calls of the program's last life, on trunks at once, on phones when they are back. Emergency
// calls are taken up again; their IDs are returned.
func (b *Box) restoreDialogs() []string {
	saved, unfit := snapshot.Load[b2bua.SavedDialog](b.snapshot, dialogsSection)
	var list []b2bua.SavedDialog
	for _, s := range saved {
		list = append(list, s)
	}
	if len(list) > 0 || unfit > 0 {
		b.log.Warn("calls of the program's last life", "dialogs", len(list), "unfit", unfit)
	}
	resumed := b.calls.Restore(list)
	b.keepGateways(list)
	return resumed
}
