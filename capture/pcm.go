package capture

import (
	"encoding/binary"
	"math"
)

// encoding is how a sample is written, little endian.
type encoding byte

const (
	unsigned8 encoding = iota
	signed16
	signed24
	signed32
	float32le
)

func (e encoding) size() int { return [...]int{1, 2, 3, 4, 4}[e] }

// at is the sample at the beginning of b, within -1 and 1.
func (e encoding) at(b []byte) float32 {
	switch e {
	case unsigned8:
		return float32(int(b[0])-128) / (1 << 7)
	case signed16:
		return float32(int16(binary.LittleEndian.Uint16(b))) / (1 << 15)
	case signed24:
		return float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)) / (1 << 31)
	case signed32:
		return float32(int32(binary.LittleEndian.Uint32(b))) / (1 << 31)
	}
	v := math.Float32frombits(binary.LittleEndian.Uint32(b))
	if v != v {
		return 0
	}
	return min(1, max(-1, v))
}

// pcm is raw sound: interleaved samples.
type pcm struct {
	rate, channels int
	encoding       encoding
}

// block is the length of a sample of all channels.
func (p pcm) block() int { return p.channels * p.encoding.size() }

// out is how many channels are left after the mix.
func (p pcm) out() int { return min(p.channels, 2) }

// convert writes raw to dst as signed 16 bit, mixed to one or two channels.
func (p pcm) convert(dst []int16, raw []byte) {
	n := len(raw) / p.block()
	if p.encoding == signed16 && p.channels <= 2 {
		for i := range dst[:n*p.channels] {
			dst[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
		}
		return
	}
	size, mix := p.encoding.size(), mixes[min(p.channels, len(mixes)-1)]
	for i := range n {
		b := raw[i*p.block():]
		if p.channels == 1 {
			dst[i] = to16(p.encoding.at(b))
			continue
		}
		var left, right float32
		for c, m := range mix {
			v := p.encoding.at(b[c*size:])
			left += m[0] * v
			right += m[1] * v
		}
		dst[2*i], dst[2*i+1] = to16(left), to16(right)
	}
}

func to16(v float32) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, math.Round(float64(v)*(1<<15)))))
}

// mixes has, by the number of channels, what goes of each to the left and the
// right: WAVE's order (front left, right, centre, low frequency, back, side)
// by ITU-R BS.775, scaled so that nothing clips. Channels beyond the eighth
// are left out.
var mixes = [...][][2]float32{
	2: {{1, 0}, {0, 1}},
	3: {{0.586, 0}, {0, 0.586}, {0.414, 0.414}},
	4: {{0.586, 0}, {0, 0.586}, {0.414, 0}, {0, 0.414}},
	5: {{0.414, 0}, {0, 0.414}, {0.293, 0.293}, {0.293, 0}, {0, 0.293}},
	6: {{0.414, 0}, {0, 0.414}, {0.293, 0.293}, {0, 0}, {0.293, 0}, {0, 0.293}},
	7: {{0.343, 0}, {0, 0.343}, {0.243, 0.243}, {0, 0}, {0.171, 0.171}, {0.243, 0}, {0, 0.243}},
	8: {{0.32, 0}, {0, 0.32}, {0.226, 0.226}, {0, 0}, {0.226, 0}, {0, 0.226}, {0.226, 0}, {0, 0.226}},
}
