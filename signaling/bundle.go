package signaling

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/js"
)

// bundle makes one script of modules, so that a page on a thin link asks once
// and not once a module. Each becomes what a function returns, in a variable of
// its own, before those that import it: names do not meet, and what a page has
// in one script it has in the next.
//
// It reads what the viewer's modules write, and no more: an import or export
// begins a line, names what it means, and nothing is exported by default.
type bundle struct {
	fsys fs.FS
	done map[string][]string // modules that the page has, and what they export; nil: being read
}

var (
	importLine = regexp.MustCompile(`^import (\{[^}]+\}) from '(\.[^']+)';$`)
	exportWord = regexp.MustCompile(`^export ((?:async )?function|class|const) (\w+)`)
	exportList = regexp.MustCompile(`^export \{([^}]*)\};$`)
	notWord    = regexp.MustCompile(`\W+`)
)

// script is the module and all that it imports and the page does not have.
func (b *bundle) script(file string) ([]byte, error) {
	var out strings.Builder
	if err := b.add(&out, file); err != nil {
		return nil, err
	}
	return minified(out.String())
}

// module is script with the exports of the module.
func (b *bundle) module(file string) ([]byte, error) {
	var out strings.Builder
	if err := b.add(&out, file); err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "export const {%s} = %s;\n", strings.Join(b.done[file], ", "), moduleName(file))
	return minified(out.String())
}

func (b *bundle) add(out *strings.Builder, file string) error {
	if exports, begun := b.done[file]; begun {
		if exports == nil {
			return fmt.Errorf("modules import each other in a ring, back to %s", file)
		}
		return nil
	}
	data, err := fs.ReadFile(b.fsys, file)
	if err != nil {
		return err
	}
	b.done[file] = nil
	var text strings.Builder
	exports := []string{}
	rest := string(data)
	for rest != "" {
		var line string
		if line, rest, _ = strings.Cut(rest, "\n"); strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "export ") {
			for !exportWord.MatchString(line) && !strings.HasSuffix(line, ";") && rest != "" {
				var more string
				more, rest, _ = strings.Cut(rest, "\n")
				line += more
			}
			imports := importLine.FindStringSubmatch(line)
			word := exportWord.FindStringSubmatch(line)
			list := exportList.FindStringSubmatch(line)
			switch {
			case imports != nil:
				from := path.Join(path.Dir(file), imports[2])
				if err := b.add(out, from); err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				for _, name := range names(imports[1]) {
					if !slices.Contains(b.done[from], name) {
						return fmt.Errorf("%s imports %s of %s, which does not export it", file, name, from)
					}
				}
				line = "const " + imports[1] + " = " + moduleName(from) + ";"
			case word != nil:
				exports = append(exports, word[2])
				line = strings.TrimPrefix(line, "export ")
			case list != nil:
				exports = append(exports, names(list[1])...)
				line = ""
			default:
				return fmt.Errorf("%s: bundles do not know this form: %s", file, line)
			}
		}
		text.WriteString(line + "\n")
	}
	b.done[file] = exports
	fmt.Fprintf(out, "var %s = (() => {\n'use strict';\n%s\nreturn {%s};\n})();\n", moduleName(file), text.String(), strings.Join(exports, ", "))
	return nil
}

// names are those in { one, two }.
func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune("{,} ", r) })
}

// moduleName is the variable of a module: $peer of peer.js.
func moduleName(file string) string {
	return "$" + notWord.ReplaceAllString(strings.TrimSuffix(file, ".js"), "_")
}

func minified(text string) ([]byte, error) {
	var out bytes.Buffer
	if err := js.Minify(minify.New(), &out, strings.NewReader(text), nil); err != nil {
		return nil, fmt.Errorf("what this page runs cannot be read: %w", err)
	}
	if s := strings.ToLower(out.String()); strings.Contains(s, "</script") || strings.Contains(s, "<!--") {
		return nil, fmt.Errorf("what this page runs would end it: </script or <!--")
	}
	return out.Bytes(), nil
}
