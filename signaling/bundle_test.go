package signaling

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestBundles(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	files := fstest.MapFS{
		"a.js":        file("import { twice } from './lib/b.js';\nimport {\n  one,\n} from './c.js';\n/** doc */\nexport const four = twice(one + one);\n"),
		"lib/b.js":    file("import { one } from '../c.js';\nconst two = one + 1;\nexport function twice(n) { return n * two; }\n"),
		"c.js":        file("const one = 1, two = 'import x';\nexport {\n  one,\n  two\n};\n"),
		"whole.js":    file("import * as all from './c.js';\n"),
		"lost.js":     file("import { x } from './nowhere.js';\n"),
		"broken.js":   file("const = 1;\n"),
		"ends.js":     file("export const s = /<!--/;\n"),
		"typo.js":     file("import { one, tow } from './c.js';\n"),
		"alias.js":    file("import { one as first } from './c.js';\n"),
		"ring.js":     file("import { back } from './lib/ring.js';\nexport const there = back;\n"),
		"lib/ring.js": file("import { there } from '../ring.js';\nexport const back = there;\n"),
	}
	b := bundle{fsys: files, done: map[string][]string{}}
	text, err := b.script("a.js")
	if err != nil {
		t.Fatal(err)
	}
	c, lib, a := strings.Index(string(text), "$c="), strings.Index(string(text), "$lib_b="), strings.Index(string(text), "$a=")
	if c < 0 || lib < c || a < lib || strings.Count(string(text), "$c=(") != 1 || strings.Contains(string(text), "doc") {
		t.Errorf("modules are missing, twice there, or before what they import: %s", text)
	}
	if again, err := b.script("lib/b.js"); err != nil || len(again) > 0 {
		t.Errorf("what the page has comes again: %s, %v", again, err)
	}
	b = bundle{fsys: files, done: map[string][]string{}}
	if text, err = b.module("c.js"); err != nil || !strings.Contains(string(text), "export const{one") {
		t.Errorf("a module without its exports: %s, %v", text, err)
	}
	for name, want := range map[string]string{
		"whole.js": "do not know this form", "lost.js": "nowhere.js", "broken.js": "cannot be read", "ends.js": "would end it",
		"typo.js": "typo.js imports tow of c.js", "alias.js": "alias.js imports as of c.js", "ring.js": "lib/ring.js: modules import each other in a ring, back to ring.js",
	} {
		b = bundle{fsys: files, done: map[string][]string{}}
		if _, err := b.script(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", name, err, want)
		}
	}
}
