package main

import (
	"context"
	"crypto/subtle"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/peercam/peercam/encode"
	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// monitor tells how the camera does: status line, metrics, snapshots.
type monitor struct {
	room   string
	token  string // "" in an open room
	ladder *encode.Ladder
	voice  *encode.Voice // nil without sound
	pub    *peer.Publisher
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

// writeMetrics writes how the camera does.
func (m *monitor) writeMetrics(w io.Writer) {
	l := m.ladder.Stats()
	gauge(w, "peercam_camera_open", "", flag(l.Open))
	gauge(w, "peercam_camera_fps", "", l.FPS)
	counter(w, "peercam_frames_captured_total", "", l.Captured)
	counter(w, "peercam_frames_replaced_total", "", l.Dropped)
	for i, r := range l.Rungs {
		label := `{rung="` + strconv.Itoa(i) + `"}`
		gauge(w, "peercam_rung_bitrate", label, r.Bitrate)
		counter(w, "peercam_frames_encoded_total", label, r.Encoded)
		counter(w, "peercam_key_frames_total", label, r.KeyFrames)
		counter(w, "peercam_encoded_bytes_total", label, r.Bytes)
		counter(w, "peercam_encode_seconds_total", label, r.Spent.Seconds())
	}
	if m.voice != nil {
		v := m.voice.Stats()
		gauge(w, "peercam_microphone_open", "", flag(v.Open))
		counter(w, "peercam_audio_packets_total", "", v.Packets)
		counter(w, "peercam_audio_bytes_total", "", v.Bytes)
	}
	sessions := m.pub.Stats()
	gauge(w, "peercam_viewers", "", len(sessions))
	for _, s := range sessions {
		label := `{session="` + short(s.ID) + `"}`
		gauge(w, "peercam_session_connected", label, flag(s.Connected))
		gauge(w, "peercam_session_estimate", label, s.Estimate)
		gauge(w, "peercam_session_round_trip_seconds", label, s.RoundTrip.Seconds())
		gauge(w, "peercam_session_loss", label, s.Loss)
		counter(w, "peercam_session_packets_total", label, s.Packets)
		counter(w, "peercam_session_bytes_total", label, s.Bytes)
		counter(w, "peercam_session_resent_total", label, s.Resent)
		counter(w, "peercam_session_frames_total", label, s.Frames)
		counter(w, "peercam_session_frames_dropped_total", label, s.FramesDropped)
	}
}

func writeServerMetrics(w io.Writer, s signaling.Stats) {
	gauge(w, "peercam_signaling_rooms", "", s.Rooms)
	gauge(w, "peercam_signaling_cameras", "", s.Cameras)
	gauge(w, "peercam_signaling_viewers", "", s.Viewers)
	counter(w, "peercam_signaling_messages_total", "", s.Messages)
	for code, n := range s.Refused {
		counter(w, "peercam_signaling_refused_total", `{code="`+code+`"}`, n)
	}
}

// gauge and counter write a line of Prometheus' text format each.
func gauge(w io.Writer, name, labels string, value any)   { sample(w, "gauge", name, labels, value) }
func counter(w io.Writer, name, labels string, value any) { sample(w, "counter", name, labels, value) }

func sample(w io.Writer, kind, name, labels string, value any) {
	fmt.Fprintf(w, "# TYPE %s %s\n%s%s %v\n", name, kind, name, labels, value)
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
