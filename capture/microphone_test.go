package capture

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gen2brain/malgo"
)

// aMicrophone returns the default microphone, and skips where there is none.
func aMicrophone(t *testing.T) Device {
	t.Helper()
	mics, err := scanMicrophones(false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if len(mics) == 0 {
		t.Skip("SKIPPED: this machine has no microphone (pulseaudio with a null sink makes one, modprobe snd-aloop too)")
	}
	return mics[0].dev
}

func openSound(t *testing.T, spec string) AudioReader {
	t.Helper()
	s, err := newMicrophone(spec, Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// playTone plays 1 kHz into the default output until the test ends.
func playTone(t *testing.T) {
	t.Helper()
	ctx, err := malgo.InitContext(micBackends(), malgo.ContextConfig{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeContext(ctx) })
	config := malgo.DefaultDeviceConfig(malgo.Playback)
	config.SampleRate = micRate
	config.Playback.Format, config.Playback.Channels = malgo.FormatS16, 2
	n := 0
	device, err := malgo.InitDevice(ctx.Context, config, malgo.DeviceCallbacks{Data: func(out, _ []byte, frames uint32) {
		pcm := unsafe.Slice((*int16)(unsafe.Pointer(&out[0])), len(out)/2)
		for i := range frames {
			v := int16(8000 * math.Sin(2*math.Pi*1000*float64(n)/micRate))
			pcm[2*i], pcm[2*i+1] = v, v
			n++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Uninit)
	if err := device.Start(); err != nil {
		t.Fatal(err)
	}
}

// hearsOutput tells whether the microphone records what is played: PulseAudio's
// monitors do, and snd-aloop's second device, or its default.
func hearsOutput(d Device) bool {
	cards, _ := os.ReadFile("/proc/asound/cards")
	return isMonitor(d) || strings.Contains(string(cards), "Loopback") && (d.ID == "default" || d.ID == ":0,1")
}

func TestMicrophone(t *testing.T) {
	mic := aMicrophone(t)
	all, err := Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(all, func(d Device) bool { return d.Kind == KindMicrophone && hearsOutput(d) }); i >= 0 {
		mic = all[i]
	}
	tone := hearsOutput(mic)
	if tone {
		playTone(t)
	} else {
		t.Logf("%s does not hear what is played; its sound is not looked at", mic.Name)
	}
	r := openSound(t, mic.ID)
	var left []int16
	var last time.Time
	began := time.Now()
	rate := 0
	for len(left) < 3*max(rate, leastMicRate) {
		s, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if s.Rate < leastMicRate || s.Rate > mostMicRate || rate != 0 && s.Rate != rate || s.Channels < 1 || s.Channels > 2 || len(s.PCM)%s.Channels != 0 {
			t.Fatalf("%d samples of %d channels at %d", len(s.PCM), s.Channels, s.Rate)
		}
		rate = s.Rate
		if now := time.Now(); !s.Time.After(last) || s.Time.After(now) || s.Time.Before(began.Add(-time.Second)) {
			t.Fatalf("run read at %v was taken %v, the one before %v", now, s.Time, last)
		}
		last = s.Time
		for i := 0; i < len(s.PCM); i += s.Channels {
			left = append(left, s.PCM[i])
		}
	}
	t.Logf("3 s of sound took %v", time.Since(began))
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("3 s of sound came in %v: that is no microphone", took)
	}
	if tone {
		if f := frequency(left[2*rate:], rate); math.Abs(f-1000) > 2 {
			t.Errorf("the tone of 1000 Hz is heard as %.1f Hz", f)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// frequency counts the upward zero crossings of pcm.
func frequency(pcm []int16, rate int) float64 {
	first, last, n := -1, 0, 0
	for i := 1; i < len(pcm); i++ {
		if pcm[i-1] < 0 && pcm[i] >= 0 {
			if first < 0 {
				first = i
			} else {
				n++
			}
			last = i
		}
	}
	if n == 0 {
		return 0
	}
	return float64(n*rate) / float64(last-first)
}

func TestMicrophoneCloseUnblocksRead(t *testing.T) {
	r := openSound(t, aMicrophone(t).ID)
	ended := make(chan error)
	go func() {
		for {
			if _, err := r.Read(); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("read ended with %v", err)
	}
}

// TestMicrophoneUnplugged pulls the card that the kernel's snd-aloop driver
// plays, and puts it back.
func TestMicrophoneUnplugged(t *testing.T) {
	mic := aMicrophone(t)
	const driver, card = "/sys/bus/platform/drivers/snd_aloop/", "snd_aloop.0"
	if _, err := os.Stat(driver + card); err != nil || isMonitor(mic) {
		t.Skipf("SKIPPED: %s is not played by snd-aloop; a real one cannot be unplugged from here", mic.Name)
	}
	r := openSound(t, mic.ID)
	_, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	bind := func(what string) {
		if err := os.WriteFile(driver+what, []byte(card), 0); err != nil {
			t.Error(err)
		}
	}
	unbound := make(chan struct{})
	go func() { // the kernel waits for those who have the card open
		bind("unbind")
		close(unbound)
	}()
	began := time.Now()
	for err == nil {
		if _, err = r.Read(); time.Since(began) > 2*micBegin {
			t.Fatal("sound goes on")
		}
	}
	t.Logf("%v after the unplug: %v", time.Since(began), err)
	if !strings.Contains(err.Error(), "unplugged") {
		t.Errorf("unplug gives: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	<-unbound
	bind("bind")
	if _, err := openSound(t, mic.ID).Read(); err != nil {
		t.Error(err)
	}
}

func TestALSAMicrophones(t *testing.T) {
	for id, want := range map[string]bool{
		"default": true, ":0,0": true, ":1,6": true, "null": false, "pulse": false, "samplerate": false, "jack": false, "": false,
	} {
		if isALSAMicrophone(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}

func TestMicrophoneReasons(t *testing.T) {
	d := Device{Name: "Mic", ID: ":0,0"}
	for err, want := range map[error]string{
		malgo.ErrBusy:         "another program uses it",
		malgo.ErrAccessDenied: "group audio",
		malgo.ErrNoDevice:     "unplugged",
	} {
		got := microphoneError("open", d, err)
		if !errors.Is(got, err) || !strings.Contains(got.Error(), want) || !strings.Contains(got.Error(), `"Mic"`) {
			t.Errorf("%v", got)
		}
	}
}
