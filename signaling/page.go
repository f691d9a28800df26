package signaling

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed viewer
var viewerFiles embed.FS

func viewerFS() fs.FS {
	sub, err := fs.Sub(viewerFiles, "viewer")
	if err != nil {
		panic(err) // only for a malformed path
	}
	return sub
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

// pageHeaders let the page load nothing from elsewhere, run nothing inline but what
// inlinePolicy names, be framed by nobody and ask for no device.
var pageHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
		"media-src 'self' blob:; connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"Referrer-Policy":            "no-referrer",
	"Permissions-Policy":         "camera=(), microphone=(), geolocation=()",
	"Cross-Origin-Opener-Policy": "same-origin",
}

// partHeaders go with everything. What a page is made of has no others: on a
// thin link they would be a quarter of what it loads.
var partHeaders = map[string]string{
	"X-Content-Type-Options":       "nosniff",
	"Cross-Origin-Resource-Policy": "same-origin",
	// Kept, but asked for each time: page and server change together.
	"Cache-Control": "no-cache",
}

// forever is for what stands under its version: it never changes there.
const forever = "public, max-age=31536000, immutable"

type asset struct {
	data   []byte
	packed []byte // by gzip; nil where that gains nothing
	mime   string
	etag   string
	isPart bool   // of a page: a script or a style
	policy string // of a page with something inline; "": as the others'
}

// pages maps a path below /viewer/ to what is there. Pages refer to
// /viewer/@VERSION/, so that browsers ask for each version once.
type pages struct {
	files   map[string]asset
	version string
	rooms   *roomPages
}

// bundled are the modules that are served with all that they import.
var bundled = []string{"home.js", "later.js", "proof.js"}

// newPages serves what is in fsys; opening tells what to write into the page of a
// room.
func newPages(fsys fs.FS, opening func(context.Context, string) opening) *pages {
	p := &pages{files: map[string]asset{}}
	texts := map[string][]byte{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		texts[name], err = fs.ReadFile(fsys, name)
		return err
	})
	for _, name := range bundled {
		if err != nil {
			break
		}
		b := bundle{fsys: fsys, done: map[string][]string{}}
		texts[name], err = b.module(name)
	}
	if err == nil {
		p.rooms, err = newRoomPages(fsys, opening)
	}
	if err != nil {
		panic(err) // the files are part of the program
	}
	maps.Copy(texts, p.rooms.scripts)
	p.version = versionOf(texts, p.rooms.head, p.rooms.tail, p.rooms.keyed)
	for name, text := range texts {
		p.files[name] = newAsset(name, text, p.version)
	}
	return p
}

// versionOf names what is served, which changes with what bundles it, too.
func versionOf(texts map[string][]byte, more ...[]byte) string {
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(all, "%s %d ", name, len(texts[name]))
		all.Write(texts[name])
	}
	for _, text := range more {
		fmt.Fprintf(all, "%d ", len(text))
		all.Write(text)
	}
	return "@" + base64.RawURLEncoding.EncodeToString(all.Sum(nil)[:9])
}

func newAsset(name string, data []byte, version string) asset {
	a := asset{data: data, mime: mimeTypes[path.Ext(name)]}
	switch {
	case a.mime == "":
		a.mime = "text/plain; charset=utf-8"
	case path.Ext(name) == ".html", path.Ext(name) == ".webmanifest":
		a.data = bytes.ReplaceAll(data, []byte(`"/viewer/`), []byte(`"/viewer/`+version+`/`))
		a.policy = inlinePolicy(a.data)
	case path.Ext(name) == ".js", path.Ext(name) == ".css":
		a.isPart = true
	}
	sum := sha256.Sum256(a.data)
	a.etag = base64.RawURLEncoding.EncodeToString(sum[:12])
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one
	_, _ = z.Write(a.data)                                // to memory
	_ = z.Close()
	if b.Len() < len(a.data)*9/10 {
		a.packed = b.Bytes()
	}
	return a
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w, partHeaders)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		setHeaders(w, pageHeaders)
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
		if version, rest, ok := strings.Cut(file, "/"); ok && strings.HasPrefix(version, "@") {
			// A page of another version gets what there is, and asks again.
			file = rest
			if version == p.version {
				w.Header().Set("Cache-Control", forever)
			}
		}
		p.serve(w, r, file)
	case strings.HasSuffix(name, "/") && CheckRoom(name[:len(name)-1]) == nil:
		setHeaders(w, pageHeaders)
		http.Redirect(w, r, "/"+name[:len(name)-1], http.StatusPermanentRedirect)
	default:
		if err := CheckRoom(name); err != nil {
			notFound(w, err.Error())
			return
		}
		p.serveAsset(w, r, p.rooms.page(r.Context(), name, p.version))
	}
}

func (p *pages) serve(w http.ResponseWriter, r *http.Request, file string) {
	a, ok := p.files[file]
	if !ok {
		notFound(w, "there is nothing here")
		return
	}
	p.serveAsset(w, r, a)
}

func (p *pages) serveAsset(w http.ResponseWriter, r *http.Request, a asset) {
	if a.isPart {
		w = gently(w, r)
	} else {
		setHeaders(w, pageHeaders)
	}
	if a.policy != "" {
		w.Header().Set("Content-Security-Policy", a.policy)
	}
	w.Header().Set("Content-Type", a.mime)
	data, etag := a.data, a.etag
	if a.packed != nil {
		w.Header().Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			w.Header().Set("Content-Encoding", "gzip")
			data, etag = a.packed, etag+"-gz"
		}
	}
	w.Header().Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func acceptsGzip(header string) bool {
	for _, one := range strings.Split(header, ",") {
		coding, params, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q, isQ := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !isQ || err == nil && weight > 0
		}
	}
	return false
}

func setHeaders(w http.ResponseWriter, headers map[string]string) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
}

func notFound(w http.ResponseWriter, why string) {
	setHeaders(w, pageHeaders)
	w.Header().Set("Cache-Control", partHeaders["Cache-Control"])
	w.Header().Set("Content-Type", mimeTypes[".html"])
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
		`<title>Not found - peercam</title><link rel="stylesheet" href="/viewer/style.css">` +
		`<main><h1>Not found</h1><p>` + html.EscapeString(why) + `</p><p><a href="/">All rooms</a></p></main></html>`))
}
