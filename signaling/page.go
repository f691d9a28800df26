package signaling

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// all: takes files that begin with _ too, as some of the vendored do.
//
//go:embed all:viewer
var viewerFiles embed.FS

// Pages serves the browser's side: / the list of rooms, /ROOM the page of a
// room, /viewer/ what they are made of.
func Pages() http.Handler {
	sub, err := fs.Sub(viewerFiles, "viewer")
	if err != nil {
		panic(err) // only for a malformed path
	}
	return newPages(sub)
}

// mimeTypes are ours, since the system's table differs from system to system,
// and a module with a wrong type does not run.
var mimeTypes = map[string]string{
	".html":        "text/html; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".svg":         "image/svg+xml",
	".png":         "image/png",
	".json":        "application/json",
	".webmanifest": "application/manifest+json",
}

// pageHeaders let the page load nothing from elsewhere, run nothing inline, be
// framed by nobody and ask for no device.
var pageHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
		"media-src 'self' blob:; connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Permissions-Policy":           "camera=(), microphone=(), geolocation=()",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	// Kept, but asked for each time: page and server change together.
	"Cache-Control": "no-cache",
}

type asset struct {
	data []byte
	mime string
	etag string
}

// pages maps a path below /viewer/ to what is there.
type pages map[string]asset

func newPages(fsys fs.FS) pages {
	p := pages{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		sum := sha256.Sum256(data)
		kind := mimeTypes[path.Ext(name)]
		if kind == "" {
			kind = "text/plain; charset=utf-8"
		}
		p[name] = asset{data: data, mime: kind, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		return err
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return p
}

func (p pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range pageHeaders {
		w.Header().Set(name, value)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are understood here", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	file, isFile := strings.CutPrefix(name, "viewer/")
	switch {
	case name == "":
		p.serve(w, r, "index.html")
	case name == "favicon.ico":
		p.serve(w, r, "icon.svg")
	case isFile:
		p.serve(w, r, file)
	case strings.HasSuffix(name, "/") && CheckRoom(name[:len(name)-1]) == nil:
		http.Redirect(w, r, "/"+name[:len(name)-1], http.StatusPermanentRedirect)
	default:
		if err := CheckRoom(name); err != nil {
			notFound(w, err.Error())
			return
		}
		p.serve(w, r, "room.html")
	}
}

func (p pages) serve(w http.ResponseWriter, r *http.Request, file string) {
	a, ok := p[file]
	if !ok {
		notFound(w, "there is nothing here")
		return
	}
	w.Header().Set("Content-Type", a.mime)
	w.Header().Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.data))
}

func notFound(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", mimeTypes[".html"])
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
		`<title>Not found - peercam</title><link rel="stylesheet" href="/viewer/style.css">` +
		`<main><h1>Not found</h1><p>` + html.EscapeString(why) + `</p><p><a href="/">All rooms</a></p></main></html>`))
}
