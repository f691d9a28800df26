package capture

/*
#include <stdlib.h>
*/
import "C"

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unsafe"

	"github.com/gen2brain/malgo"
	"github.com/pion/mediadevices/pkg/driver"
	"github.com/pion/mediadevices/pkg/io/audio"
	"github.com/pion/mediadevices/pkg/prop"
	"github.com/pion/mediadevices/pkg/wave"
)

const (
	// micRate is the best of the rates that a microphone offers: Opus' own.
	micRate = 48000
	// leastMicRate and mostMicRate bound what can be resampled; miniaudio
	// converts others to micRate.
	leastMicRate, mostMicRate = 8000, 192000
	// micPeriod is how much sound the device hands over at once.
	micPeriod = 10 * time.Millisecond
	// micPeriods is for how many of these PulseAudio keeps room: it is no delay,
	// but how long a busy machine may keep the callback waiting until sound is
	// lost. miniaudio's own 3 are over in 30 ms.
	micPeriods = 20
	// micBegin and micStall are how long a microphone may take to begin
	// (PulseAudio's null sink 2 s, Bluetooth longer), and then be silent:
	// miniaudio does not notice every unplug.
	micBegin = 5 * time.Second
	micStall = 1500 * time.Millisecond
)

// malgoMicrophone is a microphone for mediadevices' driver manager that hands
// out *stampedSound. mediadevices' own cannot: it hands out miniaudio's buffer
// uncopied, does not notice an unplug, and panics where there is no sound.
type malgoMicrophone struct {
	backend malgo.Backend
	id      malgo.DeviceID
	follow  malgo.DeviceID // the default; reads end when another is; zero: whatever happens
	log     *slog.Logger

	context *malgo.AllocatedContext
	native  []malgo.DataFormat
	device  *malgo.Device
	ring    *soundRing
	stop    func(error)   // ends reads
	ended   chan struct{} // closed by stop
	watch   sync.WaitGroup
}

// stampedSound carries the time through mediadevices' audio.Reader.
type stampedSound struct {
	wave.Int16Interleaved
	Time time.Time // of the first sample
}

// micBackends are the sound systems to ask; the first that answers is used.
func micBackends() []malgo.Backend {
	switch runtime.GOOS {
	case "darwin":
		return []malgo.Backend{malgo.BackendCoreaudio}
	case "windows":
		return []malgo.Backend{malgo.BackendWasapi, malgo.BackendWinmm}
	}
	return []malgo.Backend{malgo.BackendPulseaudio, malgo.BackendAlsa} // PipeWire answers as PulseAudio
}

// foundMicrophone is a microphone and what is known of it before it is opened.
type foundMicrophone struct {
	*malgoMicrophone
	info driver.Info
}

// findMicrophones looks for those that are plugged in now; none where there is
// no sound system at all. follow: reads end with errMoved when another one
// becomes the default.
func findMicrophones(follow bool, log *slog.Logger) (found []foundMicrophone, err error) {
	hushALSA()
	for _, b := range micBackends() {
		ctx, err := malgo.InitContext([]malgo.Backend{b}, malgo.ContextConfig{}, nil)
		if err != nil {
			continue
		}
		all, err := ctx.Devices(malgo.Capture)
		closeContext(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing microphones: %w", err)
		}
		var main malgo.DeviceID
		if i := slices.IndexFunc(all, isDefault); i >= 0 && follow && b != malgo.BackendAlsa { // ALSA's default is a file
			main = all[i].ID
		}
		for _, d := range all {
			id := deviceID(d.ID)
			if b == malgo.BackendAlsa && !isALSAMicrophone(id) {
				continue
			}
			info := driver.Info{DeviceType: driver.Microphone, Name: d.Name(), Label: id}
			if isDefault(d) {
				info.Priority = driver.PriorityHigh
			}
			found = append(found, foundMicrophone{&malgoMicrophone{backend: b, id: d.ID, follow: main, log: log}, info})
		}
		return found, nil
	}
	return nil, nil
}

func isDefault(d malgo.DeviceInfo) bool { return d.IsDefault != 0 }

// isALSAMicrophone tells the default and the cards (":0,0") from ALSA's other
// PCMs: one that delivers zeros as fast as it is read (null), and others that
// are the default again through some plugin.
func isALSAMicrophone(id string) bool {
	return id == "default" || strings.HasPrefix(id, ":") || strings.HasPrefix(id, "hw:")
}

// deviceID is the sound system's identifier as text.
func deviceID(id malgo.DeviceID) string {
	if runtime.GOOS == "windows" { // wchar_t
		u := unsafe.Slice((*uint16)(unsafe.Pointer(&id)), len(id)/2)
		if n := slices.Index(u, 0); n >= 0 {
			u = u[:n]
		}
		return string(utf16.Decode(u))
	}
	s, _, _ := strings.Cut(string(id[:]), "\x00")
	return s
}

func closeContext(ctx *malgo.AllocatedContext) {
	_ = ctx.Uninit() // fails only for a nil context
	ctx.Free()
}

func (m *malgoMicrophone) Open() error {
	ctx, err := malgo.InitContext([]malgo.Backend{m.backend}, malgo.ContextConfig{}, func(message string) {
		m.log.Debug("miniaudio", "says", strings.TrimSpace(message))
	})
	if err != nil {
		return fmt.Errorf("reaching the sound system: %w", err)
	}
	info, err := ctx.DeviceInfo(malgo.Capture, m.id, malgo.Shared)
	if err != nil {
		closeContext(ctx)
		return err
	}
	m.context, m.native = ctx, info.Formats
	return nil
}

// Properties lists what the device offers by itself, the best first: stereo, at
// 48 kHz or the nearest rate above. Where it says nothing there is one entry of
// 48 kHz stereo.
func (m *malgoMicrophone) Properties() (all []prop.Media) {
	offer := func(channels, rate int) {
		all = append(all, prop.Media{Audio: prop.Audio{ChannelCount: channels, SampleRate: rate, SampleSize: 2,
			Latency: micPeriod, IsInterleaved: true}})
	}
	for _, f := range m.native {
		offer(cmp.Or(int(f.Channels), 2), cmp.Or(int(f.SampleRate), micRate))
	}
	if len(all) == 0 {
		offer(2, micRate)
	}
	slices.SortStableFunc(all, func(a, b prop.Media) int {
		return cmp.Or(isNot(a.ChannelCount >= 2)-isNot(b.ChannelCount >= 2),
			isNot(a.SampleRate >= micRate)-isNot(b.SampleRate >= micRate),
			cmp.Compare(max(a.SampleRate-micRate, micRate-a.SampleRate), max(b.SampleRate-micRate, micRate-b.SampleRate)))
	})
	return all
}

// encodings are miniaudio's, which converts no sample: its resampler is a
// cheap one, and so are the server's.
var encodings = map[malgo.FormatType]encoding{
	malgo.FormatU8: unsigned8, malgo.FormatS16: signed16, malgo.FormatS24: signed24, malgo.FormatS32: signed32, malgo.FormatF32: float32le,
}

// AudioRecord starts the device at p's rate in the samples it has by itself, in
// mono if p is mono, else stereo: only the sound system knows which of more
// channels is where.
func (m *malgoMicrophone) AudioRecord(p prop.Media) (audio.Reader, error) {
	ended := make(chan struct{})
	var once sync.Once
	var cause error
	m.ended = ended
	m.stop = func(err error) { once.Do(func() { cause = err; close(ended) }) }
	m.ring = newSoundRing()
	m.context.SetLogProc(m.logProc())

	id := m.id.Pointer() // in C's memory
	defer C.free(id)
	config := malgo.DefaultDeviceConfig(malgo.Capture)
	config.SampleRate = uint32(p.SampleRate)
	if p.SampleRate < leastMicRate || p.SampleRate > mostMicRate {
		config.SampleRate = micRate
	}
	config.PeriodSizeInMilliseconds = uint32(micPeriod.Milliseconds())
	if m.backend == malgo.BackendPulseaudio {
		config.Periods = micPeriods
	}
	config.Capture = malgo.SubConfig{DeviceID: id, Format: malgo.FormatUnknown, Channels: uint32(max(1, min(p.ChannelCount, 2))), ShareMode: malgo.Shared}
	config.Pulse.StreamNameCapture = "peercam"
	in := micInput{ring: m.ring, stop: m.stop}
	device, err := malgo.InitDevice(m.context.Context, config, malgo.DeviceCallbacks{
		Data: func(_, raw []byte, _ uint32) { in.take(time.Now(), raw) },
		Stop: func() { in.stop(errors.New("the sound system stopped it; was it unplugged?")) },
	})
	if err != nil {
		return nil, err
	}
	m.device = device
	known := false
	in.pcm = pcm{rate: int(device.SampleRate()), channels: int(device.CaptureChannels())}
	if in.encoding, known = encodings[device.CaptureFormat()]; !known {
		return nil, fmt.Errorf("it gives samples of a format (%d) that is not known here", device.CaptureFormat())
	}
	if err := device.Start(); err != nil {
		return nil, err
	}
	if m.follow != (malgo.DeviceID{}) {
		m.watch.Go(m.watchDefault)
	}
	run, sound := new(soundRun), new(stampedSound)
	patience := micBegin
	silence := time.NewTimer(patience)
	return audio.ReaderFunc(func() (wave.Audio, func(), error) {
		silence.Reset(patience)
		defer silence.Stop()
		for {
			select {
			case <-ended: // sound that is left does not matter any more
				return nil, nothing, cause
			default:
			}
			if m.ring.take(run) {
				break
			}
			select {
			case <-m.ring.ready:
			case <-ended:
			case <-silence.C:
				return nil, nothing, fmt.Errorf("it has handed over nothing for %v; was it unplugged?", patience)
			}
		}
		patience = micStall
		sound.Data, sound.Time = run.PCM, run.Time
		sound.Size = wave.ChunkInfo{Len: len(run.PCM) / run.Channels, Channels: run.Channels, SamplingRate: run.Rate}
		return sound, nothing, nil
	}), nil
}

// micInput takes what a device's callback hands over. Only the callback uses it.
type micInput struct {
	pcm
	ring  *soundRing
	stop  func(error)
	clock soundClock

	room  []int16
	begun time.Time
	taken int64 // samples of a channel
}

// micAhead is how much more sound than time may have passed: a device that has
// more is none. ALSA's null PCM, also as "default", gives zeros without end.
const micAhead = 5 * time.Second

func (in *micInput) take(now time.Time, raw []byte) {
	n := len(raw) / in.block()
	if n == 0 {
		return
	}
	if in.begun.IsZero() {
		in.begun = now
	}
	in.taken += int64(n)
	if ticks(in.taken, int64(in.rate), 1)-now.Sub(in.begun) > micAhead {
		in.stop(errors.New("it gives sound faster than time passes, so it is no microphone (ALSA's null device?); choose another with --mic"))
		return
	}
	if need := n * in.out(); cap(in.room) < need {
		in.room = make([]int16, need)
	}
	samples := in.room[:n*in.out()]
	in.convert(samples, raw)
	at := in.clock.stamp(now, ticks(int64(n), int64(in.rate), 1))
	in.ring.put(Samples{PCM: samples, Rate: in.rate, Channels: in.out(), Time: at})
}

// followPeriod is how often the system is asked for its default: it takes a
// fraction of a millisecond, and miniaudio does not tell of each change.
const followPeriod = 500 * time.Millisecond

// watchDefault ends reads when the default is another than it was.
func (m *malgoMicrophone) watchDefault() {
	tick := time.NewTicker(followPeriod)
	defer tick.Stop()
	for {
		select {
		case <-m.ended:
			return
		case <-tick.C:
		}
		all, err := m.context.Devices(malgo.Capture)
		if err != nil {
			continue // the device itself will tell if the sound system is gone
		}
		if i := slices.IndexFunc(all, isDefault); i >= 0 && all[i].ID != m.follow {
			m.stop(fmt.Errorf("%w: now it is %q (%s)", errMoved, all[i].Name(), deviceID(all[i].ID)))
		}
	}
}

// logProc also listens for what miniaudio says about an ALSA device that is
// gone: it goes on asking it instead of stopping.
func (m *malgoMicrophone) logProc() malgo.LogProc {
	stop, log := m.stop, m.log
	return func(message string) {
		if strings.Contains(message, "POLLERR detected. status = 8") { // SND_PCM_STATE_DISCONNECTED
			stop(errors.New("it was unplugged"))
			return
		}
		log.Debug("miniaudio", "says", strings.TrimSpace(message))
	}
}

// Close unblocks a waiting Read and returns when the device's thread has ended.
func (m *malgoMicrophone) Close() error {
	if m.context == nil {
		return nil
	}
	if m.stop != nil {
		m.stop(io.EOF)
		m.watch.Wait()
	}
	if m.device != nil {
		// Uninit alone waits for a thread that nobody wakes; where the device
		// has gone silent that is for ever. Core Audio has no such thread, and
		// may hang in Stop after the machine slept.
		if m.backend != malgo.BackendCoreaudio {
			_ = m.device.Stop() // fails for a device that has stopped by itself
		}
		m.device.Uninit()
		m.device = nil
	}
	closeContext(m.context)
	m.context = nil
	if m.ring != nil && m.ring.dropped > 0 {
		m.log.Debug("microphone closed", "id", deviceID(m.id), "dropped", m.ring.dropped)
	}
	return nil
}

// microphoneReason says what an error of miniaudio means and what to do.
func microphoneReason(err error) string {
	var r malgo.Result
	if !errors.As(err, &r) {
		return ""
	}
	switch r {
	case malgo.ErrBusy, malgo.ErrAlreadyInUse:
		return "another program uses it; end that program or choose another microphone"
	case malgo.ErrAccessDenied:
		return "you may not; add yourself to the group audio (sudo usermod -aG audio $USER) and log in again, or allow it in the system's privacy settings"
	case malgo.ErrNoDevice, malgo.ErrDoesNotExist, malgo.ErrUnavailable:
		return "it is not there; was it unplugged?"
	}
	return ""
}
