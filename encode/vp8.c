#include "vp8.h"

#include <string.h>
#include <vpx/vp8cx.h>

static void set_rate(vpx_codec_enc_cfg_t *c, const unsigned int kbits[3], int layered) {
	static const unsigned int ids[4] = {0, 2, 1, 2};
	c->rc_target_bitrate = kbits[2];
	c->ts_number_layers = layered ? 3 : 1;
	c->ts_periodicity = 4;
	for (int i = 0; i < 3; i++) {
		c->ts_target_bitrate[i] = kbits[i];
		c->ts_rate_decimator[i] = 4 >> i;
	}
	memcpy(c->ts_layer_id, ids, sizeof ids);
}

vpx_codec_err_t peercam_vp8_open(peercam_vp8_encoder *e, const peercam_vp8_settings *s) {
	vpx_codec_enc_cfg_t *c = &e->cfg;
	vpx_codec_err_t err = vpx_codec_enc_config_default(vpx_codec_vp8_cx(), c, 0);
	if (err) return err;
	c->g_w = s->width;
	c->g_h = s->height;
	c->g_threads = s->threads;
	c->g_timebase.num = 1;
	c->g_timebase.den = 90000;
	c->g_error_resilient = VPX_ERROR_RESILIENT_DEFAULT;
	c->g_pass = VPX_RC_ONE_PASS;
	c->g_lag_in_frames = 0;
	set_rate(c, s->kbits, s->layered);
	c->rc_end_usage = VPX_CBR;
	c->rc_min_quantizer = s->min_q;
	c->rc_max_quantizer = s->max_q;
	c->rc_undershoot_pct = 100;
	c->rc_overshoot_pct = 15;
	// Milliseconds of bit rate, as libwebrtc has them: a short buffer, for what
	// it holds is delay in the sender's pacer.
	c->rc_buf_initial_sz = 500;
	c->rc_buf_optimal_sz = 600;
	c->rc_buf_sz = 1000;
	// Whether a picture is left out is decided before: where the target rises, libvpx takes
	// its buffer, which is as full as it was, for empty, and leaves out a second of pictures.
	c->rc_dropframe_thresh = 0;
	c->rc_resize_allowed = 0;
	c->kf_mode = VPX_KF_AUTO;
	c->kf_max_dist = s->key_interval;

	memset(&e->ctx, 0, sizeof e->ctx);
	err = vpx_codec_enc_init(&e->ctx, vpx_codec_vp8_cx(), c, 0);
	if (err) return err;
	e->open = 1;
	if ((err = vpx_codec_control(&e->ctx, VP8E_SET_CPUUSED, s->cpu_used)) ||
	    (err = vpx_codec_control(&e->ctx, VP8E_SET_NOISE_SENSITIVITY, 0)) ||
	    (err = vpx_codec_control(&e->ctx, VP8E_SET_STATIC_THRESHOLD, 1)) ||
	    (err = vpx_codec_control(&e->ctx, VP8E_SET_TOKEN_PARTITIONS, (int)s->partitions_log2)) ||
	    (err = vpx_codec_control(&e->ctx, VP8E_SET_MAX_INTRA_BITRATE_PCT, s->max_intra_pct)) ||
	    (err = vpx_codec_control(&e->ctx, VP8E_SET_SCREEN_CONTENT_MODE, 0)))
		return err;
	return VPX_CODEC_OK;
}

vpx_codec_err_t peercam_vp8_set_rate(peercam_vp8_encoder *e, const unsigned int kbits[3], int layered) {
	set_rate(&e->cfg, kbits, layered);
	return vpx_codec_enc_config_set(&e->ctx, &e->cfg);
}

vpx_codec_err_t peercam_vp8_set_cpu_used(peercam_vp8_encoder *e, int cpu_used) {
	return vpx_codec_control(&e->ctx, VP8E_SET_CPUUSED, cpu_used);
}

vpx_codec_err_t peercam_vp8_bound(peercam_vp8_encoder *e, unsigned int min_q) {
	if (e->cfg.rc_min_quantizer == min_q) return VPX_CODEC_OK;
	e->cfg.rc_min_quantizer = min_q;
	return vpx_codec_enc_config_set(&e->ctx, &e->cfg);
}

vpx_codec_err_t peercam_vp8_encode(peercam_vp8_encoder *e, unsigned char *y, unsigned char *cb,
	unsigned char *cr, int y_stride, int c_stride, int64_t pts,
	unsigned long duration, vpx_enc_frame_flags_t flags, int layer) {
	vpx_codec_err_t err;
	vpx_image_t img;
	vpx_codec_iter_t iter = NULL;
	const vpx_codec_cx_pkt_t *pkt;

	e->data = NULL;
	e->size = 0;
	e->key = 0;
	vpx_img_wrap(&img, VPX_IMG_FMT_I420, e->cfg.g_w, e->cfg.g_h, 1, y);
	img.planes[VPX_PLANE_Y] = y;
	img.planes[VPX_PLANE_U] = cb;
	img.planes[VPX_PLANE_V] = cr;
	img.stride[VPX_PLANE_Y] = y_stride;
	img.stride[VPX_PLANE_U] = c_stride;
	img.stride[VPX_PLANE_V] = c_stride;
	if (e->cfg.ts_number_layers > 1 && (err = vpx_codec_control(&e->ctx, VP8E_SET_TEMPORAL_LAYER_ID, layer)))
		return err;
	if ((err = vpx_codec_encode(&e->ctx, &img, pts, duration, flags, VPX_DL_REALTIME)))
		return err;
	while ((pkt = vpx_codec_get_cx_data(&e->ctx, &iter))) {
		if (pkt->kind != VPX_CODEC_CX_FRAME_PKT) continue;
		e->data = pkt->data.frame.buf;
		e->size = pkt->data.frame.sz;
		e->key = (pkt->data.frame.flags & VPX_FRAME_IS_KEY) != 0;
	}
	return vpx_codec_control(&e->ctx, VP8E_GET_LAST_QUANTIZER_64, &e->quantizer);
}

void peercam_vp8_close(peercam_vp8_encoder *e) {
	if (e->open) vpx_codec_destroy(&e->ctx);
	e->open = 0;
	e->data = NULL;
}

const char *peercam_vp8_error(peercam_vp8_encoder *e, vpx_codec_err_t err) {
	const char *detail = e->open ? vpx_codec_error_detail(&e->ctx) : e->ctx.err_detail;
	return detail ? detail : vpx_codec_err_to_string(err);
}
