package signaling

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// reserved are the server's own paths, which no room can be named after.
var reserved = []string{"ws", "whep", "whip", "snapshot", "healthz", "metrics", "viewer", "favicon.ico"}

// CheckRoom tells what is wrong with a room's name, if anything.
func CheckRoom(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the room has no name: give it one, like kitchen")
	case len(name) > 64:
		return fmt.Errorf("the room's name has %d characters: 64 are the most", len(name))
	case name[0] == '.':
		return fmt.Errorf("the room's name %q begins with a dot: take another", name)
	case slices.Contains(reserved, name):
		return fmt.Errorf("the room's name %q is one of the server's own paths: take another", name)
	}
	for _, r := range name {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-", r) {
			return fmt.Errorf("the room's name %q holds %q: use letters (A-Z a-z), digits, and . _ ~ -", name, r)
		}
	}
	return nil
}

// MaxName is how many characters the name of a camera has at most.
const MaxName = 80

// CleanName makes a name for a camera of whatever a driver or a user calls it:
// without what does not print, and at most MaxName characters.
func CleanName(name string) string {
	name = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(name, ""), func(r rune) bool {
		return !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(name); len(runes) > MaxName {
		name = string(runes[:MaxName])
	}
	return strings.TrimSpace(name)
}

func validName(name string) bool {
	return utf8.RuneCountInString(name) <= MaxName && !strings.ContainsFunc(name, unicode.IsControl)
}
