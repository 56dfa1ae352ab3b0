// Package typed takes text as people save it on their PC: settings, certificates, secrets. What editors put into a file without being
// asked is taken out, and an encoding that nothing here reads is named, with what to do. What the text means is not its job; neither are
// line ends, which each format knows in all their forms. It is pure.
package typed

import (
	"bytes"
	"errors"
)

// SaveAs is what a person does about a file in the wrong encoding.
const SaveAs = "save it as UTF-8 (in Notepad: Save as, Encoding; in PowerShell: Set-Content -Encoding ascii)"

// ErrUTF16 says that a file is one as Notepad's "Unicode" and PowerShell's redirection write it. It is not converted: what a signature, a
// key's name or a password would then be is not what the person sees elsewhere.
var ErrUTF16 = errors.New("is written in UTF-16: " + SaveAs)

// mark is the byte order mark in UTF-8. Where files were joined with copy or type it stands in the middle, too.
var mark = []byte("\xef\xbb\xbf")

// Text is data without byte order marks. The error is ErrUTF16.
func Text(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, ErrUTF16
	}
	if !bytes.Contains(data, mark) {
		return data, nil
	}
	return bytes.ReplaceAll(data, mark, nil), nil
}
