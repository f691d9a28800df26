#include "scale.h"

#include <string.h>

// pair is two neighbouring pixels as one number. Only their sum matters, so
// the byte order does not.
static inline uint16_t pair(const uint8_t *p) {
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint16_t sum(uint16_t v) { return (v & 0xff) + (v >> 8); }

void peercam_halve(uint8_t *restrict to, int to_stride, const uint8_t *restrict from,
	int from_stride, int width, int height) {
	for (int y = 0; y < height; y++) {
		const uint8_t *above = from, *below = from + from_stride;
		for (int x = 0; x < width; x++) // compilers make vectors of this
			to[x] = (uint8_t)((sum(pair(above + 2 * x)) + sum(pair(below + 2 * x)) + 2) >> 2);
		to += to_stride;
		from += 2 * from_stride;
	}
}
