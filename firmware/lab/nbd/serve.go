package nbd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Numbers of the NBD protocol (doc/proto.md of the nbd project).
const (
	magicServer = 0x4e42444d41474943 // NBDMAGIC
	magicOption = 0x49484156454f5054 // IHAVEOPT
	magicReply  = 0x3e889045565a9
	magicAsk    = 0x25609513
	magicAnswer = 0x67446698

	flagFixed, flagNoZeroes = 1, 2

	optExportName, optAbort, optInfo, optGo = 1, 2, 6, 7
	repAck, repInfo, repErrUnsupported      = 1, 3, 1<<31 | 1
	infoExport                              = 0

	sendFlags = 1 | 4 | 8 // has flags, flush, FUA

	cmdRead, cmdWrite, cmdDisconnect, cmdFlush = 0, 1, 2, 3
	cmdFUA                                     = 1
	errIO, errInvalid                          = 5, 22
	most                                       = 32 << 20 // bytes of one request
)

var errGone = errors.New("nbd: the client said goodbye")

// Serve answers clients of a listener, one after the other, until the listener is closed.
func (d *Disk) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("nbd: %w", err)
		}
		d.client(c)
		c.Close()
	}
}

// client serves one connection to its end; what a client does wrong ends it.
func (d *Disk) client(c net.Conn) {
	in, out := bufio.NewReaderSize(c, 1<<16), bufio.NewWriterSize(c, 1<<16)
	if err := d.handshake(in, out); err != nil {
		return
	}
	for {
		if err := d.request(in, out); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
	}
}

func put(w io.Writer, values ...any) error {
	for _, v := range values {
		if err := binary.Write(w, binary.BigEndian, v); err != nil {
			return err
		}
	}
	return nil
}

// handshake negotiates until the client takes the (only, nameless) export.
func (d *Disk) handshake(in io.Reader, out *bufio.Writer) error {
	if err := errors.Join(put(out, uint64(magicServer), uint64(magicOption), uint16(flagFixed|flagNoZeroes)), out.Flush()); err != nil {
		return err
	}
	var flags uint32
	if err := binary.Read(in, binary.BigEndian, &flags); err != nil {
		return err
	}
	for {
		var o struct {
			Magic       uint64
			Option, Len uint32
		}
		if err := binary.Read(in, binary.BigEndian, &o); err != nil {
			return err
		}
		if o.Magic != magicOption || o.Len > 4096 {
			return errors.New("nbd: not an option")
		}
		if _, err := io.CopyN(io.Discard, in, int64(o.Len)); err != nil {
			return err
		}
		reply := func(kind uint32) error { return put(out, uint64(magicReply), o.Option, kind, uint32(0)) }
		var err error
		done := false
		switch o.Option {
		case optExportName:
			err, done = put(out, uint64(d.size), uint16(sendFlags)), true
			if flags&flagNoZeroes == 0 {
				err = errors.Join(err, put(out, [124]byte{}))
			}
		case optGo, optInfo:
			info := struct {
				Kind  uint16
				Size  uint64
				Flags uint16
			}{infoExport, uint64(d.size), sendFlags}
			err = errors.Join(put(out, uint64(magicReply), o.Option, uint32(repInfo), uint32(binary.Size(info)), info), reply(repAck))
			done = o.Option == optGo
		case optAbort:
			return errors.Join(reply(repAck), out.Flush(), errGone)
		default:
			err = reply(repErrUnsupported)
		}
		if err = errors.Join(err, out.Flush()); err != nil || done {
			return err
		}
	}
}

// request serves one request.
func (d *Disk) request(in io.Reader, out io.Writer) error {
	var q struct {
		Magic       uint32
		Flags, Kind uint16
		Cookie      uint64
		At          uint64
		Len         uint32
	}
	if err := binary.Read(in, binary.BigEndian, &q); err != nil {
		return err
	}
	if q.Magic != magicAsk || q.Len > most || q.At > 1<<62 {
		return errors.New("nbd: not a request")
	}
	answer := func(err error, data []byte) error {
		code := uint32(0)
		if errors.Is(err, errOutside) {
			code = errInvalid
		} else if err != nil {
			code = errIO
		}
		if err := put(out, uint32(magicAnswer), code, q.Cookie); err != nil || code != 0 {
			return err
		}
		_, err = out.Write(data)
		return err
	}
	switch q.Kind {
	case cmdRead:
		data := make([]byte, q.Len)
		return answer(d.read(data, int64(q.At)), data)
	case cmdWrite:
		data := make([]byte, q.Len)
		if _, err := io.ReadFull(in, data); err != nil {
			return err
		}
		err := d.write(data, int64(q.At))
		if err == nil && q.Flags&cmdFUA != 0 {
			err = d.flush()
		}
		return answer(err, nil)
	case cmdFlush:
		return answer(d.flush(), nil)
	case cmdDisconnect:
		return errGone
	}
	return answer(errOutside, nil)
}
