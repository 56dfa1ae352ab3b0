package cloud

import (
	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/wire"
)

// forwarded remembers where the responses of a branch go.
type forwarded struct {
	from  *wire.Conn
	strip string // the branch that the proxy added
}

// proxy sends a request to the phone that is registered for its user part. Requests inside a dialog go the same way, as
// a lab phone's contact has its user part and its connection to the zone is its only one.
func (z *Zone) proxy(from *wire.Conn, req *sip.Request) {
	user := req.Recipient.User
	branch, _ := req.Via().Params.Get("branch")
	z.mu.Lock()
	b := z.bindings[user]
	original, known := z.branches[branch]
	z.mu.Unlock()
	if b == nil {
		if req.Method != sip.ACK {
			from.Send(sip.NewResponseFromRequest(req, 480, "Temporarily Unavailable", nil))
		}
		return
	}
	out := req.Clone()
	via := b.conn.NewVia()
	if known && (req.Method == sip.CANCEL || req.Method == sip.ACK) { // hop by hop: the branch of the INVITE that went out
		via.Params.Add("branch", original.strip)
	}
	if req.Method == sip.CANCEL {
		if !known {
			from.Send(sip.NewResponseFromRequest(req, 481, "Call/Transaction Does Not Exist", nil))
			return
		}
		from.Send(sip.NewResponseFromRequest(req, 200, "OK", nil))
		out.RemoveHeader("Via")
	}
	out.PrependHeader(via)
	if h := out.MaxForwards(); h != nil {
		h.Dec()
	}
	if req.Method == sip.ACK {
		b.conn.Send(out)
		return
	}
	tx, err := b.conn.Start(out)
	if err != nil {
		from.Send(sip.NewResponseFromRequest(req, 480, "Temporarily Unavailable", nil))
		return
	}
	added, _ := via.Params.Get("branch")
	if req.Method == sip.INVITE {
		z.mu.Lock()
		z.branches[branch] = forwarded{from: from, strip: added}
		z.mu.Unlock()
	}
	z.owned.Go(func() { z.relay(from, b.conn, tx, branch) })
}

// relay passes responses back without the proxy's Via, until the final one.
func (z *Zone) relay(from, over *wire.Conn, tx *wire.Tx, branch string) {
	defer tx.End()
	for {
		select {
		case res := <-tx.Responses:
			if res.StatusCode == 100 {
				continue
			}
			if tx.Request.Method == sip.CANCEL {
				return // answered already
			}
			res.RemoveHeader("Via")
			from.Send(res)
			if !res.IsProvisional() {
				return // the branch stays known for the ACK of a failure, until its connection ends
			}
		case <-from.Done():
			return
		case <-over.Done():
			return
		}
	}
}
