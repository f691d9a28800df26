package capture

import (
	"strings"

	"github.com/pion/mediadevices/pkg/frame"
)

// fourccName spells a V4L2 pixel format as v4l2-ctl does.
func fourccName(cc uint32) string {
	return strings.TrimSpace(string([]byte{byte(cc), byte(cc >> 8), byte(cc >> 16), byte(cc>>24) & 0x7f}))
}

func fourcc(name string) uint32 {
	return uint32(name[0]) | uint32(name[1])<<8 | uint32(name[2])<<16 | uint32(name[3])<<24
}

// pixelFormats names the V4L2 pixel formats that can be turned into I420.
var pixelFormats = map[uint32]frame.Format{
	fourcc("YU12"): frame.FormatI420,
	fourcc("YV12"): formatYV12,
	fourcc("NV12"): frame.FormatNV12,
	fourcc("NV21"): frame.FormatNV21,
	fourcc("NM12"): frame.FormatNV12, // M: planes that do not follow each other
	fourcc("NM21"): frame.FormatNV21,
	fourcc("YM12"): frame.FormatI420,
	fourcc("YM21"): formatYV12,
	fourcc("YUYV"): frame.FormatYUYV,
	fourcc("YVYU"): formatYVYU,
	fourcc("UYVY"): frame.FormatUYVY,
	fourcc("MJPG"): frame.FormatMJPEG,
	fourcc("JPEG"): frame.FormatMJPEG,
	fourcc("GREY"): formatGrey,
}

func formatNames() map[string]bool {
	names := map[string]bool{}
	for _, f := range pixelFormats {
		names[string(f)] = true
	}
	return names
}
