package signaling

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func getPage(h http.Handler, method, path string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.URL.Path = path
	if header != nil {
		r.Header = header
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPages(t *testing.T) {
	h := testPages()
	for _, c := range []struct {
		path, kind string
		status     int
	}{
		{"/", "text/html; charset=utf-8", 200},
		{"/kitchen", "text/html; charset=utf-8", 200},
		{"/favicon.ico", "image/svg+xml", 200},
		{"/viewer/style.css", "text/css; charset=utf-8", 200},
		{"/viewer/key.js", "text/javascript; charset=utf-8", 200},
		{"/viewer/vendor/noble/LICENSE", "text/plain; charset=utf-8", 200},
		{"/viewer/nothing.js", "text/html; charset=utf-8", 404},
		{"/viewer/../page.go", "text/html; charset=utf-8", 404},
		{"/viewer/vendor", "text/html; charset=utf-8", 404},
		{"/viewer", "text/html; charset=utf-8", 404},
		{"/.git", "text/html; charset=utf-8", 404},
		{"/a b", "text/html; charset=utf-8", 404},
		{"/a/b", "text/html; charset=utf-8", 404},
		{"/whep", "text/html; charset=utf-8", 404},
		{"/<script>", "text/html; charset=utf-8", 404},
	} {
		w := getPage(h, http.MethodGet, c.path, nil)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.kind {
			t.Errorf("GET %s: %d %s, want %d %s", c.path, w.Code, w.Header().Get("Content-Type"), c.status, c.kind)
		}
		want := maps.Clone(partHeaders)
		if !strings.HasPrefix(c.kind, "text/javascript") && !strings.HasPrefix(c.kind, "text/css") {
			maps.Copy(want, pageHeaders)
		}
		if c.path == "/kitchen" {
			want["Content-Security-Policy"] = inlinePolicy(w.Body.Bytes())
		}
		for name, value := range want {
			if w.Header().Get(name) != value {
				t.Errorf("GET %s: %s is %q", c.path, name, w.Header().Get(name))
			}
		}
		if c.status != 200 && strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("GET %s: the path comes back as HTML", c.path)
		}
		if c.status != 200 {
			continue
		}
		etag := w.Header().Get("ETag")
		if w := getPage(h, http.MethodGet, c.path, http.Header{"If-None-Match": {etag}}); etag == "" || w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("GET %s again: %d", c.path, w.Code)
		}
		if w := getPage(h, http.MethodHead, c.path, nil); w.Code != 200 || w.Body.Len() > 0 {
			t.Errorf("HEAD %s: %d", c.path, w.Code)
		}
	}
	if w := getPage(h, http.MethodPost, "/kitchen", nil); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	if w := getPage(h, http.MethodGet, "/kitchen/", nil); w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "/kitchen" {
		t.Errorf("a slash too many: %d to %s", w.Code, w.Header().Get("Location"))
	}
	if w := getPage(h, http.MethodGet, "//evil.example/", nil); w.Code != http.StatusNotFound {
		t.Errorf("//evil.example/: %d to %s", w.Code, w.Header().Get("Location"))
	}
}

// A browser on a thin link loads a third, and the second time nothing but the
// page itself.
func TestPagesAreSmallAndKept(t *testing.T) {
	h := testPages()
	for _, c := range []struct {
		accept string
		packed bool
	}{{"gzip, deflate, br", true}, {"br;q=1, GZIP;q=0.5", true}, {"", false}, {"gzip;q=0", false}, {"gzip;q=nonsense", false}, {"identity", false}} {
		plain := getPage(h, http.MethodGet, "/viewer/style.css", nil)
		w := getPage(h, http.MethodGet, "/viewer/style.css", http.Header{"Accept-Encoding": {c.accept}})
		body := w.Body.Bytes()
		if packed := w.Header().Get("Content-Encoding") == "gzip"; packed != c.packed || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: packed %v, want %v; Vary %q", c.accept, packed, c.packed, w.Header().Get("Vary"))
			continue
		}
		if c.packed {
			if len(body) > plain.Body.Len()/2 || w.Header().Get("ETag") == plain.Header().Get("ETag") {
				t.Errorf("%d of %d bytes are left, ETag %s", len(body), plain.Body.Len(), w.Header().Get("ETag"))
			}
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if string(body) != plain.Body.String() {
			t.Errorf("Accept-Encoding %q: another file came", c.accept)
		}
	}
	page := getPage(h, http.MethodGet, "/kitchen", nil)
	script := regexp.MustCompile(`/viewer/@[^/"]+/`).FindString(page.Body.String()) + "main.js"
	if w := getPage(h, http.MethodGet, script, nil); w.Code != 200 || w.Header().Get("Cache-Control") != forever {
		t.Errorf("%s: %d, kept %q", script, w.Code, w.Header().Get("Cache-Control"))
	}
	for _, path := range []string{"/viewer/@older/main.js", "/viewer/main.js", "/kitchen"} {
		if w := getPage(h, http.MethodGet, path, nil); w.Code != 200 || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d, kept %q", path, w.Code, w.Header().Get("Cache-Control"))
		}
	}
	if w := getPage(h, http.MethodGet, strings.Replace(script, "main", "nothing", 1), nil); w.Code != 404 || w.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("a file that is not there: %d, kept %q", w.Code, w.Header().Get("Cache-Control"))
	}
}

// What the pages refer to must be there, and must be what the policy allows.
func TestPagesAreWhole(t *testing.T) {
	h := testPages()
	refs := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	imports := regexp.MustCompile(`(?m)(?:from|import) *\(?'(\.[^']*)'`)
	inlined := regexp.MustCompile(`(?s)<(script|style)>(.*?)</(?:script|style)>`)
	later := regexp.MustCompile(`viewer\}(\w+\.js)`) // after the page's folder
	linked := regexp.MustCompile("[\"'`]([\\w-]+\\.(?:css|svg|png|webmanifest))[\"'`]")
	folder := regexp.MustCompile(`data-viewer="([^"]*)"`)
	icons := regexp.MustCompile(`"src": *"([^"]*)"`)
	seen := map[string]bool{}
	var visit func(path, from string)
	visit = func(path, from string) {
		if seen[path] {
			return
		}
		seen[path] = true
		w := getPage(h, http.MethodGet, path, nil)
		if w.Code != 200 {
			t.Errorf("%s refers to %s: %d", from, path, w.Code)
			return
		}
		body := w.Body.String()
		switch kind := w.Header().Get("Content-Type"); {
		case strings.HasPrefix(kind, "text/html"):
			policy := w.Header().Get("Content-Security-Policy")
			for _, m := range inlined.FindAllStringSubmatch(body, -1) {
				sum := sha256.Sum256([]byte(m[2]))
				if hash := base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(policy, m[1]+"-src 'self' ") || !strings.Contains(policy, "'sha256-"+hash+"'") {
					t.Errorf("the policy of %s forbids what it runs: %.60s", path, m[2])
				}
				if strings.Contains(m[2], "data-inline") || strings.TrimSpace(m[2]) == "" {
					t.Errorf("%s lacks what should be in it", path)
				}
			}
			for _, m := range later.FindAllStringSubmatch(body, -1) {
				visit(folder.FindStringSubmatch(body)[1]+m[1], path)
			}
			if body = inlined.ReplaceAllString(body, ""); strings.Contains(body, "<style") || strings.Contains(body, " style=") ||
				strings.Contains(body, "data-inline") || strings.Contains(policy, "unsafe") || regexp.MustCompile(`<script(>| [^>]*[^"]>)|\son\w+=`).MatchString(body) {
				t.Errorf("%s has something inline that the policy forbids", path)
			}
			for _, m := range refs.FindAllStringSubmatch(body, -1) {
				if strings.HasPrefix(m[1], "/viewer/") {
					visit(m[1], path)
				} else if strings.Contains(m[1], "//") && strings.Contains(m[0], "src") {
					t.Errorf("%s loads %s from elsewhere", path, m[1])
				}
			}
		case strings.HasPrefix(kind, "text/javascript"):
			dir := path[:strings.LastIndex(path, "/")]
			for _, m := range append(later.FindAllStringSubmatch(body, -1), linked.FindAllStringSubmatch(body, -1)...) {
				visit(dir+"/"+m[1], path)
			}
			for _, m := range imports.FindAllStringSubmatch(body, -1) {
				ref := dir
				rel := m[1]
				for strings.HasPrefix(rel, "../") {
					rel, ref = rel[3:], ref[:strings.LastIndex(ref, "/")]
				}
				visit(ref+"/"+strings.TrimPrefix(rel, "./"), path)
			}
		case kind == mimeTypes[".webmanifest"]:
			for _, m := range icons.FindAllStringSubmatch(body, -1) {
				visit(m[1], path)
			}
		}
	}
	visit("/", "the browser")
	visit("/kitchen", "the browser")
	version := regexp.MustCompile(`/@[^/]+`)
	found := map[string]bool{}
	for path := range seen {
		found[version.ReplaceAllString(path, "")] = true
	}
	for _, name := range []string{"start.js", "main.js", "later.js", "proof.js", "home.js", "style.css", "icon.svg", "icon-180.png", "manifest.webmanifest"} {
		if !found["/viewer/"+name] {
			t.Errorf("nothing was found that loads %s: it is not needed, or the patterns of this test are out of date", name)
		}
	}
}

func testPages() http.Handler {
	return newPages(viewerFS(), func(context.Context, string) opening { return opening{} })
}

// Browsers keep for ever what stands under a version: it must tell apart what is
// served, however that was made.
func TestVersionsTellPagesApart(t *testing.T) {
	texts := func() map[string][]byte {
		return map[string][]byte{"a.js": []byte("1"), "b.js": []byte("2"), "c.css": []byte("3"), "d.svg": nil}
	}
	first := versionOf(texts(), []byte("head"), []byte("tail"))
	if again := versionOf(texts(), []byte("head"), []byte("tail")); again != first {
		t.Errorf("the same pages are of versions %s and %s", first, again)
	}
	other := texts()
	other["b.js"] = []byte("3")
	for what, version := range map[string]string{
		"another file":       versionOf(other, []byte("head"), []byte("tail")),
		"another room page":  versionOf(texts(), []byte("head"), []byte("tale")),
		"another such place": versionOf(texts(), []byte("headt"), []byte("ail")),
	} {
		if version == first {
			t.Errorf("%s has the same version", what)
		}
	}
}
