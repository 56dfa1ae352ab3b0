package site

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("site.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("site.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func fits(t *testing.T, s *jsonschema.Schema, data []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestSchemaTakesWhatLoadTakes(t *testing.T) {
	s := compiled(t)
	if err := fits(t, s, edit(t, func(map[string]any) {})); err != nil {
		t.Errorf("the example does not fit the schema: %v", err)
	}
	filled, err := json.Marshal(example(t).Doc()) // every default written out
	if err != nil {
		t.Fatal(err)
	}
	if err := fits(t, s, filled); err != nil {
		t.Errorf("a document with its defaults does not fit: %v", err)
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for _, tt := range []struct {
		pointer string
		value   any
	}{
		{"/colour", "red"}, {"/serial", 0}, {"/version", 2}, {"/users/0/id", nil}, {"/users/0/extension", "1a"},
		{"/users/0/auth/ha1/MD5", "12"}, {"/users/0/auth/ha1/SHA-1", "12"}, {"/users/0/auth/ha1", object{}},
		{"/users/0/cloud_numbers/0", "2175551000"}, {"/users/0/no_answer_after_s", -1}, {"/devices/0/transport", "udp"},
		{"/devices/0/plain_rtp", true}, {"/trunks/0/tls_name", nil}, {"/trunks/0/address", "[::1]:5061"},
		{"/emergency/elins/0/confirmed", "yesterday"}, {"/dial_plan/country", "usa"}, {"/registration", "never"},
		{"/emergency/civic", object{}}, {"/emergency/civic", object{"country": "us", "city": "x"}}, {"/zones/0/civic", object{"room": strings.Repeat("x", 256)}},
		{"/trunks/0/location", "yes"}, {"/emergency/confirm_within_days", -1},
	} {
		data := edit(t, func(m map[string]any) { set(m, tt.pointer, tt.value) })
		if fits(t, s, data) == nil {
			t.Errorf("%s = %v fits the schema", tt.pointer, tt.value)
		}
		if _, err := Load(data); err == nil {
			t.Errorf("%s = %v loads", tt.pointer, tt.value)
		}
	}
}

// Every field of Document is in the schema, and nothing else.
func TestSchemaHasEveryField(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	defs := root["$defs"].(map[string]any)
	deref := func(node map[string]any) map[string]any {
		for {
			ref, ok := node["$ref"].(string)
			if !ok {
				return node
			}
			node = defs[ref[len("#/$defs/"):]].(map[string]any)
		}
	}
	var compare func(path string, node map[string]any, typ reflect.Type)
	compare = func(path string, node map[string]any, typ reflect.Type) {
		node = deref(node)
		switch typ.Kind() {
		case reflect.Pointer:
			compare(path, node, typ.Elem())
		case reflect.Slice:
			items, ok := node["items"].(map[string]any)
			if !ok || node["type"] != "array" {
				t.Fatalf("%s: want an array, have %v", path, node)
			}
			compare(path+"/*", items, typ.Elem())
		case reflect.Struct:
			properties, _ := node["properties"].(map[string]any)
			if node["additionalProperties"] != false {
				t.Errorf("%s: additional properties are allowed", path)
			}
			var names []string
			for i := range typ.NumField() {
				f := typ.Field(i)
				names = append(names, jsonName(f))
				property, ok := properties[jsonName(f)].(map[string]any)
				if !ok {
					t.Errorf("%s/%s is not in the schema", path, jsonName(f))
					continue
				}
				compare(path+"/"+jsonName(f), property, f.Type)
			}
			for name := range properties {
				if !slices.Contains(names, name) {
					t.Errorf("%s/%s is in the schema only", path, name)
				}
			}
		case reflect.Int, reflect.Uint64:
			if node["type"] != "integer" && node["const"] == nil {
				t.Errorf("%s: want an integer, have %v", path, node)
			}
		case reflect.String:
			if node["type"] != "string" && node["enum"] == nil {
				t.Errorf("%s: want a string, have %v", path, node)
			}
		case reflect.Bool:
			if node["type"] != "boolean" {
				t.Errorf("%s: want a boolean, have %v", path, node)
			}
		case reflect.Map:
			if node["type"] != "object" {
				t.Errorf("%s: want an object, have %v", path, node)
			}
		}
	}
	compare("", root, reflect.TypeFor[Document]())
}
