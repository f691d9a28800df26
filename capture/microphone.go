package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pion/mediadevices/pkg/driver"
	"github.com/pion/mediadevices/pkg/io/audio"
)

// errMoved is what Read returns when the default microphone was followed and is
// another one now.
var errMoved = errors.New("the default microphone has changed")

// microphone is a microphone that a scan found.
type microphone struct {
	driver.Driver
	dev Device
}

// scanMicrophones looks for microphones anew and returns them in an order that
// does not change from scan to scan: the system's default first, what records
// this computer's own sound last. follow is as in findMicrophones.
func scanMicrophones(follow bool, log *slog.Logger) ([]microphone, error) {
	found, err := findMicrophones(follow, log)
	if err != nil {
		return nil, err
	}
	managerMu.Lock()
	defer managerMu.Unlock()
	m := driver.GetManager()
	isMicrophone := driver.FilterDeviceType(driver.Microphone)
	for _, d := range m.Query(isMicrophone) {
		m.Delete(d.ID())
	}
	for _, f := range found {
		if err := m.Register(f.malgoMicrophone, f.info); err != nil {
			return nil, fmt.Errorf("registering microphone %s: %w", f.info.Label, err)
		}
	}
	var all []microphone
	for _, d := range m.Query(isMicrophone) {
		i := d.Info()
		all = append(all, microphone{d, Device{Kind: KindMicrophone, ID: i.Label, Name: i.Name, Path: i.Label,
			Default: i.Priority == driver.PriorityHigh}})
	}
	slices.SortFunc(all, func(a, b microphone) int {
		return cmp.Or(cmp.Compare(isNot(a.dev.Default), isNot(b.dev.Default)), cmp.Compare(isNot(isMonitor(b.dev)), isNot(isMonitor(a.dev))),
			cmp.Compare(a.dev.Name, b.dev.Name), cmp.Compare(a.dev.ID, b.dev.ID))
	})
	if len(all) > 0 {
		all[0].dev.Default = true
	}
	return all, nil
}

func isNot(b bool) int {
	if b {
		return 0
	}
	return 1
}

// listMicrophones describes the microphones that are plugged in.
func listMicrophones(ctx context.Context) ([]Device, error) {
	all, err := ask(ctx, newSoundCalls(), micAnswer, func() ([]Device, error) { return describeMicrophones(ctx) }, nil)
	if err != nil {
		return nil, fmt.Errorf("listing microphones: %w", err)
	}
	return all, nil
}

func describeMicrophones(ctx context.Context) ([]Device, error) {
	mics, err := scanMicrophones(false, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	all := microphoneDevices(mics)
	for i, m := range mics {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := m.Open(); err != nil {
			all[i].Err = microphoneError("open", m.dev, err).Error()
			continue
		}
		for _, p := range m.Properties() {
			if !slices.Contains(all[i].Rates, p.SampleRate) {
				all[i].Rates = append(all[i].Rates, p.SampleRate)
			}
			if !slices.Contains(all[i].Channels, p.ChannelCount) {
				all[i].Channels = append(all[i].Channels, p.ChannelCount)
			}
		}
		slices.Sort(all[i].Rates)
		slices.Sort(all[i].Channels)
		if err := m.Close(); err != nil {
			all[i].Err = microphoneError("close", m.dev, err).Error()
		}
	}
	return all, nil
}

func microphoneDevices(mics []microphone) []Device {
	all := make([]Device, len(mics))
	for i, m := range mics {
		all[i] = m.dev
	}
	return all
}

// micSource is the microphone that a person named, whichever device that is at
// the time of Open.
type micSource struct {
	spec string
	log  *slog.Logger
	name atomic.Pointer[string] // of the microphone opened last
	asks soundCalls
}

// newMicrophone returns the microphone that spec names: "auto" (the system's
// default), a name (exact, else a part of it in any case), or the sound
// system's identifier. A name that is not there now is an error that lists
// those that are; "auto" may find its microphone later.
func newMicrophone(spec string, o Options) (AudioSource, error) {
	s := &micSource{spec: spec, log: o.log(), asks: newSoundCalls()}
	if spec == autoDevice {
		return s, nil
	}
	mics, err := ask(context.Background(), s.asks, micAnswer, func() ([]microphone, error) { return scanMicrophones(false, s.log) }, nil)
	if err != nil {
		return nil, fmt.Errorf("looking for microphone %q: %w", spec, err)
	}
	found, err := findDevices(KindMicrophone, spec, microphoneDevices(mics))
	if err != nil {
		return nil, err
	}
	s.name.Store(&mics[found[0]].dev.Name)
	return s, nil
}

func (s *micSource) String() string {
	switch name := s.name.Load(); {
	case name != nil:
		return *name
	case s.spec == autoDevice:
		return "microphone"
	}
	return s.spec
}

func (s *micSource) Open(ctx context.Context) (AudioReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := ask(ctx, s.asks, micAnswer, s.open, func(r *micReader) { _ = r.mic.Close() }) // nobody has it
	if err != nil {
		if errors.Is(err, errFrozen) {
			err = fmt.Errorf("open microphone %q: %w", s.String(), err)
		}
		return nil, err
	}
	return r, nil
}

func (s *micSource) open() (*micReader, error) {
	mics, err := scanMicrophones(s.spec == autoDevice, s.log)
	if err != nil {
		return nil, err
	}
	found, err := findDevices(KindMicrophone, s.spec, microphoneDevices(mics))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, i := range found {
		r, err := openMicrophone(mics[i], s.log)
		if err == nil {
			r.asks = s.asks
			s.name.Store(&mics[i].dev.Name)
			return r, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func openMicrophone(m microphone, log *slog.Logger) (*micReader, error) {
	if err := m.Open(); err != nil {
		return nil, microphoneError("open", m.dev, err)
	}
	p := m.Properties()[0] // the driver's best comes first
	a, err := m.Driver.(driver.AudioRecorder).AudioRecord(p)
	if err != nil {
		return nil, microphoneError("start", m.dev, err)
	}
	log.Info("microphone opened", "name", m.dev.Name, "id", m.dev.ID, "rate", p.SampleRate, "channels", p.ChannelCount)
	if m.dev.Default && isMonitor(m.dev) {
		log.Warn("the default microphone records what this computer plays; name another with --mic if that is not meant",
			"name", m.dev.Name)
	}
	return &micReader{mic: m, audio: a}, nil
}

// isMonitor tells whether PulseAudio made the source of an output.
func isMonitor(d Device) bool { return strings.HasSuffix(d.ID, ".monitor") }

// microphoneError says of which microphone an error is and, where known, the
// way out.
func microphoneError(what string, d Device, err error) error {
	if reason := microphoneReason(err); reason != "" {
		return fmt.Errorf("%s microphone %q (%s): %s: %w", what, d.Name, d.ID, reason, err)
	}
	return fmt.Errorf("%s microphone %q (%s): %w", what, d.Name, d.ID, err)
}

type micReader struct {
	mic     microphone
	asks    soundCalls
	audio   audio.Reader
	samples Samples
	closed  atomic.Bool
	close   sync.Once
	err     error // of close
}

func (r *micReader) Read() (*Samples, error) {
	chunk, _, err := r.audio.Read()
	if err != nil {
		if r.closed.Load() || errors.Is(err, io.EOF) {
			return nil, ErrClosed
		}
		return nil, microphoneError("read from", r.mic.dev, err)
	}
	sound := chunk.(*stampedSound)
	r.samples = Samples{PCM: sound.Data, Rate: sound.Size.SamplingRate, Channels: sound.Size.Channels, Time: sound.Time}
	return &r.samples, nil
}

func (r *micReader) Close() error {
	r.close.Do(func() {
		r.closed.Store(true)
		if r.err = r.asks.letGo(r.mic.Close); r.err != nil {
			r.err = microphoneError("close", r.mic.dev, r.err)
		}
	})
	return r.err
}
