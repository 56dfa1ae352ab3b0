package site

import (
	"fmt"
	"strings"
)

// Error is one thing wrong, or doubtful, in a site document.
type Error struct {
	Path    string // JSON pointer (RFC 6901), such as /users/3/extension; "" is the whole document
	Line    int    // 1-based line in the document; of the nearest thing round it where the field is missing; 0: not known
	Problem string // what is wrong
	Fix     string // what would be right
}

// Error says where, what and what would be right, on one line.
func (e Error) Error() string {
	where := e.Path
	if where == "" {
		where = "document"
	}
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s; %s", where, e.Problem, e.Fix)
	}
	return fmt.Sprintf("line %d: %s: %s; %s", e.Line, where, e.Problem, e.Fix)
}

// Errors is all that Load found wrong, in the order of the lines; of a document with very many mistakes, the first
// thousand or so.
type Errors []Error

// maxErrors bounds what a document full of nonsense costs.
const maxErrors = 1000

// note appends an error within that bound.
func note(list []Error, e Error) []Error {
	if len(list) < maxErrors {
		return append(list, e)
	}
	return list
}

// Error has one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}
