package main

import (
	"context"
	"crypto/subtle"
	"image/jpeg"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

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

// writeMetrics writes Prometheus' text format.
func (m *monitor) writeMetrics(w io.Writer) {
	l := m.ladder.Stats()
	metrics.WriteGaugeUint64(w, "peercam_camera_open", flag(l.Open))
	metrics.WriteGaugeFloat64(w, "peercam_camera_fps", l.FPS)
	metrics.WriteCounterUint64(w, "peercam_frames_captured_total", l.Captured)
	metrics.WriteCounterUint64(w, "peercam_frames_replaced_total", l.Dropped)
	for i, r := range l.Rungs {
		label := `{rung="` + strconv.Itoa(i) + `"}`
		metrics.WriteGaugeUint64(w, "peercam_rung_bitrate"+label, uint64(r.Bitrate)) //nolint:gosec // positive
		metrics.WriteCounterUint64(w, "peercam_frames_encoded_total"+label, r.Encoded)
		metrics.WriteCounterUint64(w, "peercam_key_frames_total"+label, r.KeyFrames)
		metrics.WriteCounterUint64(w, "peercam_encoded_bytes_total"+label, r.Bytes)
		metrics.WriteCounterFloat64(w, "peercam_encode_seconds_total"+label, r.Spent.Seconds())
	}
	if m.voice != nil {
		v := m.voice.Stats()
		metrics.WriteGaugeUint64(w, "peercam_microphone_open", flag(v.Open))
		metrics.WriteCounterUint64(w, "peercam_audio_packets_total", v.Packets)
		metrics.WriteCounterUint64(w, "peercam_audio_bytes_total", v.Bytes)
	}
	sessions := m.pub.Stats()
	metrics.WriteGaugeUint64(w, "peercam_viewers", uint64(len(sessions)))
	for _, s := range sessions {
		label := `{session="` + short(s.ID) + `"}`
		metrics.WriteGaugeUint64(w, "peercam_session_connected"+label, flag(s.Connected))
		metrics.WriteGaugeUint64(w, "peercam_session_estimate"+label, uint64(s.Estimate)) //nolint:gosec // positive
		metrics.WriteGaugeFloat64(w, "peercam_session_round_trip_seconds"+label, s.RoundTrip.Seconds())
		metrics.WriteGaugeFloat64(w, "peercam_session_loss"+label, s.Loss)
		for name, n := range map[string]int64{
			"packets": s.Packets, "bytes": s.Bytes, "resent": s.Resent, "frames": s.Frames, "frames_dropped": s.FramesDropped,
		} {
			metrics.WriteCounterUint64(w, "peercam_session_"+name+"_total"+label, uint64(n)) //nolint:gosec // counts
		}
	}
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func writeServerMetrics(w io.Writer, s signaling.ServerStats) {
	metrics.WriteGaugeUint64(w, "peercam_signaling_rooms", uint64(s.Rooms))               //nolint:gosec // counts
	metrics.WriteGaugeUint64(w, "peercam_signaling_cameras", uint64(s.Cameras))           //nolint:gosec // counts
	metrics.WriteGaugeUint64(w, "peercam_signaling_viewers", uint64(s.Viewers))           //nolint:gosec // counts
	metrics.WriteCounterUint64(w, "peercam_signaling_messages_total", uint64(s.Messages)) //nolint:gosec // counts
	for code, n := range s.Refused {
		metrics.WriteCounterUint64(w, `peercam_signaling_refused_total{code="`+code+`"}`, uint64(n)) //nolint:gosec // counts
	}
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
