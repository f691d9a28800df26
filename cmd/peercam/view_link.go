package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/peercam/peercam/signaling"
)

// viewLink is a link for viewers, taken apart.
type viewLink struct {
	server string // for signaling.DialPinned
	room   string
	key    *signaling.Key // nil: an open room
}

// parseLink reads a link as share prints it. Its errors hold nothing of what
// follows the #.
func parseLink(text string) (viewLink, error) {
	before, fragment, _ := strings.Cut(strings.TrimSpace(text), "#")
	const like = "give it whole and in quotes, like 'http://192.168.1.7:8080/kitchen#k=…'"
	if !strings.Contains(before, "://") {
		return viewLink{}, fmt.Errorf("%.80q is no link: %s", before, like)
	}
	u, err := url.Parse(before)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return viewLink{}, fmt.Errorf("the link %.80q is none that begins with http:// or https:// and names a host: %s", redacted(before), like)
	}
	l := viewLink{server: u.Scheme + "://" + u.Host, room: strings.Trim(u.Path, "/")}
	if u.User != nil {
		return viewLink{}, errors.New("the link has a user name in it, which is not supported: leave out what stands before the @")
	}
	if l.room == "" {
		return viewLink{}, fmt.Errorf("the link %.80q names no room: %s", before, like)
	}
	if err := signaling.CheckRoom(l.room); err != nil {
		return viewLink{}, fmt.Errorf("the link %.80q: %w", before, err)
	}
	values, err := url.ParseQuery(fragment)
	if err != nil {
		return viewLink{}, errors.New("what follows # in the link is damaged: copy the whole link again")
	}
	if text := strings.TrimSpace(values.Get("k")); text != "" {
		key, err := signaling.ParseKey(text)
		if err != nil {
			return viewLink{}, fmt.Errorf("the link's key, after #k=: %w", err)
		}
		l.key = &key
	}
	return l, nil
}

// redacted leaves out what may be a password.
func redacted(link string) string {
	if at := strings.LastIndex(link, "@"); at >= 0 {
		return "…" + link[at:]
	}
	return link
}
