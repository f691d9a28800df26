package capture

import "image"

// The barcode is a row of cells at the picture's upper left, each a fortieth of
// the picture's width square: white, black, 24 bits of the capture time in Unix
// milliseconds, most significant first, and their parity. A one is white (luma
// 235), a zero black (16), chroma is 128. It survives scaling and compression,
// and repeats after 4.66 hours.
const (
	barcodeBits  = 24
	barcodeCells = 2 + barcodeBits + 1
	barcodeUnit  = 40 // cells to the picture's width
)

// cellEdge is where cell i begins, in pixels.
func cellEdge(i, width int) int { return i * width / barcodeUnit }

func drawBarcode(dst *image.YCbCr, unixMilli int64) {
	w := dst.Rect.Dx()
	parity := byte(0)
	for i := range barcodeCells {
		var bit byte
		switch {
		case i == 0:
			bit = 1
		case i == 1:
		case i < 2+barcodeBits:
			bit = byte(unixMilli>>(barcodeBits+1-i)) & 1
			parity ^= bit
		default:
			bit = parity
		}
		luma := byte(16)
		if bit == 1 {
			luma = 235
		}
		fillLuma(dst, image.Rect(cellEdge(i, w), 0, cellEdge(i+1, w), cellEdge(1, w)), luma)
	}
}

// ReadBarcode reads the test picture's barcode: the capture time in Unix
// milliseconds modulo 2^24, also from a picture that was scaled or compressed.
// It is not ok when there is none or its parity is wrong.
func ReadBarcode(img *image.YCbCr) (ms uint32, ok bool) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w < barcodeUnit || h < cellEdge(1, w) {
		return 0, false
	}
	parity := uint32(0)
	for i := range barcodeCells {
		mean := cellMean(img, i)
		bit := uint32(0)
		switch {
		case mean > 160:
			bit = 1
		case mean > 92:
			return 0, false // neither black nor white: no barcode
		}
		switch {
		case i < 2:
			if bit != uint32(1-i) {
				return 0, false
			}
		case i < 2+barcodeBits:
			ms = ms<<1 | bit
			parity ^= bit
		case bit != parity:
			return 0, false
		}
	}
	return ms, true
}

// cellMean is the mean luma of the middle of cell i, where neighbours do not
// bleed in.
func cellMean(img *image.YCbCr, i int) int {
	w := img.Rect.Dx()
	x0, x1, side := cellEdge(i, w), cellEdge(i+1, w), cellEdge(1, w)
	dx, dy := (x1-x0)/4, side/4
	sum, n := 0, 0
	for y := dy; y < max(side-dy, dy+1); y++ {
		o := img.YOffset(img.Rect.Min.X+x0, img.Rect.Min.Y+y)
		for _, v := range img.Y[o+dx : o+max(x1-x0-dx, dx+1)] {
			sum += int(v)
			n++
		}
	}
	return sum / n
}
