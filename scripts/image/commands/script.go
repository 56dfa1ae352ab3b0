package main

import (
	"fmt"
	"strings"
)

// script reads a shell script as far as it takes to see which commands it runs. It knows what the image's scripts are written in: lists, pipes,
// if, while, until, for, case, functions, quotes, $(…), ${…}, redirections. A here-document or a backquote is an error: nobody would see what is
// in it.
type script struct {
	text      string
	at        int
	commands  []string
	functions map[string]bool
}

// parse returns the names of commands in the order of their first use, without those that the script defines itself, and without those that are
// only known when it runs.
func parse(text string) (names []string, err error) {
	s := &script{text: text, functions: make(map[string]bool)}
	if err := s.list(""); err != nil {
		return nil, fmt.Errorf("line %d: %w", 1+strings.Count(text[:min(s.at, len(text))], "\n"), err)
	}
	seen := make(map[string]bool)
	for _, c := range s.commands {
		if !s.functions[c] && !seen[c] && !strings.Contains(c, "$") {
			seen[c] = true
			names = append(names, c)
		}
	}
	return names, nil
}

// keywords after which another command comes.
const keywords = " if then elif else while until do { ! "

// list reads commands up to the closing text, which belongs to it.
func (s *script) list(closing string) error {
	first := true // a command's name comes next
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch c := rest[0]; {
		case closing != "" && strings.HasPrefix(rest, closing):
			s.at += len(closing)
			return nil
		case strings.HasPrefix(rest, "\\\n"):
			s.at += 2
		case c == ' ' || c == '\t':
			s.at++
		case c == '#':
			s.skipLine()
		case strings.HasPrefix(rest, "<<"):
			return fmt.Errorf("a here-document is not understood")
		case c == '>' || c == '<':
			s.at += len(rest) - len(strings.TrimLeft(rest, "<>&|"))
			s.blanks()
			if _, err := s.word(); err != nil {
				return err
			}
		case strings.ContainsRune("\n;&|(", rune(c)):
			first = true
			s.at++
			if c == '(' {
				if err := s.list(")"); err != nil {
					return err
				}
			}
		case c == ')' || c == '`':
			return fmt.Errorf("%q is not understood here", c)
		default:
			var err error
			if first, err = s.command(first); err != nil {
				return err
			}
		}
	}
	if closing != "" {
		return fmt.Errorf("there is no %q at the end", closing)
	}
	return nil
}

// command reads one word, and what belongs to it; it reports whether a command's name comes next.
func (s *script) command(first bool) (bool, error) {
	w, err := s.word()
	if err != nil || !first {
		return false, err
	}
	name, _, assigned := strings.Cut(w, "=")
	switch {
	case strings.HasPrefix(s.text[s.at:], "()"):
		s.functions[w] = true
		s.at += 2
		return true, nil
	case strings.Contains(keywords, " "+w+" "), assigned && isName(name), strings.Trim(w, "0123456789") == "" && strings.HasPrefix(s.text[s.at:], ">"):
		return true, nil
	case w == "case":
		return true, s.choices()
	case w == "for": // its words are none
		for s.at < len(s.text) && s.text[s.at] != ';' && s.text[s.at] != '\n' {
			s.blanks()
			if _, err := s.word(); err != nil {
				return false, err
			}
		}
		return true, nil
	case w == "exec" || w == "command":
		s.blanks()
		return true, nil
	case w != "fi" && w != "done" && w != "esac" && w != "}":
		s.commands = append(s.commands, w)
	}
	return false, nil
}

// choices reads case WORD in PATTERN) LIST ;; … esac.
func (s *script) choices() error {
	s.blanks()
	if _, err := s.word(); err != nil {
		return err
	}
	for {
		for s.at < len(s.text) && strings.ContainsRune(" \t\n;", rune(s.text[s.at])) {
			s.at++
		}
		rest := s.text[s.at:]
		switch {
		case len(rest) > 2 && strings.HasPrefix(rest, "in") && strings.ContainsAny(rest[2:3], " \n\t"):
			s.at += 2
			continue
		case strings.HasPrefix(rest, "esac"):
			s.at += 4
			return nil
		}
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return fmt.Errorf("case without esac")
		}
		s.at += end + 1
		// The last list may end without ;; before esac.
		stop := strings.Index(s.text[s.at:], ";;")
		if last := strings.Index(s.text[s.at:], "esac"); stop < 0 || last >= 0 && last < stop {
			return fmt.Errorf("every list of a case ends with ;; here")
		}
		if err := s.list(";;"); err != nil {
			return err
		}
	}
}

// word reads to its end. Quotes are taken off; what is computed stands in it as $.
func (s *script) word() (string, error) {
	var w strings.Builder
	for s.at < len(s.text) && !strings.ContainsRune(" \t\n;&|<>()", rune(s.text[s.at])) {
		switch c := s.text[s.at]; c {
		case '\'':
			end := strings.IndexByte(s.text[s.at+1:], '\'')
			if end < 0 {
				return "", fmt.Errorf("a quote does not end")
			}
			w.WriteString(s.text[s.at+1 : s.at+1+end])
			s.at += end + 2
		case '"':
			if err := s.quoted(&w); err != nil {
				return "", err
			}
		default:
			if err := s.char(&w); err != nil {
				return "", err
			}
		}
	}
	return w.String(), nil
}

func (s *script) quoted(w *strings.Builder) error {
	for s.at++; s.at < len(s.text); {
		if s.text[s.at] == '"' {
			s.at++
			return nil
		}
		if err := s.char(w); err != nil {
			return err
		}
	}
	return fmt.Errorf("a quote does not end")
}

// char reads a character, an escaped one, or what is computed.
func (s *script) char(w *strings.Builder) error {
	rest := s.text[s.at:]
	switch {
	case rest[0] == '`':
		return fmt.Errorf("a backquote is not understood; write $(…)")
	case rest[0] == '\\' && len(rest) > 1:
		w.WriteByte(rest[1])
		s.at += 2
	case strings.HasPrefix(rest, "$(("):
		end := strings.Index(rest, "))")
		if end < 0 {
			return fmt.Errorf("$(( does not end")
		}
		w.WriteByte('$')
		s.at += end + 2
	case strings.HasPrefix(rest, "$("):
		w.WriteByte('$')
		s.at += 2
		return s.list(")")
	case strings.HasPrefix(rest, "${"):
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return fmt.Errorf("${ does not end")
		}
		w.WriteByte('$')
		s.at += end + 1
	default:
		w.WriteByte(rest[0])
		s.at++
	}
	return nil
}

func (s *script) blanks() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t') {
		s.at++
	}
}

func (s *script) skipLine() {
	for s.at < len(s.text) && s.text[s.at] != '\n' {
		s.at++
	}
}

// isName reports whether a shell variable may be called so.
func isName(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
