package box

import (
	"context"
	"log/slog"

	"holdfast/firmware/mode"
	"holdfast/sip/b2bua"
)

type records struct{ log *slog.Logger }

func openRecords(dir string, log *slog.Logger) (*records, error) { return &records{log}, nil }
func (r *records) close() error                                  { return nil }
func (r *records) run(ctx context.Context) error                 { <-ctx.Done(); return nil }
func (r *records) modeChanged(t mode.Transition)                 {}
func (b *Box) callEnded(r b2bua.Record)                          {}
