package site

import _ "embed"

//go:embed testdata/example.json
var exampleDocument string

// Example returns a site document to begin with: a small branch that shows nearly all that a document can say.
func Example() []byte { return []byte(exampleDocument) }
