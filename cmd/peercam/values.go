package main

import (
	"fmt"
	"strconv"
	"strings"
)

// size is WIDTHxHEIGHT in pixels.
type size struct{ Width, Height int }

// UnmarshalText parses "1280x720".
func (s *size) UnmarshalText(b []byte) error {
	w, h, ok := strings.Cut(strings.ToLower(string(b)), "x")
	width, err1 := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	if !ok || err1 != nil || err2 != nil || width < 16 || height < 16 || width > 8192 || height > 8192 {
		return fmt.Errorf("%q is no size: write WIDTHxHEIGHT, for instance 1280x720, each from 16 to 8192", b)
	}
	*s = size{width, height}
	return nil
}

// bitrate is in bit/s.
type bitrate int

// UnmarshalText parses "2500k", "2.5M" or "2500000".
func (r *bitrate) UnmarshalText(b []byte) error {
	text, unit := string(b), 1.0
	switch {
	case strings.HasSuffix(text, "k"), strings.HasSuffix(text, "K"):
		text, unit = text[:len(text)-1], 1e3
	case strings.HasSuffix(text, "M"), strings.HasSuffix(text, "m"):
		text, unit = text[:len(text)-1], 1e6
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n*unit >= 100e3 && n*unit <= 50e6) { // NaN is neither
		return fmt.Errorf("%q is no bit rate: write for instance 2500k or 2.5M, from 100k to 50M", b)
	}
	*r = bitrate(n * unit)
	return nil
}
