package encode

import (
	"math"
	"runtime"
	"time"
)

// tune chooses libvpx's cpu-used and the threads for one picture, such that a
// 30 Hz stream leaves at least half of the machine to others and encoding adds
// less than half a frame's time to the picture's age.
//
// Measured at 1280x720 on one 2.8 GHz x86 core: -6 takes 5 ms a frame, -8 8 %
// less, -12 22 % less for 1 dB. Small pictures are cheap and gain from -4.
// In temporal layers things move further from one picture to the one that it refers to,
// and what -6 finds of that is not worth its time: -8 takes 10 to 25 % less.
// Threads cost some 10 % in all and only pay where one core would be late.
// slow: cores of a Raspberry Pi's kind, some four times slower.
func tune(width, height, cores int, slow, layered bool) (cpuUsed, threads int) {
	pixels := width * height
	switch {
	case slow && pixels > 1280*720:
		cpuUsed = -12
	case slow && pixels > 640*360:
		cpuUsed = -10
	case slow:
		cpuUsed = -8
	case pixels <= 480*270:
		cpuUsed = -4
	case pixels <= 640*360 || pixels <= 1920*1080 && !layered:
		cpuUsed = -6
	default:
		cpuUsed = -8
	}
	switch {
	case pixels > 1920*1080:
		threads = 4
	case pixels > 1280*720 || slow && pixels > 640*360:
		threads = 2
	default:
		threads = 1
	}
	// One core is left for capture and sending.
	return cpuUsed, max(1, min(threads, cores-1))
}

// slowCores guesses whether this is a small ARM board: they have four cores at
// most, where ARM laptops and servers have more.
func slowCores() bool {
	return runtime.GOARCH == "arm" || runtime.GOARCH == "arm64" && runtime.NumCPU() <= 4
}

// partitionsLog2 is the token partitions (RFC 6386, 9.5) that keep so many
// threads busy, as the binary logarithm libvpx wants: at most 3, for 8.
func partitionsLog2(threads int) int {
	return min(3, int(math.Ceil(math.Log2(float64(max(1, threads))))))
}

// maxIntraPercent bounds a key frame, in percent of an average frame: half of
// what the rate control's optimal buffer of 600 ms holds, as libwebrtc does,
// so that it passes the link in 300 ms; in a steady stream no more than any picture.
func maxIntraPercent(fps float64, steadily bool) int {
	if steadily {
		return int(100 * max(mostGaps, fps*mostTime.Seconds()))
	}
	return max(300, int(0.5*600*fps/10))
}

// kbits is bit/s as libvpx takes them; zero would turn the rate control off.
func kbits(bps int) int { return max(1, (bps+500)/1000) }

// ptsClock turns the times of frames into libvpx's at 90 kHz. Its rate control
// takes every gap for a new frame rate, and on a machine that is busy leaves
// out half of the pictures of a jittering source though the bits would do. So
// it is told the average gap, which the true ones move: not a jitter, not the
// bits of a pause.
type ptsClock struct {
	last    time.Time
	pts     int64
	average int64 // of the gaps, ticks
}

const (
	clockRate = 90000
	leastGap  = clockRate / 240
	mostGap   = clockRate
)

func newPTSClock(fps float64) ptsClock {
	return ptsClock{average: min(mostGap, max(leastGap, int64(clockRate/fps)))}
}

// gap is the average one.
func (c *ptsClock) gap() time.Duration { return time.Duration(c.average) * time.Second / clockRate }

// leave passes over a frame taken at t: those that follow are no larger for it.
func (c *ptsClock) leave(t time.Time) { c.last = t }

// skip gives the start of a frame's second encoding: libvpx takes it for the next.
func (c *ptsClock) skip() int64 {
	c.pts += c.average
	return c.pts
}

// next gives when the frame taken at t starts and how long it lasts, in ticks.
func (c *ptsClock) next(t time.Time) (pts, duration int64) {
	if !c.last.IsZero() {
		gap := int64(math.Round(t.Sub(c.last).Seconds() * clockRate))
		gap = min(max(gap, leastGap), 3*c.average, mostGap)
		c.average += (gap - c.average) / 16
		c.pts += c.average
	}
	c.last = t
	return c.pts, c.average
}
