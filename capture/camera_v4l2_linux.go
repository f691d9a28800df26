package capture

/*
#include <errno.h>
#include <linux/videodev2.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int v4l2(int fd, unsigned long request, void *arg) {
	int r;
	do r = ioctl(fd, request, arg); while (r < 0 && errno == EINTR);
	return r;
}

// What lies in unions, out of cgo's reach.
static struct v4l2_fract rate_of(const struct v4l2_frmivalenum *i) { return i->discrete; }
static struct v4l2_frmival_stepwise rates_of(const struct v4l2_frmivalenum *i) { return i->stepwise; }
static struct v4l2_frmsize_discrete size_of(const struct v4l2_frmsizeenum *s) { return s->discrete; }
static struct v4l2_frmsize_stepwise sizes_of(const struct v4l2_frmsizeenum *s) { return s->stepwise; }
static struct v4l2_pix_format *pix(struct v4l2_format *f) { return &f->fmt.pix; }
static struct v4l2_captureparm *capture_parm(struct v4l2_streamparm *p) { return &p->parm.capture; }
static struct v4l2_pix_format_mplane *pix_mp(struct v4l2_format *f) { return &f->fmt.pix_mp; }
static struct v4l2_plane_pix_format *pix_plane(struct v4l2_format *f, int i) { return &f->fmt.pix_mp.plane_fmt[i]; }

// a buffer and, for the multi-planar API, its planes
struct buffer {
	struct v4l2_buffer b;
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
};

static void prepare(struct buffer *b, unsigned int type, unsigned int index, unsigned int planes) {
	*b = (struct buffer){.b = {.type = type, .index = index, .memory = V4L2_MEMORY_MMAP}};
	if (planes) {
		b->b.m.planes = b->planes;
		b->b.length = planes;
	}
}

static unsigned int offset(const struct buffer *b, int plane) {
	return b->b.m.planes == b->planes ? b->planes[plane].m.mem_offset : b->b.m.offset;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// v4l2Node is an open V4L2 capture device
// (https://www.kernel.org/doc/html/latest/userspace-api/media/v4l/v4l2.html).
type v4l2Node struct {
	fd        int
	card, bus string
	driver    string
	kind      C.uint // of buffers: V4L2_BUF_TYPE_VIDEO_CAPTURE, or _MPLANE with several planes each
	planes    int    // of a picture, in the multi-planar API; else 0
	buffers   [][3][]byte
	streaming bool
	buf       *C.struct_buffer // in C's memory, as it points to itself
}

// v4l2Format is what a node agreed to.
type v4l2Format struct {
	fourcc        uint32
	width, height int
	strides       [3]int
	fps           float64
}

// v4l2Picture is a filled buffer, the driver's again after requeue.
type v4l2Picture struct {
	planes  [3][]byte // of the single-planar API one
	index   uint32
	age     time.Duration // since the driver stamped it; negative: not known
	damaged bool
}

// processors are drivers of image processors (Raspberry Pi), which capture what
// is put into them.
var processors = []string{"bcm2835-isp", "pispbe"}

var errNotCamera = errors.New("it does not capture video")

func openV4L2(path string) (*v4l2Node, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	n := &v4l2Node{fd: fd, kind: C.V4L2_BUF_TYPE_VIDEO_CAPTURE, buf: (*C.struct_buffer)(C.calloc(1, C.sizeof_struct_buffer))}
	var c C.struct_v4l2_capability
	if err := n.ioctl(C.VIDIOC_QUERYCAP, unsafe.Pointer(&c)); err != nil {
		n.close()
		return nil, fmt.Errorf("%w (%w)", errNotCamera, err)
	}
	caps := c.capabilities
	if caps&C.V4L2_CAP_DEVICE_CAPS != 0 {
		caps = c.device_caps // of this node; the other field is of all nodes together
	}
	n.card, n.bus, n.driver = cString(c.card[:]), cString(c.bus_info[:]), cString(c.driver[:])
	if caps&C.V4L2_CAP_VIDEO_CAPTURE == 0 && caps&C.V4L2_CAP_VIDEO_CAPTURE_MPLANE != 0 {
		n.kind = C.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
	}
	captures := caps&(C.V4L2_CAP_VIDEO_CAPTURE|C.V4L2_CAP_VIDEO_CAPTURE_MPLANE) != 0
	if !captures || caps&C.V4L2_CAP_STREAMING == 0 || slices.Contains(processors, n.driver) { // metadata, output, codecs, radio
		n.close()
		return nil, errNotCamera
	}
	return n, nil
}

func cString(b []C.uchar) string {
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(b))), len(b)))
}

func (n *v4l2Node) ioctl(request C.ulong, arg unsafe.Pointer) error {
	if r, err := C.v4l2(C.int(n.fd), request, arg); r < 0 {
		return err
	}
	return nil
}

// fourccs lists the pixel formats that the node offers.
func (n *v4l2Node) fourccs() (all []uint32) {
	for i := C.uint(0); ; i++ {
		d := C.struct_v4l2_fmtdesc{index: i, _type: n.kind}
		if n.ioctl(C.VIDIOC_ENUM_FMT, unsafe.Pointer(&d)) != nil {
			return all
		}
		all = append(all, uint32(d.pixelformat))
	}
}

// sizes lists the picture sizes of a pixel format, and of a range of sizes the
// usual ones in it and its largest.
func (n *v4l2Node) sizes(fourcc uint32) (all [][2]int) {
	for i := C.uint(0); ; i++ {
		e := C.struct_v4l2_frmsizeenum{index: i, pixel_format: C.uint(fourcc)}
		if n.ioctl(C.VIDIOC_ENUM_FRAMESIZES, unsafe.Pointer(&e)) != nil {
			return all
		}
		if e._type == C.V4L2_FRMSIZE_TYPE_DISCRETE {
			s := C.size_of(&e)
			all = append(all, [2]int{int(s.width), int(s.height)})
			continue
		}
		s := C.sizes_of(&e)
		return sizesIn(
			sizeRange{int(s.min_width), int(s.max_width), int(s.step_width)},
			sizeRange{int(s.min_height), int(s.max_height), int(s.step_height)})
	}
}

// rates lists the frame rates at a size, and of a range of rates the usual
// ones in it and its largest. None: the driver does not tell.
func (n *v4l2Node) rates(fourcc uint32, width, height int) (all []float64) {
	for i := C.uint(0); ; i++ {
		e := C.struct_v4l2_frmivalenum{index: i, pixel_format: C.uint(fourcc), width: C.uint(width), height: C.uint(height)}
		if n.ioctl(C.VIDIOC_ENUM_FRAMEINTERVALS, unsafe.Pointer(&e)) != nil {
			return all
		}
		if e._type == C.V4L2_FRMIVAL_TYPE_DISCRETE {
			if fps := perSecond(C.rate_of(&e)); fps > 0 {
				all = append(all, fps)
			}
			continue
		}
		s := C.rates_of(&e)
		return ratesIn(perSecond(s.max), perSecond(s.min)) // the longest interval is the lowest rate
	}
}

func perSecond(interval C.struct_v4l2_fract) float64 {
	if interval.numerator == 0 {
		return 0
	}
	return float64(interval.denominator) / float64(interval.numerator)
}

// busy returns EBUSY while another program streams from the node. Asking for
// no buffers at all changes nothing.
func (n *v4l2Node) busy() error {
	r := C.struct_v4l2_requestbuffers{_type: n.kind, memory: C.V4L2_MEMORY_MMAP}
	return n.ioctl(C.VIDIOC_REQBUFS, unsafe.Pointer(&r))
}

// configure sets format and rate and returns what the driver made of them.
func (n *v4l2Node) configure(want v4l2Format) (v4l2Format, error) {
	f := C.struct_v4l2_format{_type: n.kind}
	p, mp := C.pix(&f), C.pix_mp(&f)
	if n.kind == C.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE {
		mp.width, mp.height, mp.pixelformat, mp.field = C.uint(want.width), C.uint(want.height), C.uint(want.fourcc), C.V4L2_FIELD_ANY
	} else {
		p.width, p.height, p.pixelformat, p.field = C.uint(want.width), C.uint(want.height), C.uint(want.fourcc), C.V4L2_FIELD_ANY
	}
	if err := n.ioctl(C.VIDIOC_S_FMT, unsafe.Pointer(&f)); err != nil {
		return v4l2Format{}, fmt.Errorf("setting %dx%d: %w", want.width, want.height, err)
	}
	got := v4l2Format{uint32(p.pixelformat), int(p.width), int(p.height), [3]int{int(p.bytesperline)}, want.fps}
	if n.kind == C.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE {
		got = v4l2Format{uint32(mp.pixelformat), int(mp.width), int(mp.height), [3]int{}, want.fps}
		n.planes = min(int(mp.num_planes), len(got.strides))
		for i := range n.planes {
			got.strides[i] = int(C.pix_plane(&f, C.int(i)).bytesperline)
		}
	}
	if got.fourcc != want.fourcc {
		return got, fmt.Errorf("it offers %s but sets %s", fourccName(want.fourcc), fourccName(got.fourcc))
	}
	// Not every driver lets the rate be set; the pictures' own times tell it then.
	s := C.struct_v4l2_streamparm{_type: n.kind}
	if n.ioctl(C.VIDIOC_G_PARM, unsafe.Pointer(&s)) != nil {
		return got, nil
	}
	c := C.capture_parm(&s)
	if c.capability&C.V4L2_CAP_TIMEPERFRAME != 0 && want.fps > 0 {
		c.timeperframe.numerator, c.timeperframe.denominator = 1000, C.uint(want.fps*1000+0.5)
		if err := n.ioctl(C.VIDIOC_S_PARM, unsafe.Pointer(&s)); err != nil {
			return got, fmt.Errorf("setting %g frames/s: %w", want.fps, err)
		}
	}
	got.fps = perSecond(c.timeperframe)
	return got, nil
}

// start maps count buffers, or as many as the driver likes, and streams.
func (n *v4l2Node) start(count int) error {
	r := C.struct_v4l2_requestbuffers{count: C.uint(count), _type: n.kind, memory: C.V4L2_MEMORY_MMAP}
	if err := n.ioctl(C.VIDIOC_REQBUFS, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("requesting buffers: %w", err)
	}
	for i := range uint32(r.count) {
		if err := n.mapBuffer(i); err != nil {
			return fmt.Errorf("mapping buffer: %w", err)
		}
		if err := n.requeue(i); err != nil {
			return err
		}
	}
	kind := n.kind
	if err := n.ioctl(C.VIDIOC_STREAMON, unsafe.Pointer(&kind)); err != nil {
		return fmt.Errorf("starting the stream: %w", err)
	}
	n.streaming = true
	return nil
}

func (n *v4l2Node) mapBuffer(index uint32) error {
	C.prepare(n.buf, n.kind, C.uint(index), C.uint(n.planes))
	if err := n.ioctl(C.VIDIOC_QUERYBUF, unsafe.Pointer(n.buf)); err != nil {
		return err
	}
	n.buffers = append(n.buffers, [3][]byte{})
	for i := range max(1, n.planes) {
		length := n.buf.b.length
		if n.planes > 0 {
			length = n.buf.planes[i].length
		}
		m, err := unix.Mmap(n.fd, int64(C.offset(n.buf, C.int(i))), int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		n.buffers[index][i] = m
	}
	return nil
}

// dequeue takes the oldest filled buffer; EAGAIN: there is none.
func (n *v4l2Node) dequeue() (v4l2Picture, error) {
	C.prepare(n.buf, n.kind, 0, C.uint(n.planes))
	if err := n.ioctl(C.VIDIOC_DQBUF, unsafe.Pointer(n.buf)); err != nil {
		return v4l2Picture{}, err
	}
	b := &n.buf.b
	p := v4l2Picture{index: uint32(b.index), age: -1, damaged: b.flags&C.V4L2_BUF_FLAG_ERROR != 0}
	for i, room := range n.buffers[b.index] {
		used, skip := int(b.bytesused), 0
		if n.planes > 0 {
			used, skip = int(n.buf.planes[i].bytesused), int(n.buf.planes[i].data_offset)
		}
		if room != nil {
			used = min(used, len(room))
			p.planes[i] = room[min(skip, used):used]
		}
	}
	if b.flags&C.V4L2_BUF_FLAG_TIMESTAMP_MASK == C.V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC {
		var now unix.Timespec
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil {
			stamp := int64(b.timestamp.tv_sec)*1e9 + int64(b.timestamp.tv_usec)*1e3
			p.age = time.Duration(now.Nano() - stamp)
		}
	}
	return p, nil
}

func (n *v4l2Node) requeue(index uint32) error {
	C.prepare(n.buf, n.kind, C.uint(index), C.uint(n.planes))
	if err := n.ioctl(C.VIDIOC_QBUF, unsafe.Pointer(n.buf)); err != nil {
		return fmt.Errorf("queueing buffer: %w", err)
	}
	return nil
}

// close stops streaming and gives everything back.
func (n *v4l2Node) close() error {
	if n.streaming {
		kind := n.kind
		n.ioctl(C.VIDIOC_STREAMOFF, unsafe.Pointer(&kind)) // fails once unplugged; closing does it all the same
	}
	for _, planes := range n.buffers {
		for _, b := range planes {
			if b != nil {
				unix.Munmap(b)
			}
		}
	}
	n.buffers, n.streaming = nil, false
	C.free(unsafe.Pointer(n.buf))
	n.buf = nil
	return unix.Close(n.fd)
}
