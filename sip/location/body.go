package location

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"
)

// Media types.
const (
	SDP     = "application/sdp"
	PIDFXML = "application/pidf+xml"
)

// Part is one part of a multipart body, unencoded or in whatever encoding its header says.
type Part struct {
	Header textproto.MIMEHeader
	Body   []byte
}

// NewPart makes a part of a media type, with a Content-ID ("" for none).
func NewPart(mediaType, contentID string, body []byte) Part {
	h := textproto.MIMEHeader{"Content-Type": {mediaType}}
	if contentID != "" {
		h["Content-Id"] = []string{"<" + contentID + ">"}
	}
	return Part{h, body}
}

// MediaType is the part's, in lower case and without parameters; one without a header is text/plain (RFC 2045 §5.2).
func (p Part) MediaType() string {
	if t := mediaType(p.Header.Get("Content-Type")); t != "" {
		return t
	}
	return "text/plain"
}

func mediaType(header string) string {
	t, _, _ := strings.Cut(header, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// ContentID is the part's, without angle brackets; "" for none.
func (p Part) ContentID() string { return strings.Trim(p.Header.Get("Content-Id"), "<> ") }

// Compose puts parts together as multipart/mixed (RFC 2046 §5.1.3) and returns its Content-Type header. The boundary is
// the caller's to choose, at random, from letters, digits and "-", at most 70; it is an error if a part contains it.
func Compose(boundary string, parts ...Part) (contentType string, body []byte, err error) {
	if boundary == "" || len(boundary) > 70 || strings.ContainsFunc(boundary, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-'
	}) {
		return "", nil, fmt.Errorf("location: boundary %q is not 1 to 70 letters, digits and dashes", boundary)
	}
	if len(parts) == 0 {
		return "", nil, errors.New("location: no parts")
	}
	var b bytes.Buffer
	for _, p := range parts {
		if bytes.Contains(p.Body, []byte(boundary)) {
			return "", nil, fmt.Errorf("location: boundary %q stands in a part", boundary)
		}
		fmt.Fprintf(&b, "--%s\r\n", boundary)
		for _, name := range slices.Sorted(maps.Keys(p.Header)) {
			for _, value := range p.Header[name] {
				if strings.ContainsAny(name+value, "\r\n\x00") || strings.Contains(value, boundary) {
					return "", nil, fmt.Errorf("location: header %q of a part cannot be written", name)
				}
				fmt.Fprintf(&b, "%s: %s\r\n", name, value)
			}
		}
		b.WriteString("\r\n")
		b.Write(p.Body)
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return "multipart/mixed;boundary=" + boundary, b.Bytes(), nil
}

// What Split takes; a phone sends two or three parts.
const (
	maxParts = 16
	maxBody  = 256 << 10
)

// ErrNoSDP says that a body is neither SDP nor a multipart that contains some.
var ErrNoSDP = errors.New("location: the body has no session description")

// Split takes a message's body apart: the session description, and what else came with it in a multipart of any kind,
// byte by byte as it came, to be passed on or left. For plain SDP there is nothing else. A multipart within the multipart
// is not looked into. A body that breaks off is taken as far as it goes, since somebody may need help; it is an error,
// for which SIP has 400 or 415, only if it is too large, has no boundary, or has no SDP (ErrNoSDP).
func Split(contentType string, body []byte) (sdp []byte, rest []Part, err error) {
	kind := mediaType(contentType)
	switch {
	case kind == SDP:
		return body, nil, nil
	case !strings.HasPrefix(kind, "multipart/"):
		return nil, nil, ErrNoSDP
	case len(body) > maxBody:
		return nil, nil, errors.New("location: the body is too large")
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, nil, errors.New("location: the multipart body has no boundary")
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	found := false
	for range maxParts {
		part, err := r.NextRawPart()
		if err != nil {
			break
		}
		data, err := io.ReadAll(part)
		if p := (Part{part.Header, data}); p.MediaType() == SDP && !found {
			sdp, found = data, true
		} else if err == nil {
			rest = append(rest, p)
		}
	}
	if !found {
		return nil, nil, ErrNoSDP
	}
	return sdp, rest, nil
}
