#ifndef PEERCAM_VP8_H
#define PEERCAM_VP8_H

#include <stddef.h>
#include <stdint.h>
#include <vpx/vpx_encoder.h>

// peercam_vp8_settings is what Go chooses; everything else is what a live stream over
// RTP needs and stands in vp8.c.
typedef struct {
	unsigned int width, height;
	unsigned int kbits[3]; // a second
	unsigned int threads, partitions_log2;
	int cpu_used;
	int layered; // see peercam_vp8_set_rate
	unsigned int min_q, max_q, key_interval, max_intra_pct;
} peercam_vp8_settings;

// peercam_vp8_encoder lives in C memory, so that Go never hands libvpx a pointer to
// memory that holds Go pointers.
typedef struct {
	vpx_codec_ctx_t ctx;
	vpx_codec_enc_cfg_t cfg;
	int open;
	// The packet of the last peercam_vp8_encode: libvpx's memory until the next call.
	const void *data;
	size_t size;
	int key;
	int quantizer; // of that packet, 0 to 63
} peercam_vp8_encoder;

vpx_codec_err_t peercam_vp8_open(peercam_vp8_encoder *e, const peercam_vp8_settings *s);
// peercam_vp8_set_rate sets the target and whether it is shared out to three temporal
// layers, of which kbits[i] is what layers 0 to i take together, rising.
vpx_codec_err_t peercam_vp8_set_rate(peercam_vp8_encoder *e, const unsigned int kbits[3], int layered);
vpx_codec_err_t peercam_vp8_set_cpu_used(peercam_vp8_encoder *e, int cpu_used);
// peercam_vp8_bound bounds the quantizer from below, from the next frame on.
vpx_codec_err_t peercam_vp8_bound(peercam_vp8_encoder *e, unsigned int min_q);
// peercam_vp8_encode takes libvpx's flags and, where the target is shared out, the
// frame's layer.
vpx_codec_err_t peercam_vp8_encode(peercam_vp8_encoder *e, unsigned char *y, unsigned char *cb,
	unsigned char *cr, int y_stride, int c_stride, int64_t pts,
	unsigned long duration, vpx_enc_frame_flags_t flags, int layer);
void peercam_vp8_close(peercam_vp8_encoder *e);
const char *peercam_vp8_error(peercam_vp8_encoder *e, vpx_codec_err_t err);

#endif
