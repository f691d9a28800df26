package capture

import (
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/mediadevices/pkg/driver"
	"github.com/pion/mediadevices/pkg/frame"
	"github.com/pion/mediadevices/pkg/io/video"
	"github.com/pion/mediadevices/pkg/prop"
	"golang.org/x/sys/unix"
)

const (
	// v4l2Buffers is the queue between driver and reader. A reader that comes
	// late takes the newest picture and drops the rest.
	v4l2Buffers = 4
	// v4l2Stall is how long a camera may stay silent; some take 2 s to begin.
	v4l2Stall = 5 * time.Second
	// v4l2BadInARow is how many unusable pictures in a row are too many.
	v4l2BadInARow = 60
)

// v4l2Camera is a camera for mediadevices' driver manager that hands out
// *Frame, converted straight from the driver's buffers and stamped with the
// driver's time. mediadevices' own cannot: it decodes MJPEG by image/jpeg,
// knows neither times nor strides, and does not notice an unplug.
type v4l2Camera struct {
	path string
	log  *slog.Logger

	node    *v4l2Node
	format  v4l2Format
	pixels  frame.Format
	jpeg    *jpegDecoder
	pool    framePool
	last    time.Time
	bad     int    // in a row
	dropped uint64 // superseded by a newer picture before they were read
	broken  uint64 // damaged on the bus, or not decodable

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
	return fmt.Errorf("it has no usable pixel format: it offers %s, and needed is one of I420, YV12, NV12, NV21, YUYV, UYVY, MJPEG",
		strings.Join(have, ", "))
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
	var err error
	for _, cc := range c.node.fourccs() {
		if pixelFormats[cc] != p.FrameFormat {
			continue
		}
		c.format, err = c.node.configure(v4l2Format{fourcc: cc, width: p.Width, height: p.Height, fps: float64(p.FrameRate)})
		break
	}
	if err == nil {
		err = c.node.start(v4l2Buffers)
	}
	if err == nil {
		c.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err != nil {
		return nil, err
	}
	c.pixels = p.FrameFormat
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
	for {
		if c.node == nil {
			return nil, ErrClosed
		}
		n, err := unix.Poll(poll, int(v4l2Stall.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("waiting for a picture: %w", err)
		case poll[1].Revents != 0:
			return nil, ErrClosed
		case n == 0:
			return nil, fmt.Errorf("it has sent no picture for %v; unplug it and plug it in again", v4l2Stall)
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
		c.broken++
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
		c.dropped++
		if err = c.node.requeue(p.index); err == nil {
			p = next
		}
	}
	return p, err
}

var errDamaged = errors.New("the driver says that it is damaged")

func (c *v4l2Camera) convert(p v4l2Picture) (f *Frame, err error) {
	arrived := time.Now()
	if p.damaged || len(p.data) == 0 {
		return nil, errDamaged
	}
	if c.jpeg != nil {
		f, err = c.jpeg.Decode(p.data, c.pool.get)
	} else if f = c.pool.get(c.format.width, c.format.height); true {
		err = unpack(f, c.pixels, p.data, c.format.stride, c.format.width, c.format.height)
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
	if c.dropped+c.broken > 0 {
		c.log.Debug("camera closed", "path", c.path, "dropped", c.dropped, "unusable", c.broken)
	}
	return err
}

// fourccName spells a V4L2 pixel format as v4l2-ctl does.
func fourccName(cc uint32) string {
	return strings.TrimSpace(string([]byte{byte(cc), byte(cc >> 8), byte(cc >> 16), byte(cc>>24) & 0x7f}))
}

func fourcc(name string) uint32 {
	return uint32(name[0]) | uint32(name[1])<<8 | uint32(name[2])<<16 | uint32(name[3])<<24
}

// pixelFormats names the V4L2 pixel formats that can be turned into I420.
var pixelFormats = map[uint32]frame.Format{
	fourcc("YU12"): frame.FormatI420,
	fourcc("YV12"): formatYV12,
	fourcc("NV12"): frame.FormatNV12,
	fourcc("NV21"): frame.FormatNV21,
	fourcc("YUYV"): frame.FormatYUYV,
	fourcc("UYVY"): frame.FormatUYVY,
	fourcc("MJPG"): frame.FormatMJPEG,
	fourcc("JPEG"): frame.FormatMJPEG,
}

const labelSeparator = ";"

// cameraDevice undoes what registerCameras made of a camera. The nodes' order
// is the order in which cameras were plugged in; video0 is the default.
func cameraDevice(i driver.Info) (d Device, order int) {
	id, node, _ := strings.Cut(i.Label, labelSeparator)
	return Device{Kind: KindCamera, ID: id, Name: i.Name, Path: node}, nodeNumber(node)
}

// registerCameras registers the cameras that are plugged in now. Nodes that are no cameras (metadata, outputs, codecs) are
// left out; one that may not be opened is kept, so that the error can be told.
func registerCameras(m *driver.Manager, log *slog.Logger) error {
	nodes, err := filepath.Glob("/dev/video*")
	if err != nil {
		return fmt.Errorf("listing cameras: %w", err)
	}
	stable := stableNames("/dev/v4l/by-id/*", "/dev/v4l/by-path/*")
	for _, node := range nodes {
		name := sysName(node)
		n, err := openV4L2(node)
		switch {
		case err == nil:
			name = n.card
			n.close()
		case errors.Is(err, errNotCamera), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO):
			continue
		case sysIndex(node) > 0: // a camera's second node, most likely of metadata
			continue
		}
		id := stable[node]
		if id == "" {
			id = node
		}
		if err := m.Register(&v4l2Camera{path: node, log: log, stop: -1}, driver.Info{
			DeviceType: driver.Camera, Name: name, Label: id + labelSeparator + node,
		}); err != nil {
			return fmt.Errorf("registering camera %s: %w", node, err)
		}
	}
	return nil
}

// cameraReason says what an error of V4L2 means and what to do.
func cameraReason(err error) string {
	switch {
	case isBusy(err):
		return "another program uses it; end that program or choose another camera"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "you may not; add yourself to the group video (sudo usermod -aG video $USER) and log in again"
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENOENT):
		return "it was unplugged"
	case errors.Is(err, unix.ENOSPC):
		return "the USB bus has no room for it; plug it into another port or ask for a smaller size"
	}
	return ""
}

func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) }

func nodeNumber(path string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "video"))
	if err != nil {
		return 1 << 20
	}
	return n
}

// stableNames maps nodes to the first link to them that the patterns find.
func stableNames(patterns ...string) map[string]string {
	names := make(map[string]string)
	for _, pattern := range patterns {
		links, _ := filepath.Glob(pattern) // fails only for a bad pattern
		for _, link := range links {
			if node, err := filepath.EvalSymlinks(link); err == nil && names[node] == "" {
				names[node] = link
			}
		}
	}
	return names
}

func sysName(node string) string {
	b, err := os.ReadFile("/sys/class/video4linux/" + filepath.Base(node) + "/name")
	if err != nil {
		return filepath.Base(node)
	}
	return strings.TrimSpace(string(b))
}

func sysIndex(node string) int {
	b, _ := os.ReadFile("/sys/class/video4linux/" + filepath.Base(node) + "/index")
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}
