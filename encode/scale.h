#ifndef PEERCAM_SCALE_H
#define PEERCAM_SCALE_H

#include <stdint.h>

// peercam_halve makes width x height pixels of one plane out of the averages of as
// many blocks of two by two, rounded. Strides are in bytes.
void peercam_halve(uint8_t *restrict to, int to_stride, const uint8_t *restrict from,
	int from_stride, int width, int height);

#endif
