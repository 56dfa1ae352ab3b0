package config

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// notTOML locates the decoder's own error, and says what most likely is behind it.
func notTOML(file string, data []byte, err error) Errors {
	var decode *toml.DecodeError
	if !errors.As(err, &decode) {
		return Errors{{File: file, Problem: "is not TOML: " + err.Error()}}
	}
	line, column := decode.Position()
	problem := strings.TrimPrefix(decode.Error(), "toml: ")
	var text []byte
	if lines := bytes.Split(data, []byte("\n")); line >= 1 && line <= len(lines) {
		text = lines[line-1]
	}
	return Errors{{file, line, column, strings.Join(decode.Key(), "."), problem, advice(text, problem)}}
}

// advice is what helps against what editors, word processors and other systems put into a line.
func advice(line []byte, problem string) string {
	switch {
	case !utf8.Valid(line): // as old editors save what is not English, typographic quotes among it
		return "save the file as UTF-8 (in Notepad: Save as, Encoding), and write straight quotes"
	case bytes.ContainsAny(line, "\u201c\u201d\u201e\u2018\u2019\u00a0"):
		return `write straight quotes, "like this", and plain spaces, not those of a word processor`
	case strings.Contains(problem, "escape"):
		return `write file names with / instead of \, such as "certs/phones.pem"`
	}
	return `write key = "value" lines in [sections]`
}
