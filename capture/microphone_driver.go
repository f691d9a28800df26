package capture

/*
#include <stdlib.h>
*/
import "C"

import (
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
	// micRate is what Opus wants; miniaudio converts.
	micRate = 48000
	// micPeriod is how much sound the device hands over at once.
	micPeriod = 10 * time.Millisecond
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
	log     *slog.Logger

	context *malgo.AllocatedContext
	native  []malgo.DataFormat
	device  *malgo.Device
	ring    *soundRing
	stop    func(error) // ends reads
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

// registerMicrophones registers the microphones that are plugged in now; none
// where there is no sound system at all.
func registerMicrophones(m *driver.Manager, log *slog.Logger) error {
	hushALSA()
	for _, b := range micBackends() {
		ctx, err := malgo.InitContext([]malgo.Backend{b}, malgo.ContextConfig{}, nil)
		if err != nil {
			continue
		}
		all, err := ctx.Devices(malgo.Capture)
		closeContext(ctx)
		if err != nil {
			return fmt.Errorf("listing microphones: %w", err)
		}
		for _, d := range all {
			id := deviceID(d.ID)
			if b == malgo.BackendAlsa && !isALSAMicrophone(id) {
				continue
			}
			info := driver.Info{DeviceType: driver.Microphone, Name: d.Name(), Label: id}
			if d.IsDefault != 0 {
				info.Priority = driver.PriorityHigh
			}
			if err := m.Register(&malgoMicrophone{backend: b, id: d.ID, log: log}, info); err != nil {
				return fmt.Errorf("registering microphone %s: %w", id, err)
			}
		}
		return nil
	}
	return nil
}

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

// Properties lists what the device offers by itself. Where it offers stereo,
// stereo comes first; where it says nothing there is one entry of 48 kHz stereo.
func (m *malgoMicrophone) Properties() (all []prop.Media) {
	for _, f := range m.native {
		channels, rate := int(f.Channels), int(f.SampleRate)
		if channels == 0 {
			channels = 2
		}
		if rate == 0 {
			rate = micRate
		}
		all = append(all, prop.Media{Audio: prop.Audio{ChannelCount: channels, SampleRate: rate, SampleSize: 2,
			Latency: micPeriod, IsInterleaved: true}})
	}
	if len(all) == 0 {
		return []prop.Media{{Audio: prop.Audio{ChannelCount: 2, SampleRate: micRate, SampleSize: 2, Latency: micPeriod, IsInterleaved: true}}}
	}
	slices.SortStableFunc(all, func(a, b prop.Media) int { return isNot(a.ChannelCount >= 2) - isNot(b.ChannelCount >= 2) })
	return all
}

// AudioRecord starts the device at 48 kHz, in mono if p is mono, else stereo.
func (m *malgoMicrophone) AudioRecord(p prop.Media) (audio.Reader, error) {
	channels := max(1, min(p.ChannelCount, 2))
	ended := make(chan struct{})
	var once sync.Once
	var cause error
	m.stop = func(err error) { once.Do(func() { cause = err; close(ended) }) }
	m.ring = newSoundRing()
	m.context.SetLogProc(m.logProc())

	id := m.id.Pointer() // in C's memory
	defer C.free(id)
	config := malgo.DefaultDeviceConfig(malgo.Capture)
	config.SampleRate = micRate
	config.PeriodSizeInMilliseconds = uint32(micPeriod.Milliseconds())
	config.Capture = malgo.SubConfig{DeviceID: id, Format: malgo.FormatS16, Channels: uint32(channels), ShareMode: malgo.Shared}
	config.Pulse.StreamNameCapture = "peercam"
	ring, stop := m.ring, m.stop
	var clock soundClock
	device, err := malgo.InitDevice(m.context.Context, config, malgo.DeviceCallbacks{
		Data: func(_, in []byte, frames uint32) {
			if frames == 0 || len(in) == 0 {
				return
			}
			pcm := unsafe.Slice((*int16)(unsafe.Pointer(&in[0])), len(in)/2)
			ring.put(pcm, clock.stamp(time.Now(), time.Duration(frames)*time.Second/micRate))
		},
		Stop: func() { stop(errors.New("the sound system stopped it; was it unplugged?")) },
	})
	if err != nil {
		return nil, err
	}
	m.device = device
	if err := device.Start(); err != nil {
		return nil, err
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
			if ring.take(run) {
				break
			}
			select {
			case <-ring.ready:
			case <-ended:
			case <-silence.C:
				return nil, nothing, fmt.Errorf("it has handed over nothing for %v; was it unplugged?", patience)
			}
		}
		patience = micStall
		sound.Data, sound.Time = run.pcm, run.time
		sound.Size = wave.ChunkInfo{Len: len(run.pcm) / channels, Channels: channels, SamplingRate: micRate}
		return sound, nothing, nil
	}), nil
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
