package box

import (
	"context"
	"io"

	"holdfast/firmware/control"
)

// PageUpdater takes bundles from the admin page; nil where the box does not run from an image.
func (b *Box) PageUpdater() *PageUpdater {
	if b.updates.keeper == nil {
		return nil
	}
	return &PageUpdater{b.updates}
}

// PageUpdater is the box's software as the admin page changes it.
type PageUpdater struct{ u *updates }

// Update writes a bundle; the box restarts into it when its calls are over. force takes an older version, or the same, too.
// progress takes the bytes that were written, and what is being done.
func (p *PageUpdater) Update(ctx context.Context, bundle io.Reader, force bool, progress func(written int64, doing string)) error {
	_, err := p.u.apply(ctx, &watched{bundle, 0, progress}, control.UpdateOrder{Force: force})
	return err
}

// watched is a bundle whose reader tells how far it is: the updater reads no faster than it writes.
type watched struct {
	from     io.Reader
	n        int64
	progress func(int64, string)
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.from.Read(b)
	w.n += int64(n)
	if err == io.EOF {
		w.progress(w.n, "checking")
	} else {
		w.progress(w.n, "writing")
	}
	return n, err
}
