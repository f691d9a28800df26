package main

import "testing"

func TestBitrates(t *testing.T) {
	for text, want := range map[string]bitrate{"2500k": 2_500_000, "2.5M": 2_500_000, "2500000": 2_500_000, "100K": 100_000, "50m": 50_000_000} {
		var got bitrate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
}

// Whatever is accepted can be used.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"1280x720", "16X16", "8193x16", "2500k", "2.5M", "nan", "inf", "0x1p20", "", "x", "-1x-1", "1e6"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s size
		if s.UnmarshalText([]byte(text)) == nil && (s.Width < 16 || s.Height < 16 || s.Width > 8192 || s.Height > 8192) {
			t.Errorf("%q is the size %v", text, s)
		}
		var r bitrate
		if r.UnmarshalText([]byte(text)) == nil && (r < 100_000 || r > 50_000_000) {
			t.Errorf("%q is the bit rate %v", text, r)
		}
	})
}
