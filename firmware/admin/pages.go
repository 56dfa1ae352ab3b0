package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"holdfast/firmware/admin/account"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// page is one address that people look at. Its parts are templates of their own that are sent anew when they change; each
// stands in an element with the part's name in data-part.
type page struct {
	name, path, title, icon string
	nav                     string // in the navigation under this name; "" for none
	scope                   account.Scope
	parts                   []string
}

// allPages in the order of the navigation. The part "top" is on every page.
var allPages = []page{
	{"overview", "/{$}", "Overview", "home", "Overview", account.Read, []string{"hero", "panel", "timeline", "cloud", "talk"}},
	{"phones", "/phones", "Phones", "phone", "Phones", account.Read, []string{"phones-summary", "phones-missing"}},
	{"calls", "/calls", "Calls", "call", "Calls", account.Read, []string{"calls-running", "calls-recent"}},
	{"call", "/calls/{id}", "Call", "", "", account.Read, []string{"call-head", "call-quality"}},
	{"emergency", "/emergency", "Emergency calls", "emergency", "Emergency", account.Read, []string{"emergency-open", "emergency-pins", "emergency-log"}},
	{"drill", "/drill", "Drill", "drill", "Drill", account.Read, []string{"drill-state"}},
	{"reports", "/reports", "Reports", "report", "Reports", account.Read, []string{"reports-list"}},
	{"site", "/site", "Site document", "site", "Site", account.Read, []string{"site-document"}},
	{"box", "/box", "Box", "box", "Box", account.Read, []string{"box-facts", "box-certificates", "box-doctor", "box-update"}},
	{"log", "/log", "Log", "log", "Log", account.Trace, []string{"log-lines"}},
	{"accounts", "/accounts", "Accounts", "people", "Accounts", account.Accounts, []string{"accounts-people", "accounts-tokens"}},
	{"person", "/accounts/{id}", "Account", "", "", account.Accounts, []string{"person-facts"}},
	{"account", "/account", "Your account", "", "", account.None, nil},
}

// Href is where the page is.
func (p page) Href() string {
	if p.path == "/{$}" {
		return "/"
	}
	return p.path
}

// The fields that templates read.
func (p page) Name() string  { return p.name }
func (p page) Title() string { return p.title }
func (p page) Nav() string   { return p.nav }
func (p page) Icon() string  { return p.icon }

func pageNamed(name string) (page, bool) {
	for _, p := range allPages {
		if p.name == name {
			return p, true
		}
	}
	return page{}, false
}

// pages are the templates and the files that they load.
type pages struct {
	templates *template.Template
	assets    map[string]asset // by name
	stamp     string           // in the assets' address: it changes with any of them
}

type asset struct {
	kind string
	data []byte
}

func newPages() (*pages, error) {
	p := &pages{assets: make(map[string]asset)}
	sum := sha256.New()
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data)
		kind := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) { // the machine's own table may say otherwise
		case ".js":
			kind = "text/javascript; charset=utf-8"
		case ".svg":
			kind = "image/svg+xml"
		}
		p.assets[path.Base(name)] = asset{kind, data}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("admin page: %w", err)
	}
	p.stamp = hex.EncodeToString(sum.Sum(nil))[:16]
	p.templates, err = template.New("").Funcs(template.FuncMap{
		"sign": sign, "icon": icon, "spark": spark, "plot": plot, "pattern": patternText, "asset": func(name string) string { return "/assets/" + p.stamp + "/" + name },
		"rtt": rtt, "percent": func(f float64) string { return fmt.Sprintf("%.1f %%", 100*f) }, "one": func(f float64) string { return fmt.Sprintf("%.1f", f) },
		"word": wordOf, "wordsOf": wordsOf, "lower": strings.ToLower, "size": size, "sentence": sentence,
	}).ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("admin page: %w", err)
	}
	return p, nil
}

// render makes text of a template.
func (p *pages) render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("page %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// write renders a whole page, or an error before anything is sent.
func (p *pages) write(w http.ResponseWriter, status int, name string, data any) error {
	text, err := p.render(name, data)
	if err != nil {
		http.Error(w, "this page has a fault", http.StatusInternalServerError)
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err = w.Write(text)
	return err
}

// serveAsset: names with another stamp are those of another version, and are answered with this one's, uncached.
func (p *pages) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.PathValue("stamp") == p.stamp {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", a.kind)
	w.Write(a.data)
}

// frame is what the layout needs round a page.
type frame struct {
	*view
	Page   page
	Pages  []page
	Me     who
	Notice notice
	Body   template.HTML
	Live   string // where changes come from; "" for a page that does not change
}

// Role is that of who looks.
func (f frame) Role() string { return f.Me.role.Title() }

// Name of who looks.
func (f frame) Name() string { return f.Me.name }

// show serves one page.
func (s *Server) show(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := s.view(r)
		s.showView(w, r, p, v)
	}
}

func (s *Server) view(r *http.Request) *view {
	return &view{snapshot: s.snapshot(), scopes: whoIs(r).scopes, me: whoIs(r).name, Param: r.PathValue("id"), Query: clip(r.URL.Query().Get("q"), 100)}
}

func (s *Server) showView(w http.ResponseWriter, r *http.Request, p page, v *view) {
	me := whoIs(r)
	body, err := s.pages.render("page-"+p.name, v)
	if err == nil {
		f := frame{view: v, Page: p, Me: me, Body: template.HTML(body)}
		if r.Method != http.MethodHead { // which nobody reads
			f.Notice = s.sessions.hear(me.session)
		}
		for _, q := range allPages {
			if q.nav != "" && me.scopes.Has(q.scope) {
				f.Pages = append(f.Pages, q)
			}
		}
		if len(p.parts) > 0 {
			f.Live = "/live/" + p.name
			if v.Param != "" {
				f.Live += "/" + url.PathEscape(v.Param)
			}
		}
		err = s.pages.write(w, http.StatusOK, "layout", f)
	} else {
		http.Error(w, "this page has a fault", http.StatusInternalServerError)
	}
	if err != nil {
		s.log.Error("admin page", "err", err)
	}
}
