package admin

import (
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// The OpenAPI 3.1 document is made of the table of operations and of the Go types that they take and give, so that it says
// what the handlers do.

type object = map[string]any

func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.openAPI())
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func (s *Server) openAPI() object {
	schemas := schemas{}
	problem := content("application/json", schemas.of(reflect.TypeFor[Problem]()))
	paths := object{}
	for _, o := range s.operations() {
		success := content(o.kind, object{})
		if o.raw == nil {
			success = content("application/json", schemas.of(reflect.TypeOf(o.answer)))
		} else if o.Method == http.MethodPut {
			success = content("application/json", schemas.of(reflect.TypeFor[UpdateState]()))
		}
		success["description"] = "Done"
		op := object{"summary": o.Summary, "operationId": operationID(o), "x-scope": o.scope.Names(),
			"security":  []object{{"token": o.scope.Names()}, {"session": []string{}}},
			"responses": object{"200": success, "default": with(problem, "description", "It was not done, and why")}}
		var parameters []object
		for _, m := range pathParameter.FindAllStringSubmatch(o.Path, -1) {
			parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
		}
		for _, q := range o.query {
			parameters = append(parameters, object{"name": q.name, "in": "query", "description": q.about, "schema": object{"type": q.kind}})
		}
		if parameters != nil {
			op["parameters"] = parameters
		}
		switch {
		case o.body != nil:
			op["requestBody"] = with(content("application/json", schemas.of(reflect.TypeOf(o.body))), "required", true)
		case o.Method == http.MethodPut:
			op["requestBody"] = with(content("application/octet-stream", object{}), "required", true)
		}
		at, _ := paths[o.Path].(object)
		if at == nil {
			at = object{}
			paths[o.Path] = at
		}
		at[strings.ToLower(o.Method)] = op
	}
	return object{
		"openapi": "3.1.0",
		"info": object{"title": "Holdfast box", "version": "1",
			"description": "What the admin page shows and does, for scripts. Make a token on the page Accounts, or with `holdfast admin token NAME --scopes read`. A scope that is missing answers 403."},
		"servers": []object{{"url": apiRoot}},
		"paths":   paths,
		"components": object{"schemas": schemas, "securitySchemes": object{
			"token":   object{"type": "http", "scheme": "bearer"},
			"session": object{"type": "apiKey", "in": "cookie", "name": cookieName},
		}},
	}
}

func operationID(o operation) string {
	return strings.ToLower(o.Method) + strings.NewReplacer("/", "_", "{", "", "}", "", ".", "_").Replace(o.Path)
}

func content(kind string, schema object) object {
	return object{"content": object{kind: object{"schema": schema}}}
}

func with(o object, key string, value any) object {
	out := object{key: value}
	for k, v := range o {
		out[k] = v
	}
	return out
}

// schemas are JSON Schemas of Go types by name, as encoding/json writes them.
type schemas object

func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Slice: // nil is null in JSON
		return object{"type": []string{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": []string{"object", "null"}, "additionalProperties": s.of(t.Elem())}
	}
	if t.Kind() != reflect.Struct {
		return object{} // anything
	}
	if t.Name() == "" {
		return s.record(t)
	}
	name := t.String()[strings.LastIndex(t.String(), ".")+1:]
	if pkg := t.PkgPath(); !strings.HasSuffix(pkg, "/admin") && !strings.HasSuffix(pkg, "/control") {
		name = strings.ToUpper(pkg[strings.LastIndex(pkg, "/")+1:][:1]) + pkg[strings.LastIndex(pkg, "/")+2:] + name
	}
	if _, known := s[name]; !known {
		s[name] = nil // types may name themselves
		s[name] = s.record(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// record is a struct's own schema.
func (s schemas) record(t reflect.Type) object {
	properties, required := object{}, []string{}
	s.fields(t, properties, &required)
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func (s schemas) fields(t reflect.Type, properties object, required *[]string) {
	for f := range t.Fields() {
		tag := strings.Split(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag[0] == "":
			s.fields(f.Type, properties, required)
			continue
		case tag[0] == "-" || tag[0] == "" || !f.IsExported():
			continue
		}
		properties[tag[0]] = s.of(f.Type)
		if len(tag) == 1 {
			*required = append(*required, tag[0])
		}
	}
}

// newOf is a pointer to a new value of a type.
func newOf(example any) any { return reflect.New(reflect.TypeOf(example)).Interface() }
