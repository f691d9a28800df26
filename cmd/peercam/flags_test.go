package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// A flag's name in the environment is its own, as README says.
func TestFlagsInTheEnvironment(t *testing.T) {
	parser, err := kong.New(&commandLine{}, kong.DefaultEnvars("PEERCAM"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_ = kong.Visit(parser.Model, func(v kong.Visitable, next kong.Next) error {
		f, ok := v.(*kong.Flag)
		if !ok || f.Name == "help" || f.Name == "config" {
			return next(nil)
		}
		n++
		if want := "PEERCAM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")); len(f.Envs) != 1 || f.Envs[0] != want {
			t.Errorf("--%s is %q in the environment, want %s", f.Name, f.Envs, want)
		}
		return next(nil)
	})
	if n < 50 {
		t.Errorf("only %d flags", n)
	}
}
