package site

import _ "embed"

//go:embed schema.json
var schema string

// Schema returns the JSON Schema (draft 2020-12) of the site document, for editors and for whoever produces documents.
// Load is stricter: it also knows what a schema cannot say.
func Schema() []byte { return []byte(schema) }
