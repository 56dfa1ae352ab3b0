package box_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "holdfast/"

// fence says who may import a library directly. Names are folders of the module; "x/..." is x and all below it.
type fence struct {
	library string   // an import path, or all below one with "/..."
	allowed []string // by whom
	why     string
}

var fences = []fence{
	{"github.com/emiago/sipgo/sip", []string{"sip/stack", "sip/b2bua", "sip/trunk", "sip/registrar", "sip/access", "firmware/lab/..."},
		"SIP messages are the vocabulary of those who speak SIP, and of nobody else"},
	{"github.com/emiago/sipgo/...", []string{"sip/stack", "firmware/lab/..."}, "the library's own user agent stays behind the stack"},
	{"github.com/pion/...", []string{"media/...", "firmware/lab/..."}, "RTP belongs to media"},
	{"periph.io/...", []string{"hal/gpio"}, "pins belong to one driver"},
	{"github.com/vishvananda/netlink/...", []string{"firmware/netcfg"}, "addresses are set in one place"},
	{"github.com/hraban/opus", []string{"media/prompt/encode"}, "cgo stays out of the box"},
	{module + "firmware/box", []string{"firmware/cmd/holdfast"}, "the composition root is nobody's library"},
	{module + "firmware/lab/...", []string{"firmware/lab/...", "firmware/cmd/holdfast-lab"}, "the lab is not part of the product"},
	{module + "firmware/cmd/...", nil, "commands are no libraries"},
}

// layer says what must not be reached from where, not even through others.
type layer struct{ from, to, why string }

var layers = []layer{
	{"sip/...", "firmware/...", "signalling does not know the box"},
	{"media/...", "firmware/...", "media does not know the box"},
	{"hal/...", "firmware/...", "the board does not know the box"},
	{"media/...", "sip/...", "b2bua declares the Media that it needs; box adapts"},
	{"sip/...", "media/...", "b2bua declares the Media that it needs; box adapts"},
	{"firmware/lab/...", "sip/stack", "the lab would only confirm ourselves"},
	{"firmware/lab/...", "sip/b2bua", "the lab would only confirm ourselves"},
	{"firmware/lab/...", "media/srtp", "the lab would only confirm ourselves"},
	{"firmware/lab/...", "media/relay", "the lab would only confirm ourselves"},
	{"firmware/cmd/holdfast", "firmware/lab/...", "the lab is not part of the product"},
	{"firmware/cmd/holdfast", "media/prompt/encode", "the box is built without cgo"},
	{"firmware/cmd/holdfast", "github.com/pion/srtp/...", "the oracle of our tests must not protect calls"},
}

// leaves are pure: no I/O, no goroutine, no logger, no clock. Those that do not exist yet are named already.
var leaves = []string{"sip/sdp", "sip/number", "sip/route", "sip/elin", "sip/digest", "sip/site",
	"firmware/mode", "firmware/admin/quality", "firmware/config", "firmware/panel", "firmware/ports", "firmware/typed", "media/srtp", "media/srtp/keystream", "media/rtp"}

// impure are the packages that a leaf has no use for. net/netip and net/url only compute; x/sys/cpu only tells what the processor can.
var impure = []string{"net", "net/http/...", "net/rpc/...", "net/smtp", "net/textproto", "os/...", "io/ioutil", "syscall",
	"log", "context", "crypto/tls", "crypto/rand", "math/rand/...", "database/...", "golang.org/x/sys/unix"}

// badNames say nothing about what is in a package.
var badNames = []string{"util", "utils", "common", "types", "models", "helpers"}

// goPackage is what `go list` says of one, and what its source says.
type goPackage struct {
	ImportPath string
	Name       string
	Dir        string
	Imports    []string
	Deps       []string
	GoFiles    []string
	CgoFiles   []string
	Error      *struct{ Err string }

	syntax []*ast.File
}

// folder is the package's place in the module; "" for others.
func (p *goPackage) folder() string {
	if rest, ok := strings.CutPrefix(p.ImportPath, module); ok {
		return rest
	}
	return ""
}

// within says whether path is what pattern names.
func within(path, pattern string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}

func anyWithin(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return within(path, pattern) })
}

// violations checks all packages of the module.
func violations(packages []*goPackage) (found []string) {
	for _, p := range packages {
		folder := p.folder()
		report := func(format string, args ...any) {
			found = append(found, folder+": "+fmt.Sprintf(format, args...))
		}
		for _, imported := range p.Imports {
			// The first fence that names a library is its own; a wider one after it is for the rest.
			for _, f := range fences {
				if within(imported, f.library) {
					if !anyWithin(folder, f.allowed) {
						report("imports %s: %s", imported, f.why)
					}
					break
				}
			}
		}
		for _, l := range layers {
			if !within(folder, l.from) {
				continue
			}
			for _, dep := range p.Deps {
				if within(strings.TrimPrefix(dep, module), l.to) {
					report("reaches %s: %s", dep, l.why)
				}
			}
		}
		if slices.Contains(badNames, p.Name) || slices.Contains(badNames, path.Base(folder)) {
			report("is called %s, which says nothing", p.Name)
		}
		if len(p.CgoFiles) > 0 && folder != "media/prompt/encode" {
			report("uses cgo")
		}
		if slices.Contains(leaves, folder) {
			for _, imported := range p.Imports {
				if anyWithin(imported, impure) {
					report("is a pure leaf and imports %s", imported)
				}
			}
		}
		for _, f := range p.syntax {
			for _, problem := range readSource(f, slices.Contains(leaves, folder), within(folder, "sip/stack") || within(folder, "firmware/lab/...")) {
				report("%s", problem)
			}
		}
	}
	return found
}

// clock are the parts of package time that read the clock or wait.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// engine are the parts of sipgo's message package that move messages instead of being them.
var engine = []string{"Transport", "Transaction", "Parser", "ParseMessage", "ServerTx", "ClientTx", "Connection"}

// readSource finds in one file what imports alone do not show.
func readSource(f *ast.File, leaf, stack bool) (found []string) {
	names := map[string]string{} // local name of an import → its path
	for _, i := range f.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(imported)
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = imported
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			found = append(found, "has func init()")
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if leaf {
				found = append(found, "is a pure leaf and starts a goroutine")
			}
		case *ast.SelectorExpr:
			of, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := n.Sel.Name
			switch names[of.Name] {
			case "time":
				if leaf && slices.Contains(clock, name) {
					found = append(found, "is a pure leaf and calls time."+name)
				}
			case "log/slog":
				// Hiding a key from logs is a leaf's business; logging is not.
				if leaf && !strings.HasSuffix(name, "Value") && name != "LogValuer" {
					found = append(found, "is a pure leaf and uses slog."+name)
				}
			case "github.com/emiago/sipgo/sip":
				if !stack && slices.ContainsFunc(engine, func(e string) bool { return strings.HasPrefix(strings.TrimPrefix(name, "New"), e) }) {
					found = append(found, "uses sipgo's "+name+", which stays behind the stack")
				}
			}
		}
		return true
	})
	return found
}

// TestDependencies keeps the design's arrows over the whole module, tests left out.
func TestDependencies(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the go command")
	}
	list := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Dir,Imports,Deps,GoFiles,CgoFiles,Error", "./...")
	list.Dir = filepath.Join("..", "..")
	var complaint bytes.Buffer
	list.Stderr = &complaint
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.Bytes())
	}
	var packages []*goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(goPackage)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Error != nil {
			t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			p.syntax = append(p.syntax, f)
		}
		packages = append(packages, p)
	}
	// So many that a wrong folder or pattern cannot pass for a clean house.
	for _, must := range []string{"sip/stack", "media/relay", "firmware/config", "firmware/cmd/holdfast"} {
		if !slices.ContainsFunc(packages, func(p *goPackage) bool { return p.folder() == must && len(p.syntax) > 0 }) {
			t.Errorf("%s was not looked at", must)
		}
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
}

// TestDependencyRulesBite: each rule finds what it is there for.
func TestDependencyRulesBite(t *testing.T) {
	for name, c := range map[string]struct {
		folder  string
		imports string
		deps    string
		source  string
		want    string // "" when it is allowed
	}{
		"message outside SIP":       {folder: "firmware/admin", imports: "github.com/emiago/sipgo/sip", want: "vocabulary"},
		"message in trunk":          {folder: "sip/trunk", imports: "github.com/emiago/sipgo/sip"},
		"user agent in b2bua":       {folder: "sip/b2bua", imports: "github.com/emiago/sipgo", want: "behind the stack"},
		"user agent in the lab":     {folder: "firmware/lab/phone", imports: "github.com/emiago/sipgo"},
		"pion in sip":               {folder: "sip/sdp", imports: "github.com/pion/rtp", want: "RTP belongs to media"},
		"pion in media":             {folder: "media/rtp", imports: "github.com/pion/rtp"},
		"periph in box":             {folder: "firmware/box", imports: "periph.io/x/host/v3", want: "one driver"},
		"netlink in admin":          {folder: "firmware/admin", imports: "github.com/vishvananda/netlink", want: "one place"},
		"opus in relay":             {folder: "media/relay", imports: "github.com/hraban/opus", want: "cgo"},
		"box as a library":          {folder: "firmware/admin", imports: "holdfast/firmware/box", want: "composition root"},
		"lab in the product":        {folder: "firmware/admin", imports: "holdfast/firmware/lab/ca", want: "not part of the product"},
		"sip reaches firmware":      {folder: "sip/route", deps: "holdfast/firmware/mode", want: "does not know the box"},
		"media reaches sip":         {folder: "media/relay", deps: "holdfast/sip/sdp", want: "box adapts"},
		"sip reaches media":         {folder: "sip/b2bua", deps: "holdfast/media/rtp", want: "box adapts"},
		"hal reaches firmware":      {folder: "hal/sim", deps: "holdfast/firmware/panel", want: "does not know the box"},
		"lab reaches our SRTP":      {folder: "firmware/lab/voice", deps: "holdfast/media/srtp", want: "confirm ourselves"},
		"the oracle in the product": {folder: "firmware/cmd/holdfast", deps: "github.com/pion/srtp/v2", want: "oracle"},
		"util":                      {folder: "firmware/util", want: "says nothing"},
		"leaf with files":           {folder: "firmware/mode", imports: "os", want: "imports os"},
		"leaf with sockets":         {folder: "sip/sdp", imports: "net", want: "imports net"},
		"leaf with addresses":       {folder: "sip/sdp", imports: "net/netip"},
		"leaf with a goroutine":     {folder: "sip/number", source: `func f() { go f() }`, want: "goroutine"},
		"leaf with a clock":         {folder: "firmware/mode", source: `import "time"; func f() { time.Now() }`, want: "time.Now"},
		"leaf with a hidden clock":  {folder: "firmware/mode", source: `import other "time"; var now = other.Now`, want: "time.Now"},
		"leaf with times":           {folder: "firmware/mode", source: `import "time"; const d = time.Second`},
		"leaf with a logger":        {folder: "sip/digest", source: `import "log/slog"; var l *slog.Logger`, want: "slog.Logger"},
		"leaf that hides a key":     {folder: "sip/sdp", source: `import "log/slog"; func f() slog.Value { return slog.StringValue("") }`},
		"a clock elsewhere":         {folder: "firmware/cloud", source: `import "time"; func f() { time.Now(); go f() }`},
		"init":                      {folder: "firmware/cloud", source: `func init() {}`, want: "func init()"},
		"a method called init":      {folder: "firmware/cloud", source: `type t int; func (t) init() {}`},
		"transactions in b2bua":     {folder: "sip/b2bua", imports: "github.com/emiago/sipgo/sip", source: `import "github.com/emiago/sipgo/sip"; var x sip.ServerTx`, want: "ServerTx"},
		"transport in trunk":        {folder: "sip/trunk", imports: "github.com/emiago/sipgo/sip", source: `import "github.com/emiago/sipgo/sip"; var x = sip.NewTransportLayer`, want: "NewTransportLayer"},
		"requests in trunk":         {folder: "sip/trunk", imports: "github.com/emiago/sipgo/sip", source: `import "github.com/emiago/sipgo/sip"; var x = sip.NewRequest`},
	} {
		p := &goPackage{ImportPath: module + c.folder, Name: path.Base(c.folder), Imports: strings.Fields(c.imports), Deps: strings.Fields(c.deps)}
		if c.source != "" {
			f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+c.source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			p.syntax = []*ast.File{f}
		}
		found := violations([]*goPackage{p})
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %v", name, found)
		case c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)):
			t.Errorf("%s: %v, want one with %q", name, found, c.want)
		}
	}
}
