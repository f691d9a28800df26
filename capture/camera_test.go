package capture

import (
	"bytes"
	"image"
	"image/color"
	"testing"
)

// Frames that mediadevices' drivers make on macOS and Windows.
func TestFrameOf(t *testing.T) {
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio444} {
		for _, size := range []image.Point{{8, 6}, {9, 7}} {
			t.Run(ratio.String()+size.String(), func(t *testing.T) {
				img := image.NewYCbCr(image.Rectangle{Max: size}, ratio)
				for y := range size.Y {
					for x := range size.X {
						img.Y[img.YOffset(x, y)] = byte(10*y + x)
						img.Cb[img.COffset(x, y)] = byte(100 + 2*y)
						img.Cr[img.COffset(x, y)] = byte(50 + 8*x)
					}
				}
				f, err := frameOf(img, new(framePool).get)
				if err != nil {
					t.Fatal(err)
				}
				comparePictures(t, f, img)
				before := bytes.Clone(f.Y)
				clear(img.Y) // drivers share one buffer among all pictures
				if !bytes.Equal(f.Y, before) {
					t.Error("the frame shares memory with the picture")
				}
			})
		}
	}
	bad := map[string]image.Image{
		"palette": image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.Black}),
		"4:1:1":   image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio411),
		"empty":   image.NewYCbCr(image.Rect(0, 0, 0, 0), image.YCbCrSubsampleRatio420),
	}
	for name, img := range bad {
		if f, err := frameOf(img, new(framePool).get); err == nil {
			t.Errorf("%s passes as %v", name, f.Rect)
		}
	}
}
