package box

import (
	"holdfast/firmware/snapshot"
	"holdfast/sip/b2bua"
)

// dialogsSection of the snapshot: what it takes to end the calls that are up, should the program be killed.
const dialogsSection = "dialogs"

// dialogs adapts the snapshot to what calls need. A dialog that cannot be kept costs no call.
type dialogs struct{ *Box }

// Keep saves a dialog.
func (d dialogs) Keep(key string, s b2bua.SavedDialog) {
	if err := d.snapshot.Put(dialogsSection, key, s); err != nil {
		d.log.Error("a dialog is not saved", "err", err)
	}
}

// Forget removes a dialog that is over.
func (d dialogs) Forget(key string) {
	if err := d.snapshot.Delete(dialogsSection, key); err != nil {
		d.log.Error("a dialog is not removed from the snapshot", "err", err)
	}
}

// endLostCalls has the calls of the program's last life hung up: on trunks at once, on phones when they are back.
func (b *Box) endLostCalls() {
	saved, unfit := snapshot.Load[b2bua.SavedDialog](b.snapshot, dialogsSection)
	if unfit > 0 {
		b.log.Warn("saved dialogs of another version are ignored", "dialogs", unfit)
	}
	list := make([]b2bua.SavedDialog, 0, len(saved))
	for key, s := range saved {
		s.Key = key
		list = append(list, s)
	}
	b.calls.Restore(list)
}
