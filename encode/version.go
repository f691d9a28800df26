package encode

// #cgo pkg-config: vpx
// #include <vpx/vpx_codec.h>
import "C"

import "gopkg.in/hraban/opus.v2"

// LibvpxVersion is that of the library in use, such as "v1.12.0".
func LibvpxVersion() string { return C.GoString(C.vpx_codec_version_str()) }

// OpusVersion is that of the library in use, such as "libopus 1.3.1".
func OpusVersion() string { return opus.Version() }
