package box

import (
	"path/filepath"

	"holdfast/firmware/outbox"
	"holdfast/firmware/record"
	"holdfast/sip/b2bua"
)

// buildRecords opens the durable queue and the record files on the card. A card that cannot be written stops nobody
// from calling.
func (b *Box) buildRecords() (err error) {
	if b.outbox, err = outbox.Open(filepath.Join(b.cfg.DataDir, "outbox"), outbox.Options{Log: b.log}); err != nil {
		return err
	}
	b.records, err = record.New(record.Options{Dir: b.recordsDir(), Log: b.log})
	return err
}

// callEnded turns what the call says of itself into its record.
func (b *Box) callEnded(r b2bua.Record) {
	c := record.Call{ID: r.ID, Start: r.Began, Answer: r.Answered, End: r.Ended, From: r.From, To: r.To, Dialled: r.Dialled,
		Direction: direction(r), Kind: r.Kind, Emergency: r.Emergency, Mode: b.modes.state().Mode, Status: r.Status, EndCause: r.Cause, EndedBy: r.EndedBy}
	for _, l := range r.Legs {
		s := l.Stats
		c.Legs = append(c.Legs, record.Leg{Side: l.Side, Party: l.Party, Codec: l.Codec, Suite: l.Suite, Status: l.Status,
			RxPackets: s.RxPackets, RxLost: s.RxLost, TxPackets: s.TxPackets, JitterMS: record.Milliseconds(s.RxJitter),
			RTTMS: record.Milliseconds(s.RTT), PeerLost: s.PeerLost, AuthFailed: s.AuthFailed, Replayed: s.Replayed, Unheard: l.Undecryptable})
	}
	b.records.Call(c)
	b.reports.Call(c)
	if b.page != nil {
		b.page.Ended(c)
	}
	b.heard.add(c)
}

func direction(r b2bua.Record) record.Direction {
	in := len(r.Legs) > 0 && r.Legs[0].Side == "trunk"
	out := r.Kind == "trunk" || r.Kind == "emergency"
	switch {
	case in && out:
		return record.Through
	case in:
		return record.Inbound
	case out:
		return record.Outbound
	}
	return record.Inside
}
