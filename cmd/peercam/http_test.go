package main

import (
	"bytes"
	"image/jpeg"
	"net/http"
	"strings"
	"testing"
)

func TestSnapshots(t *testing.T) {
	p := share(t)
	url := p.at("/snapshot/kitchen.jpg")
	bearer := "Authorization: Bearer " + p.token()
	for _, refused := range []struct {
		url, header string
		status      int
	}{
		{url, "", http.StatusUnauthorized},
		{url, "Authorization: Bearer nonsense", http.StatusUnauthorized},
		{url, "Authorization: Bearer " + p.key, http.StatusUnauthorized},
		{url + "?token=nonsense", "", http.StatusUnauthorized},
		{p.at("/snapshot/garden.jpg"), bearer, http.StatusNotFound},
		{p.at("/snapshot/kitchen.png"), bearer, http.StatusNotFound},
		{p.at("/snapshot/"), bearer, http.StatusNotFound},
	} {
		if resp, body := request(t, "GET", refused.url, "", refused.header); resp.StatusCode != refused.status || body == "" {
			t.Errorf("GET %s: %s %q, want %d", refused.url, resp.Status, body, refused.status)
		}
	}
	p.unopened()

	for _, allowed := range []struct{ url, header string }{{url, bearer}, {url + "?token=" + p.token(), ""}} {
		resp, body := request(t, "GET", allowed.url, "", allowed.header)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/jpeg" {
			t.Fatalf("GET: %s %s", resp.Status, body)
		}
		picture, err := jpeg.Decode(bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		if b := picture.Bounds(); b.Dx() != 640 || b.Dy() != 360 {
			t.Errorf("the snapshot is %v, asked for was 640x360", b)
		}
	}
}

func TestHealthAndMetrics(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	for _, p := range []*program{share(t), shareOn(t, server.ws()), server} {
		resp, body := request(t, "GET", p.at("/healthz"), "")
		if resp.StatusCode != http.StatusOK || body != "ok\n" {
			t.Errorf("/healthz: %s %q", resp.Status, body)
		}
		resp, _ = request(t, "GET", p.at("/metrics"), "")
		if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
			t.Errorf("/metrics is %s", kind)
		}
		if all := p.metrics(); len(all) < 4 {
			t.Errorf("/metrics holds only %v", all)
		}
	}
	resp, body := request(t, "GET", server.at("/snapshot/kitchen.jpg"), "")
	if resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "camera's own server") {
		t.Errorf("a snapshot of a server that only routes: %s %q", resp.Status, body)
	}
}
