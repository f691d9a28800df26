package capture

import (
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gen2brain/malgo"
)

// aloop is the recording half of the kernel's snd-aloop card, where that is
// plugged in as it is: no sound server, no configuration.
func aloop(t *testing.T) string {
	t.Helper()
	mics, err := scanMicrophones(false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cards, _ := os.ReadFile("/proc/asound/cards")
	if !strings.Contains(string(cards), "Loopback") || !slices.ContainsFunc(mics, func(m microphone) bool { return m.dev.ID == ":0,1" }) {
		t.Skip("SKIPPED: there is no bare ALSA loopback here (modprobe snd-aloop index=0)")
	}
	return ":0,1"
}

// playInto plays 1 kHz at half of full scale into the loopback's other half, in
// samples of that kind, until it is called again.
func playInto(t *testing.T, format malgo.FormatType, rate, channels int) (stop func()) {
	t.Helper()
	ctx, err := malgo.InitContext([]malgo.Backend{malgo.BackendAlsa}, malgo.ContextConfig{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var id malgo.DeviceID
	copy(id[:], ":0,0")
	speaker := id.Pointer() // in C's memory, and left there: it is a test's
	config := malgo.DefaultDeviceConfig(malgo.Playback)
	config.SampleRate = uint32(rate)
	config.Playback = malgo.SubConfig{DeviceID: speaker, Format: format, Channels: uint32(channels)}
	n := 0
	device, err := malgo.InitDevice(ctx.Context, config, malgo.DeviceCallbacks{Data: func(out, _ []byte, frames uint32) {
		size := malgo.SampleSizeInBytes(format)
		for i := range int(frames) {
			v := 0.5 * math.Sin(2*math.Pi*1000*float64(n)/float64(rate))
			n++
			bits := uint32(int32(v * (1 << 31)))
			if format == malgo.FormatF32 {
				bits = math.Float32bits(float32(v))
			}
			for c := range channels {
				for b := range size { // the upper bytes of 32, little endian
					out[(i*channels+c)*size+b] = byte(bits >> (8 * (4 - size + b)))
				}
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := device.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = device.Stop() // it may have been unplugged
		device.Uninit()
		closeContext(ctx)
	}
}

func TestALSAToneOfAnyFormat(t *testing.T) {
	mic := aloop(t)
	for _, c := range []struct {
		name           string
		format         malgo.FormatType
		rate, channels int
	}{
		{"S16 48000", malgo.FormatS16, 48000, 2},
		{"S24 44100", malgo.FormatS24, 44100, 2},
		{"S32 96000", malgo.FormatS32, 96000, 2},
		{"F32 32000 mono", malgo.FormatF32, 32000, 1},
		{"S16 16000 mono", malgo.FormatS16, 16000, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := playInto(t, c.format, c.rate, c.channels)
			defer stop()
			r := openSteady(t, mic)
			defer r.Close()
			hear(t, r, 1000)
			best := math.Inf(1)
			for began := time.Now(); best > 0.01 && time.Since(began) < 2*time.Minute; {
				pcm, rate := stretch(t, r)
				best = min(best, distortion(pcm, rate, 1000))
			}
			t.Logf("THD+N %.3f %%", 100*best)
			if best > 0.01 {
				t.Errorf("THD+N is %.2f %%", 100*best)
			}
		})
	}
}

func TestALSAKeepsTheContract(t *testing.T) {
	mic := aloop(t)
	src, err := newMicrophone(mic, Options{})
	if err != nil {
		t.Fatal(err)
	}
	audioContract(t, src, true)
	audioContract(t, NewSound(src, SoundOptions{}), true)
}

func TestALSABusy(t *testing.T) {
	mic := aloop(t)
	ctx, err := malgo.InitContext([]malgo.Backend{malgo.BackendAlsa}, malgo.ContextConfig{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeContext(ctx)
	var id malgo.DeviceID
	copy(id[:], mic)
	config := malgo.DefaultDeviceConfig(malgo.Capture)
	pointer := id.Pointer() // in C's memory, and left there: it is a test's
	// Exclusively, which is hw: rather than dsnoop: in ALSA's words.
	config.Capture = malgo.SubConfig{DeviceID: pointer, Format: malgo.FormatS16, Channels: 2, ShareMode: malgo.Exclusive}
	other, err := malgo.InitDevice(ctx.Context, config, malgo.DeviceCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Uninit()
	src, err := newMicrophone(mic, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = src.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "another program uses it") || !strings.Contains(err.Error(), mic) {
		t.Errorf("a busy microphone says: %v", err)
	}
}

// TestALSAUnplugged pulls the card and puts it back, under one reader.
func TestALSAUnplugged(t *testing.T) {
	mic := aloop(t)
	const driver, card = "/sys/bus/platform/drivers/snd_aloop/", "snd_aloop.0"
	stop := playInto(t, malgo.FormatS16, 48000, 2)
	r := openSteady(t, mic)
	hear(t, r, 1000)
	stop()
	unbound := make(chan error)
	go func() { unbound <- os.WriteFile(driver+"unbind", []byte(card), 0) }() // waits for those who have it open
	t.Logf("silent after %v", hear(t, r, 0))
	for gone := false; !gone; {
		select {
		case err := <-unbound:
			if err != nil {
				t.Fatal(err)
			}
			gone = true
		default:
			hear(t, r, 0)
		}
	}
	if err := os.WriteFile(driver+"bind", []byte(card), 0); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	defer playInto(t, malgo.FormatS16, 48000, 2)()
	hear(t, r, 1000)
	t.Logf("back after %v", time.Since(began))
}
