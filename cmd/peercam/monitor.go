package main

import (
	"context"
	"crypto/subtle"
	"fmt"
	"image/jpeg"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/encode"
	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

// monitor tells how the camera does: status line, metrics, snapshots.
type monitor struct {
	room   string
	token  string // "" in an open room
	src    *sources
	ladder *encode.Ladder
	voice  *encode.Voice // nil without sound
	pub    *peer.Publisher
	whips  whips
	// refresh has room for one: the status line is to be shown anew.
	refresh chan struct{}
}

// changed shows the status line anew.
func (m *monitor) changed() {
	select {
	case m.refresh <- struct{}{}:
	default:
	}
}

// cameraOpen tells whether pictures come from the camera itself: somebody
// watches, nobody has covered it, and it is there.
func (m *monitor) cameraOpen() bool {
	return m.ladder.Stats().Open && !m.src.privacy.On() && capture.TroubleOf(m.src.video) == ""
}

// bytes is what all encoders have put out.
func (m *monitor) bytes() uint64 {
	var n uint64
	for _, r := range m.ladder.Stats().Rungs {
		n += r.Bytes
	}
	if m.voice != nil {
		n += m.voice.Stats().Bytes
	}
	return n
}

// report adds how the camera does.
func (m *monitor) report(e *exposition) {
	l := m.ladder.Stats()
	e.gauge("peercam_camera_open", "", flag(m.cameraOpen()))
	e.gauge("peercam_camera_wanted", "", flag(l.Open))
	e.gauge("peercam_camera_trouble", "", flag(capture.TroubleOf(m.src.video) != "" && !m.src.privacy.On()))
	e.gauge("peercam_privacy", "", flag(m.src.privacy.On()))
	if device, ok := capture.StatsOf(m.src.video); ok {
		e.gauge("peercam_device_fps", "", device.FPS)
		e.counter("peercam_device_frames_total", "", device.Frames)
		e.counter("peercam_device_frames_late_total", "", device.Late)
		e.counter("peercam_device_frames_corrupt_total", "", device.Corrupt)
	}
	e.gauge("peercam_camera_fps", "", l.FPS)
	e.counter("peercam_frames_captured_total", "", l.Captured)
	e.counter("peercam_frames_replaced_total", "", l.Dropped)
	e.gauge("peercam_encode_load", "", l.Load)
	e.gauge("peercam_encode_relief", `{what="hurry"}`, l.Relief.Hurry)
	e.gauge("peercam_encode_relief", `{what="pictures"}`, l.Relief.Every)
	for i, r := range l.Rungs {
		label := `{rung="` + strconv.Itoa(i) + `"}`
		e.gauge("peercam_rung_wanted", label, flag(r.Wanted))
		e.gauge("peercam_rung_layered", label, flag(r.Layered))
		e.gauge("peercam_rung_bitrate", label, r.Bitrate)
		e.counter("peercam_frames_encoded_total", label, r.Encoded)
		e.counter("peercam_frames_skipped_total", label, r.Skipped)
		e.counter("peercam_frames_encoded_again_total", label, r.Again)
		e.counter("peercam_key_frames_total", label, r.KeyFrames)
		e.counter("peercam_encoded_bytes_total", label, r.Bytes)
		e.counter("peercam_encode_seconds_total", label, r.Spent.Seconds())
	}
	if m.voice != nil {
		v := m.voice.Stats()
		muted, trouble := m.src.audio.Muted(), m.src.audio.Err() != nil
		e.gauge("peercam_microphone_open", "", flag(v.Open && !muted && !trouble))
		e.gauge("peercam_microphone_muted", "", flag(muted))
		e.gauge("peercam_microphone_trouble", "", flag(trouble))
		e.counter("peercam_audio_packets_total", "", v.Packets)
		e.counter("peercam_audio_bytes_total", "", v.Bytes)
	}
	m.whips.report(e)
	e.gauge("peercam_viewers", "", m.pub.Viewers())
	for _, s := range m.pub.Stats() {
		label := `{session="` + short(s.ID) + `"}`
		e.gauge("peercam_session_connected", label, flag(s.Connected))
		e.gauge("peercam_session_rung", label, s.Rung)
		e.gauge("peercam_session_layer", label, s.Layer)
		e.gauge("peercam_session_paused", label, flag(s.Paused))
		e.gauge("peercam_session_estimate", label, s.Estimate)
		e.gauge("peercam_session_target", label, s.Target)
		e.gauge("peercam_session_round_trip_seconds", label, s.RoundTrip.Seconds())
		e.gauge("peercam_session_loss", label, s.Loss)
		e.counter("peercam_session_packets_total", label, s.Packets)
		e.counter("peercam_session_bytes_total", label, s.Bytes)
		e.counter("peercam_session_resent_total", label, s.Resent)
		e.counter("peercam_session_probes_total", label, s.Probes)
		e.counter("peercam_session_parity_total", label, s.Parity)
		e.counter("peercam_session_frames_total", label, s.Frames)
		e.counter("peercam_session_frames_dropped_total", label, s.FramesDropped)
	}
}

// reportServer adds how a signaling server does.
func reportServer(e *exposition, s signaling.Stats) {
	e.gauge("peercam_signaling_rooms", "", s.Rooms)
	e.gauge("peercam_signaling_cameras", "", s.Cameras)
	e.gauge("peercam_signaling_viewers", "", s.Viewers)
	e.gauge("peercam_signaling_other_servers", "", s.Servers)
	e.counter("peercam_signaling_messages_total", "", s.Messages)
	e.counter("peercam_signaling_dropped_between_servers_total", "", s.Dropped)
	for _, code := range slices.Sorted(maps.Keys(s.Refused)) {
		e.counter("peercam_signaling_refused_total", `{code="`+code+`"}`, s.Refused[code])
	}
}

// exposition is metrics in Prometheus' text format, where all samples of a
// metric stand below its one TYPE line.
type exposition struct {
	names   []string // as they came
	samples map[string]string
}

func (e *exposition) gauge(name, labels string, value any)   { e.add("gauge", name, labels, value) }
func (e *exposition) counter(name, labels string, value any) { e.add("counter", name, labels, value) }

func (e *exposition) add(kind, name, labels string, value any) {
	if e.samples[name] == "" {
		e.names = append(e.names, name)
		e.samples[name] = "# TYPE " + name + " " + kind + "\n"
	}
	e.samples[name] += fmt.Sprintf("%s%s %v\n", name, labels, value)
}

// metrics answers GET /metrics with what the reports add.
func metrics(reports ...func(*exposition)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		e := exposition{samples: map[string]string{}}
		for _, report := range reports {
			report(&e)
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		for _, name := range e.names {
			_, _ = io.WriteString(w, e.samples[name]) // a scraper that left needs no answer
		}
	}
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// snapshotTime is how long a snapshot waits for the camera to open.
const snapshotTime = 5 * time.Second

// snapshot answers GET /snapshot/ROOM.jpg with the next picture. The room
// token, as bearer or ?token=, lets one see it.
func (m *monitor) snapshot(w http.ResponseWriter, r *http.Request) {
	room, isJPEG := strings.CutSuffix(r.PathValue("file"), ".jpg")
	if !isJPEG || room != m.room {
		http.Error(w, "no such picture: it is at /snapshot/"+m.room+".jpg", http.StatusNotFound)
		return
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		given = r.URL.Query().Get("token")
	}
	if m.token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(m.token)) != 1 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="peercam"`)
		http.Error(w, "the room token is missing or wrong: give it as bearer, or as ?token=", http.StatusUnauthorized)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), snapshotTime)
	defer cancel()
	f, err := m.ladder.Snapshot(ctx)
	if err != nil {
		http.Error(w, "no picture: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer f.Release()
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Last-Modified", f.Time.UTC().Format(http.TimeFormat))
	_ = jpeg.Encode(w, f, &jpeg.Options{Quality: 85}) // a client that left needs no answer
}
