package peer

import (
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// body is what Session hands to transport.feedback.
func body(t *testing.T, p rtcp.Packet) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b[12:]
}

// The recorder of pion's own receiver is the reference for what browsers send.
func TestFeedbackOfAReceiver(t *testing.T) {
	tr := newTransport()
	tr.next = 65530 // wraps on the way
	recorder := twcc.NewRecorder(1)
	start := time.Now()
	const n = 200
	lost := map[int]bool{3: true, 4: true, 77: true, 150: true}
	arrival := map[uint16]time.Duration{}
	for i := range n {
		seq := tr.sent(start.Add(time.Duration(i)*time.Millisecond), 100+i, 0)
		if lost[i] {
			continue
		}
		at := time.Duration(i)*3*time.Millisecond + time.Duration(i%7)*250*time.Microsecond
		if i == 120 {
			at += 90 * time.Millisecond // a large delta, and a negative one after it
		}
		arrival[seq] = at
		recorder.Record(1, seq, int64(time.Second/time.Microsecond)+at.Microseconds())
	}
	var acks []Ack
	for _, p := range recorder.BuildFeedbackPacket() {
		some, err := tr.feedback(body(t, p))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, some...)
	}
	if len(acks) < n {
		t.Fatalf("%d packets acknowledged, want at least %d", len(acks), n)
	}
	missing := 0
	for i, a := range acks {
		if !a.Received {
			missing++
			continue
		}
		k := a.Size - 100
		if want := start.Add(time.Duration(k) * time.Millisecond); !a.Sent.Equal(want) {
			t.Fatalf("ack %d: sent at %v, want %v", i, a.Sent, want)
		}
		first := acks[0]
		got, want := a.Arrived-first.Arrived, arrival[uint16(65530+k)]-arrival[65530]
		if d := got - want; d < -300*time.Microsecond || d > 300*time.Microsecond {
			t.Fatalf("packet %d arrived %v after the first, want %v", k, got, want)
		}
	}
	if missing != len(lost) {
		t.Errorf("%d reported missing, want %d", missing, len(lost))
	}
}

func TestFeedbackIsNotBelievedTwice(t *testing.T) {
	tr := newTransport()
	recorder := twcc.NewRecorder(1)
	for i := range 20 {
		recorder.Record(1, tr.sent(time.Now(), 100, 0), int64(i)*1000)
	}
	p := recorder.BuildFeedbackPacket()[0]
	first, err := tr.feedback(body(t, p))
	if err != nil || len(first) != 20 {
		t.Fatalf("%d acks, %v", len(first), err)
	}
	again, err := tr.feedback(body(t, p))
	if err != nil || len(again) != 0 {
		t.Fatalf("a repeated report acknowledged %d packets, %v", len(again), err)
	}
}

func TestReferenceTimeWraps(t *testing.T) {
	tr := newTransport()
	a := tr.unwrap(0xfffffe)
	b := tr.unwrap(0x000003)
	if b-a != 5*twccReference {
		t.Errorf("across the wrap %v passed, want %v", b-a, 5*twccReference)
	}
	if c := tr.unwrap(0xffffff); c-b != -4*twccReference {
		t.Errorf("backwards %v, want %v", c-b, -4*twccReference)
	}
}

// A packet that overtook another is reported twice missing and found at last;
// feedback that was lost leaves a hole.
func TestFeedbackLateAndLost(t *testing.T) {
	tr := newTransport()
	recorder := twcc.NewRecorder(1)
	now := time.Unix(1000, 0)
	take := func() []Ack {
		var acks []Ack
		for _, p := range recorder.BuildFeedbackPacket() {
			some, err := tr.feedback(body(t, p))
			if err != nil {
				t.Fatal(err)
			}
			acks = append(acks, some...)
		}
		return acks
	}
	record := func(seq int) { recorder.Record(1, uint16(seq), int64(1_000_000+seq*1000)) }
	for i := range 40 {
		tr.sent(now, 100+i, i/10)
	}
	for _, seq := range []int{0, 1, 3} {
		record(seq)
	}
	first := take()
	if len(first) != 4 || first[2].Received || first[2].Late || !first[3].Received {
		t.Fatalf("the first feedback says %+v", first)
	}
	record(2)
	record(4)
	late := 0
	for _, a := range take() {
		if a.Late {
			late++
			if a.Size != 102 || !a.Received {
				t.Errorf("late: %+v", a)
			}
		}
		if a.Skipped != 0 {
			t.Errorf("nothing was skipped: %+v", a)
		}
	}
	if late != 1 {
		t.Errorf("%d packets came late, want one", late)
	}
	for seq := 5; seq < 12; seq++ {
		record(seq)
	}
	recorder.BuildFeedbackPacket() // lost
	for seq := 12; seq < 25; seq++ {
		record(seq)
	}
	acks := take()
	if len(acks) != 13 || acks[0].Skipped != 7 || acks[1].Skipped != 0 {
		t.Fatalf("after a lost feedback: %+v", acks)
	}
	if acks[0].Probe != 1 || acks[12].Probe != 2 {
		t.Errorf("probes %d and %d, want 1 and 2", acks[0].Probe, acks[12].Probe)
	}
}

func FuzzFeedback(f *testing.F) {
	recorder := twcc.NewRecorder(1)
	for i := range 40 {
		recorder.Record(1, uint16(i*i), int64(i)*3000)
	}
	for _, p := range recorder.BuildFeedbackPacket() {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[12:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tr := newTransport()
		for range 300 {
			tr.sent(time.Now(), 1200, 0)
		}
		acks, err := tr.feedback(b)
		if err == nil && len(acks) > 300 {
			t.Fatalf("%d acks for 300 packets", len(acks))
		}
	})
}

func FuzzRTCP(f *testing.F) {
	for _, p := range []rtcp.Packet{
		&rtcp.PictureLossIndication{MediaSSRC: 1}, &rtcp.TransportLayerNack{MediaSSRC: 1, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{1, 2, 9})},
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 1, LastSenderReport: 5}}},
		&rtcp.ExtendedReport{Reports: []rtcp.ReportBlock{&rtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 7}}},
	} {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		parseRTCP(b, 1, func(feedback) { n++ })
		if n > len(b) {
			t.Fatalf("%d things said in %d bytes", n, len(b))
		}
	})
}
