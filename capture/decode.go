package capture

// VP8Decoder decodes a stream of VP8 (RFC 6386) by libvpx. It serves one
// goroutine; Close gives its memory back, which is C's.
type VP8Decoder struct {
	vp8  *vp8Decoder
	pool framePool
}

// NewVP8Decoder makes a decoder, which begins with a key frame.
func NewVP8Decoder() (*VP8Decoder, error) {
	vp8, err := newVP8Decoder()
	if err != nil {
		return nil, err
	}
	return &VP8Decoder{vp8: vp8}, nil
}

// Decode returns the picture after one encoded frame, which the caller stamps
// and releases; nil when it is not to be shown. After an error the next key
// frame begins anew.
func (d *VP8Decoder) Decode(data []byte) (*Frame, error) { return d.vp8.decode(data, d.pool.get) }

// Close frees the decoder.
func (d *VP8Decoder) Close() { d.vp8.close() }
