package capture

import (
	"errors"
	"fmt"
	"image"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/mediadevices/pkg/frame"
	"github.com/pion/mediadevices/pkg/io/video"
	"github.com/pion/mediadevices/pkg/prop"
	"golang.org/x/sys/unix"
)

const (
	// v4l2Buffers is the queue between driver and reader. A reader that comes
	// late takes the newest picture and drops the rest.
	v4l2Buffers = 4
	// v4l2Poll is how often a reader that waits looks whether the machine slept.
	v4l2Poll = 500 * time.Millisecond
	// v4l2Stall is how long a camera may stay silent; some take 2 s to begin.
	v4l2Stall = 5 * time.Second
	// v4l2BadInARow is how many unusable pictures in a row are too many.
	v4l2BadInARow = 60
)

// v4l2Camera is a driver as mediadevices has them that hands out *Frame,
// converted straight from V4L2's buffers and stamped with their time.
// mediadevices' own cannot: it decodes MJPEG by image/jpeg, knows neither times
// nor strides, and does not notice an unplug.
type v4l2Camera struct {
	path string
	log  *slog.Logger

	node   *v4l2Node
	format v4l2Format
	pixels frame.Format
	jpeg   *jpegDecoder
	pool   framePool
	last   time.Time
	bad    int // unusable ones in a row
	size   sizeGuard
	asleep sleepWatch
	counts *cameraCounts // where pictures that are not handed over are counted

	reading sync.Mutex // held by Read
	stop    int        // eventfd that wakes Read for Close; -1 while there is none
}

func (c *v4l2Camera) Open() error {
	node, err := openV4L2(c.path)
	if err != nil {
		return err
	}
	c.node = node
	if len(c.Properties()) > 0 {
		return nil
	}
	var have []string
	for _, cc := range node.fourccs() {
		have = append(have, fourccName(cc))
	}
	node.close()
	c.node = nil
	return fmt.Errorf("%w: it offers %s, and needed is one of %s", errNoFormat,
		strings.Join(have, ", "), strings.Join(slices.Sorted(maps.Keys(formatNames())), ", "))
}

var errNoFormat = errors.New("it has no usable pixel format")

func (c *v4l2Camera) countIn(counts *cameraCounts) { c.counts = counts }

// agreed is what the driver made of what it was asked for.
func (c *v4l2Camera) agreed() Format {
	return Format{c.format.width &^ 1, c.format.height &^ 1, c.format.fps}
}

// Properties lists what the camera offers and unpack or jpegDecoder understand.
func (c *v4l2Camera) Properties() (all []prop.Media) {
	for _, cc := range c.node.fourccs() {
		pixels := pixelFormats[cc]
		if pixels == "" {
			continue
		}
		for _, s := range c.node.sizes(cc) {
			if max(s[0], s[1]) > maxSide {
				continue
			}
			p := prop.Media{Video: prop.Video{Width: s[0], Height: s[1], FrameFormat: pixels}}
			rates := c.node.rates(cc, s[0], s[1])
			if len(rates) == 0 {
				all = append(all, p)
			}
			for _, r := range rates {
				p.FrameRate = float32(r)
				all = append(all, p)
			}
		}
	}
	return all
}

// IsAvailable tells whether another program uses the camera.
func (c *v4l2Camera) IsAvailable() (bool, error) {
	node, err := openV4L2(c.path)
	if err != nil {
		return false, err
	}
	defer node.close()
	err = node.busy()
	return err == nil, err
}

func (c *v4l2Camera) VideoRecord(p prop.Media) (video.Reader, error) {
	for _, cc := range c.node.fourccs() {
		if pixelFormats[cc] == p.FrameFormat {
			return c.record(v4l2Format{fourcc: cc, width: p.Width, height: p.Height, fps: float64(p.FrameRate)})
		}
	}
	return nil, fmt.Errorf("it does not offer %s", p.FrameFormat)
}

func (c *v4l2Camera) record(want v4l2Format) (_ video.Reader, err error) {
	if c.format, err = c.node.configure(want); err == nil {
		err = c.node.start(v4l2Buffers)
	}
	if err == nil {
		c.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err != nil {
		return nil, err
	}
	c.pixels, c.size = pixelFormats[want.fourcc], sizeGuard{w: c.format.width, h: c.format.height}
	if c.pixels == frame.FormatMJPEG {
		c.jpeg = newJPEGDecoder()
	}
	poll := []unix.PollFd{{Fd: int32(c.node.fd), Events: unix.POLLIN}, {Fd: int32(c.stop), Events: unix.POLLIN}}
	return video.ReaderFunc(func() (image.Image, func(), error) {
		c.reading.Lock()
		defer c.reading.Unlock()
		f, err := c.read(poll)
		if err != nil {
			return nil, nothing, err
		}
		return f, nothing, nil
	}), nil
}

func (c *v4l2Camera) read(poll []unix.PollFd) (*Frame, error) {
	waited := time.Now()
	for {
		if c.node == nil {
			return nil, ErrClosed
		}
		n, err := unix.Poll(poll, int(v4l2Poll.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("waiting for a picture: %w", err)
		case poll[1].Revents != 0:
			return nil, ErrClosed
		case c.asleep.slept(sinceBoot()):
			return nil, errSlept
		case n == 0 && time.Since(waited) >= v4l2Stall:
			return nil, fmt.Errorf("it has sent no picture for %v; unplug it and plug it in again", v4l2Stall)
		case n == 0:
			continue
		}
		p, err := c.newest()
		if errors.Is(err, unix.EAGAIN) && poll[0].Revents&(unix.POLLERR|unix.POLLHUP) == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		f, err := c.convert(p)
		if again := c.node.requeue(p.index); again != nil {
			if f != nil {
				f.Release()
			}
			return nil, again
		}
		if err == nil {
			c.bad = 0
			return f, nil
		}
		if c.counts.corrupt.Add(1) == 1 {
			c.log.Warn("a broken picture is left out, and so are further ones", "path", c.path, "err", err)
		}
		if c.bad++; c.bad >= v4l2BadInARow {
			return nil, fmt.Errorf("%d pictures in a row were unusable: %w", c.bad, err)
		}
	}
}

// newest dequeues what is there and gives all but the last back to the driver.
func (c *v4l2Camera) newest() (v4l2Picture, error) {
	p, err := c.node.dequeue()
	for err == nil {
		next, none := c.node.dequeue()
		if none != nil {
			break // an error is met again by the next call
		}
		c.counts.late.Add(1)
		if err = c.node.requeue(p.index); err == nil {
			p = next
		}
	}
	return p, err
}

var errDamaged = errors.New("the driver says that it is damaged")

func (c *v4l2Camera) convert(p v4l2Picture) (f *Frame, err error) {
	arrived := time.Now()
	if p.damaged || len(p.planes[0]) == 0 {
		return nil, errDamaged
	}
	if c.jpeg != nil {
		f, err = c.jpeg.Decode(p.planes[0], c.room)
	} else {
		f = c.pool.get(c.format.width, c.format.height)
		err = unpack(f, c.pixels, rawPicture{p.planes, c.format.strides}, c.format.width, c.format.height)
		if err != nil {
			f.Release()
		}
	}
	if err != nil {
		return nil, err
	}
	f.Time = stamp(arrived, p.age, c.last)
	c.last = f.Time
	return f, nil
}

// room is a frame for a JPEG of that size, unless it should not be believed.
func (c *v4l2Camera) room(w, h int) *Frame {
	if !c.size.believe(w, h) {
		return nil
	}
	return c.pool.get(w, h)
}

// stamp is when a picture was taken that arrived when it was as old as the
// driver said. A driver whose clock makes no sense is not believed, and time
// does not run backwards.
func stamp(arrived time.Time, age time.Duration, last time.Time) time.Time {
	t := arrived
	if age > 0 && age < time.Second {
		t = arrived.Add(-age)
	}
	if !t.After(last) {
		t = last.Add(time.Microsecond)
	}
	return t
}

// Close unblocks a waiting Read and returns when it has left the buffers.
func (c *v4l2Camera) Close() error {
	if c.node == nil {
		return nil
	}
	if c.stop >= 0 {
		unix.Write(c.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.stop >= 0 {
		unix.Close(c.stop)
		c.stop = -1
	}
	if c.jpeg != nil {
		c.jpeg.close()
		c.jpeg = nil
	}
	err := c.node.close()
	c.node = nil
	c.log.Debug("camera closed", "path", c.path, "late", c.counts.late.Load(), "corrupt", c.counts.corrupt.Load())
	return err
}
