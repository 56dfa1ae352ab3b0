package phone

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/wire"
)

// session is a registration on one connection.
type session struct {
	p       *Phone
	server  Server
	conn    *wire.Conn
	callID  string
	cseq    uint32
	granted time.Duration
}

// connect opens a connection to a server.
func (p *Phone) connect(ctx context.Context, server Server) (*session, error) {
	ctx, done := context.WithTimeout(ctx, p.cfg.Timeout)
	defer done()
	cfg := p.tls.Clone()
	cfg.ServerName = server.TLSName
	conn, err := wire.Dial(ctx, p.cfg.Local, server.Addr, cfg, p.Agent.Handle, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server.Name, err)
	}
	p.owned.Go(func() { conn.Run() })
	return &session{p: p, server: server, conn: conn, callID: rand.Text()}, nil
}

// join connects to a server and registers. A server that does not take the phone is left at once.
func (p *Phone) join(ctx context.Context, server Server) (*session, error) {
	s, err := p.connect(ctx, server)
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithTimeout(ctx, p.cfg.Timeout)
	defer done()
	status, err := s.register(ctx, p.cfg.Expires)
	if err == nil && status != 200 {
		err = fmt.Errorf("REGISTER answered %d", status)
	}
	if err != nil {
		s.conn.Close()
		return nil, fmt.Errorf("%s: %w", server.Name, err)
	}
	return s, nil
}

// refreshAfter is half of what the server granted.
func (s *session) refreshAfter() time.Duration { return max(s.granted/2, 200*time.Millisecond) }

// register sends one REGISTER, with Digest when asked for, and returns the final status (RFC 3261 §10.2, RFC 5626 §4.2).
func (s *session) register(ctx context.Context, expires time.Duration) (int, error) {
	domain := s.p.cfg.UA.Domain
	req := sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", Host: domain})
	aor := sip.Uri{Scheme: "sip", User: s.p.cfg.UA.User, Host: domain}
	from := &sip.FromHeader{Address: aor, Params: sip.NewParams()}
	from.Params.Add("tag", sip.GenerateTagN(10))
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: aor, Params: sip.NewParams()})
	id, hops := sip.CallIDHeader(s.callID), sip.MaxForwardsHeader(70)
	req.AppendHeader(&id)
	s.cseq++
	req.AppendHeader(&sip.CSeqHeader{SeqNo: s.cseq, MethodName: sip.REGISTER})
	req.AppendHeader(&hops)
	contact := &sip.ContactHeader{Params: sip.NewParams(), Address: sip.Uri{Scheme: "sip", User: aor.User,
		Host: s.conn.Local().Addr().String(), Port: int(s.conn.Local().Port()), UriParams: sip.NewParams()}}
	contact.Address.UriParams.Add("transport", "tls")
	seconds := strconv.Itoa(int(expires / time.Second))
	contact.Params.Add("+sip.instance", `"<`+s.p.cfg.Instance+`>"`)
	contact.Params.Add("reg-id", "1")
	contact.Params.Add("expires", seconds)
	req.AppendHeader(contact)
	req.AppendHeader(sip.NewHeader("Expires", seconds))
	req.AppendHeader(sip.NewHeader("Supported", "path, outbound"))
	req.AppendHeader(sip.NewHeader("User-Agent", s.p.cfg.UA.UserAgent))
	req.SetBody(nil)
	res, err := s.p.Agent.Do(ctx, s.conn, req)
	if res == nil {
		return 0, err
	}
	if err != nil {
		return res.StatusCode, err
	}
	s.cseq = max(s.cseq, res.CSeq().SeqNo)
	if res.StatusCode == 200 {
		s.granted = grantedOf(res, s.conn, expires)
	}
	return res.StatusCode, nil
}

// refresh registers again on the same connection. A server that grants nothing tells the phone to go, as a refusal does.
func (s *session) refresh(ctx context.Context) (int, error) {
	ctx, done := context.WithTimeout(ctx, s.p.cfg.Timeout)
	defer done()
	status, err := s.register(ctx, s.p.cfg.Expires)
	if err == nil && status == 200 && s.granted == 0 {
		return 0, nil
	}
	return status, err
}

// grantedOf finds this connection's own contact among those returned.
func grantedOf(res *sip.Response, conn *wire.Conn, asked time.Duration) time.Duration {
	if asked == 0 {
		return 0
	}
	for _, h := range res.GetHeaders("Contact") {
		c, ok := h.(*sip.ContactHeader)
		if !ok || c.Address.Host != conn.Local().Addr().String() || c.Address.Port != int(conn.Local().Port()) {
			continue
		}
		if v, ok := c.Params.Get("expires"); ok {
			if n, err := strconv.Atoi(v); err == nil {
				return time.Duration(n) * time.Second
			}
		}
		return asked
	}
	return 0
}

// options probes the server; any answer but 408 and 503 means that it lives.
func (s *session) options(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, s.p.cfg.Timeout)
	defer done()
	domain := s.p.cfg.UA.Domain
	req := sip.NewRequest(sip.OPTIONS, sip.Uri{Scheme: "sip", Host: domain})
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: s.p.cfg.UA.User, Host: domain}, Params: sip.NewParams()}
	from.Params.Add("tag", sip.GenerateTagN(10))
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", Host: domain}, Params: sip.NewParams()})
	id, hops := sip.CallIDHeader(rand.Text()), sip.MaxForwardsHeader(70)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.OPTIONS})
	req.AppendHeader(&hops)
	req.SetBody(nil)
	res, err := s.conn.Do(ctx, req)
	if err != nil {
		return err
	}
	if res.StatusCode == 408 || res.StatusCode == 503 {
		return fmt.Errorf("%w: OPTIONS answered %d", errTold, res.StatusCode)
	}
	return nil
}

// Try registers once with the first server of the list, unregisters when it was taken, and returns the final status.
// It is for a phone that does not Run.
func (p *Phone) Try(ctx context.Context) (int, error) {
	s, err := p.connect(ctx, p.cfg.Servers[0])
	if err != nil {
		return 0, err
	}
	defer p.owned.Wait()
	defer s.conn.Close()
	ctx, done := context.WithTimeout(ctx, p.cfg.Timeout)
	defer done()
	status, err := s.register(ctx, p.cfg.Expires)
	if err == nil && status == 200 {
		_, err = s.register(ctx, 0)
	}
	return status, err
}
