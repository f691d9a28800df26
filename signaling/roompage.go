package signaling

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"sync"
)

// roomPages makes the page of a room. What it runs until the offer is sent
// stands in it: on a thin link each request costs as much as some kilobytes. The
// rest is asked for later, one script after the other: the first flight of TCP is
// 14 kB, and a modem of such a link may hold less.
type roomPages struct {
	opening    func(ctx context.Context, room string) opening
	head, tail []byte            // around the opening
	keyed      []byte            // what the page of a room with a key has besides, in place of keyedTag
	scripts    map[string][]byte // those that the page asks for, each without what is there already

	mu   sync.Mutex
	made map[string]asset // by opening
}

// maxMade bounds the pages that are kept: a visitor of a room with other cameras
// than all these waits some milliseconds while one is packed.
const maxMade = 64

// inlineTag stands in room.html for the file that it names.
var inlineTag = regexp.MustCompile(`<(script|style) data-inline="([^"]+)"></(?:script|style)>\n`)

// keyedTag stands in room.html for what only a key needs: it comes last, while the
// browser makes its offer.
const keyedTag = `<script data-inline="keyed.js"></script>` + "\n"

// openingTag is where the opening goes.
const openingTag = `<script type="application/json" id="opening">`

func newRoomPages(fsys fs.FS, opening func(context.Context, string) opening) (*roomPages, error) {
	p := &roomPages{opening: opening, scripts: map[string][]byte{}, made: map[string]asset{}}
	page, err := fs.ReadFile(fsys, "room.html")
	if err != nil {
		return nil, err
	}
	b := bundle{fsys: fsys, done: map[string][]string{}}
	page = inlineTag.ReplaceAllFunc(page, func(tag []byte) []byte {
		m := inlineTag.FindSubmatch(tag)
		kind, file := string(m[1]), string(m[2])
		var text []byte
		switch {
		case err != nil:
		case string(tag) == keyedTag:
			keyed := bundle{fsys: fsys, done: maps.Clone(b.done)} // not every page has it
			text, err = keyed.script(file)
			p.keyed = fmt.Appendf(nil, "<script>%s</script>\n", text)
			return tag
		case kind == "script":
			text, err = b.script(file)
		default:
			text, err = fs.ReadFile(fsys, file)
		}
		return fmt.Appendf(nil, "<%s>%s</%s>\n", kind, text, kind)
	})
	if err != nil {
		return nil, err
	}
	p.head, p.tail, _ = bytes.Cut(page, []byte(openingTag))
	for _, file := range []string{"start.js", "main.js"} {
		if p.scripts[file], err = b.script(file); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// page is the page of a room as it is now.
func (p *roomPages) page(ctx context.Context, room, version string) asset {
	opening := p.opening(ctx, room)
	told := opening.json()
	p.mu.Lock()
	a, ok := p.made[string(told)]
	p.mu.Unlock()
	if ok {
		return a
	}
	tail := bytes.Replace(p.tail, []byte(keyedTag), nil, 1)
	if opening.keyed() {
		tail = bytes.Replace(p.tail, []byte(keyedTag), p.keyed, 1)
	}
	a = newAsset("room.html", slices.Concat(p.head, []byte(openingTag), told, tail), version)
	p.mu.Lock()
	defer p.mu.Unlock()
	for old := range p.made {
		if len(p.made) < maxMade {
			break
		}
		delete(p.made, old) // any: what is asked for again comes back
	}
	p.made[string(told)] = a
	return a
}
