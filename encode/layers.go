package encode

// #include <vpx/vp8cx.h>
import "C"

// Three temporal layers in a period of four frames (L1T3):
//
//	layer 2      2     2
//	layer 1     /    1´           the first 2 and 1 refer to the last 0,
//	layer 0  0´-----´------ 0     the second 2 refers to the 1
//
// The base layer lives in libvpx's "last" buffer, layer 1 in "golden", layer 2
// in none; "altref" keeps the key frame, for the base layer. So each frame but
// the base layer's searches one buffer only, which makes up for the work of
// finding what has moved further. Layer 1 forgets its own past with each
// period, which costs nothing measurable: a viewer may step up in any period,
// and a lost frame of layer 1 is forgotten after 133 ms.

// pattern picks each frame's layer and what it may refer to.
type pattern struct {
	layered bool
	phase   int  // of the next frame in the period
	tainted bool // libvpx's golden buffer holds layer 1, which base layer frames must not refer to
}

// next returns the next frame's layer, libvpx's flags for it and whether it
// refers to nothing above the base layer.
func (p *pattern) next(key bool) (layer int, flags C.vpx_enc_frame_flags_t, base bool) {
	const (
		onlyLast   = C.VP8_EFLAG_NO_REF_GF | C.VP8_EFLAG_NO_REF_ARF
		onlyGolden = C.VP8_EFLAG_NO_REF_LAST | C.VP8_EFLAG_NO_REF_ARF
		noLast     = C.VP8_EFLAG_NO_UPD_LAST
		noGolden   = C.VP8_EFLAG_NO_UPD_GF
		noAltref   = C.VP8_EFLAG_NO_UPD_ARF
	)
	if key {
		return 0, C.VPX_EFLAG_FORCE_KF, true
	}
	switch {
	case !p.layered && !p.tainted:
		return 0, 0, true
	case !p.layered: // what single layers refer to has to be made theirs first
		return 0, C.VP8_EFLAG_NO_REF_GF | C.VP8_EFLAG_FORCE_GF | noAltref, true
	case p.phase == 0:
		return 0, C.VP8_EFLAG_NO_REF_GF | noGolden | noAltref, true
	case p.phase == 2:
		return 1, onlyLast | noLast | C.VP8_EFLAG_FORCE_GF | noAltref, true
	case p.phase == 3:
		return 2, onlyGolden | noLast | noGolden | noAltref, false
	default:
		return 2, onlyLast | noLast | noGolden | noAltref, true
	}
}

// done tells that the frame that next was for is made. It may have become a key frame,
// which begins a period.
func (p *pattern) done(key bool) {
	switch {
	case key:
		*p = pattern{layered: p.layered}
	case !p.layered:
		p.tainted = false
	case p.phase == 2:
		p.tainted = true
	}
	if p.layered {
		p.phase = (p.phase + 1) % 4
	}
}

// again returns the flags besides those of next with which the same picture is encoded
// once more, and its first encoding forgotten. A base layer picture has taken the place
// of the one that it referred to: it may refer to the key frame, which everybody has.
func (p *pattern) again() C.vpx_enc_frame_flags_t {
	if p.phase == 0 {
		return C.VP8_EFLAG_NO_REF_LAST | C.VP8_EFLAG_NO_REF_GF
	}
	return 0
}

// set turns layers on or off, from the next frame on.
func (p *pattern) set(layered bool) {
	p.layered, p.phase = layered, 0
}

// layerKbits is what the layers up to each take of k, rising strictly as
// libvpx asks.
func layerKbits(k int) (out [3]C.uint) {
	least := 1
	for i, share := range LayerShare {
		least = max(least, int(share*float64(k)+0.5))
		out[i] = C.uint(least)
		least++
	}
	return out
}
