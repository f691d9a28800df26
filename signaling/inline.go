package signaling

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// PastePage is the page of peercam paste: one file, which works from a disk.
func PastePage() []byte {
	page, err := viewerFiles.ReadFile("viewer/paste.html")
	if err != nil {
		panic(err) // the file is part of the program
	}
	return page
}

// inlinePolicy is the page's Content-Security-Policy with what stands between
// <script> or <style> and its end let through, each by its hash (CSP level 2,
// section 4.2.5); "" where there is none. So a page that is one file, to be
// opened from a disk too, runs nothing else when it is served.
func inlinePolicy(page []byte) string {
	policy := pageHeaders["Content-Security-Policy"]
	for _, kind := range []string{"script", "style"} {
		rest := page
		for found := true; found; {
			var text []byte
			_, rest, _ = bytes.Cut(rest, []byte("<"+kind+">"))
			text, rest, found = bytes.Cut(rest, []byte("</"+kind+">"))
			if !found {
				break
			}
			sum := sha256.Sum256(text)
			source := kind + "-src 'self'"
			policy = strings.Replace(policy, source, source+" 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", 1)
		}
	}
	if policy == pageHeaders["Content-Security-Policy"] {
		return ""
	}
	return policy
}
