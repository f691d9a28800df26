package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/peercam/peercam/capture"
)

type devicesCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints what can be named with --camera and --mic.
func (d *devicesCommand) Run(ctx context.Context, env environment) error {
	devices, err := capture.Devices(ctx)
	if err != nil {
		return err
	}
	if d.JSON {
		e := json.NewEncoder(env.stdout)
		e.SetIndent("", "  ")
		if devices == nil {
			devices = []capture.Device{}
		}
		return e.Encode(devices)
	}
	if len(devices) == 0 {
		fmt.Fprintln(env.stdout, "No cameras and no microphones were found. Plug one in, or try: peercam --camera test --mic test")
		return nil
	}
	w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	for _, one := range devices {
		mark := ""
		if one.Default {
			mark = "(default)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.Kind, one.Name, one.ID, mark)
		if one.Err != "" {
			fmt.Fprintf(w, "\t%s\n", one.Err)
		}
		for _, f := range one.Formats {
			var rates []string
			for _, r := range f.FPS {
				rates = append(rates, strconv.FormatFloat(r, 'g', 4, 64))
			}
			fmt.Fprintf(w, "\t%s %dx%d\t%s fps\n", f.PixelFormat, f.Width, f.Height, strings.Join(rates, ", "))
		}
		for _, c := range one.Controls {
			fmt.Fprintf(w, "\t--control %s, now %s%s\n", c, controlValue(c, c.Value), controlNote(c))
		}
		if len(one.Rates) > 0 {
			fmt.Fprintf(w, "\t%s Hz\t%d channels\n", strings.Trim(fmt.Sprint(one.Rates), "[]"), slices.Max(append([]int{1}, one.Channels...)))
		}
	}
	return w.Flush()
}

// controlValue is a value as a person writes it.
func controlValue(c capture.Control, v int) string {
	for _, i := range c.Menu {
		if i.Value == v {
			return i.Name
		}
	}
	if c.Kind == capture.ControlBoolean {
		return map[bool]string{true: "on", false: "off"}[v != 0]
	}
	return strconv.Itoa(v)
}

func controlNote(c capture.Control) (note string) {
	if c.Default != c.Value {
		note = ", default " + controlValue(c, c.Default)
	}
	switch {
	case c.ReadOnly:
		note += " (read only)"
	case c.Inactive:
		note += " (another control overrides it)"
	}
	return note
}
