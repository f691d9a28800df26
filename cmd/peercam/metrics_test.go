package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	typeLine   = regexp.MustCompile(`^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z]+="[^"\\]*"\})? (\S+)$`)
)

// parseMetrics reads Prometheus' text format as strictly as its scraper may:
// one TYPE line a metric, its samples right below, none twice.
func parseMetrics(text string) (map[string]map[string]float64, error) {
	all := map[string]map[string]float64{}
	current := ""
	if !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("the last line does not end")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if current = m[1]; all[current] != nil {
				return nil, fmt.Errorf("%s has two TYPE lines", current)
			}
			all[current] = map[string]float64{}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("%q is neither a TYPE line nor a sample", line)
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil || m[1] != current {
			return nil, fmt.Errorf("%q below the TYPE line of %s: %v", line, current, err)
		}
		if _, twice := all[current][m[2]]; twice {
			return nil, fmt.Errorf("%q is there twice", line)
		}
		all[current][m[2]] = v
	}
	return all, nil
}

func TestMetricsOfManyViewersAreOneFamilyEach(t *testing.T) {
	e := exposition{samples: map[string]string{}}
	for _, session := range []string{"aaaaaa", "bbbbbb"} {
		e.gauge("peercam_session_loss", `{session="`+session+`"}`, 0.25)
		e.counter("peercam_session_bytes_total", `{session="`+session+`"}`, uint64(1)<<40)
	}
	var text strings.Builder
	for _, name := range e.names {
		text.WriteString(e.samples[name])
	}
	got, err := parseMetrics(text.String())
	if err != nil {
		t.Fatal(err)
	}
	if got["peercam_session_loss"][`{session="bbbbbb"}`] != 0.25 || got["peercam_session_bytes_total"][`{session="aaaaaa"}`] != 1<<40 {
		t.Errorf("got %v", got)
	}
}
