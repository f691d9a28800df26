package main

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// offer sends packets of 1000 bytes, evenly over ten seconds, through a
// direction. It needs no time.
func offer(d *direction, packets int) (sent, arrived []time.Time) {
	d.random = rand.New(rand.NewPCG(1, 2))
	start := time.Unix(1_000_000, 0)
	for i := range packets {
		now := start.Add(10 * time.Second * time.Duration(i) / time.Duration(packets))
		if at, f := d.admit(1000, now); f == passed {
			sent, arrived = append(sent, now), append(arrived, at)
		}
	}
	return sent, arrived
}

func TestLinkRate(t *testing.T) {
	d := direction{shape: shape{rate: 800e3, queue: 100 * time.Millisecond}} // a packet in 10 ms
	sent, arrived := offer(&d, 2000)                                         // of which it can carry half
	if got := d.count[passed]; got < 1000 || got > 1011 {
		t.Errorf("%d packets of 1000 bytes passed in 10 s at 800 kbit/s, want 1000 and those in the queue", got)
	}
	if d.count[overflow] != 2000-d.count[passed] {
		t.Errorf("of 2000 packets %d passed and %d did not fit", d.count[passed], d.count[overflow])
	}
	for i := 1; i < len(arrived); i++ {
		if gap := arrived[i].Sub(arrived[i-1]); gap < 10*time.Millisecond {
			t.Fatalf("two packets arrived %v after each other, sooner than the rate allows", gap)
		}
	}
	if wait := arrived[len(arrived)-1].Sub(sent[len(sent)-1]); wait < 90*time.Millisecond || wait > 110*time.Millisecond {
		t.Errorf("the last packet waited %v, want the queue of 100 ms and its own 10 ms", wait)
	}
}

func TestLinkDelay(t *testing.T) {
	d := direction{shape: shape{delay: 30 * time.Millisecond, jitter: 20 * time.Millisecond}}
	sent, arrived := offer(&d, 1000)
	least, most := time.Hour, time.Duration(0)
	for i := range sent {
		took := arrived[i].Sub(sent[i])
		least, most = min(least, took), max(most, took)
		if i > 0 && arrived[i].Before(arrived[i-1]) {
			t.Fatal("packets overtake each other")
		}
	}
	if least < 30*time.Millisecond || least > 32*time.Millisecond || most < 48*time.Millisecond || most > 50*time.Millisecond {
		t.Errorf("packets took from %v to %v, want 30 to 50 ms", least, most)
	}
}

func TestLinkLoss(t *testing.T) {
	for _, burst := range []int{0, 1, 5} {
		d := direction{shape: shape{loss: 0.1, burst: burst}}
		sent, _ := offer(&d, 20_000)
		if got := float64(d.count[lost]) / 20_000; got < 0.08 || got > 0.12 {
			t.Errorf("bursts of %d: %.3f of the packets were lost, want 0.1", burst, got)
		}
		runs := 0
		for i := 1; i < len(sent); i++ {
			if sent[i].Sub(sent[i-1]) > 600*time.Microsecond { // they are sent each 500 µs
				runs++
			}
		}
		if mean, want := float64(d.count[lost])/float64(runs), float64(max(1, burst)); mean < 0.8*want || mean > 1.8*want {
			t.Errorf("bursts of %d: %.1f packets were lost in a row", burst, mean)
		}
	}
}

func TestLinkOutage(t *testing.T) {
	d := direction{silent: time.Unix(1_000_003, 0)}
	if offer(&d, 1000); d.count[lost] != 300 || d.count[passed] != 700 {
		t.Errorf("%v packets met their fates in 10 s of which 3 are silent", d.count)
	}
}

// echoes sends packets over a real link, waits for those that come back until
// one comes that was sent when the link had no flaws any more, and returns how
// many did and the shortest round trip.
func echoes(t *testing.T, l *link, packets int) (back int, shortest time.Duration) {
	t.Helper()
	var near, far net.PacketConn
	for _, end := range []struct {
		at      *namespace
		address string
		conn    *net.PacketConn
	}{{l.near, nearIP, &near}, {l.far, farIP, &far}} {
		err := end.at.within(func() (err error) {
			*end.conn, err = net.ListenPacket("udp4", end.address+":0")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer (*end.conn).Close()
	}
	ended := make(chan struct{})
	defer func() { far.Close(); <-ended }()
	go func() {
		defer close(ended)
		buffer := make([]byte, 1500)
		for {
			n, from, err := far.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = far.WriteTo(buffer[:n], from)
		}
	}()
	send := func(kind byte) {
		packet := make([]byte, 972) // 1000 with its headers
		packet[0] = kind
		binary.BigEndian.PutUint64(packet[1:], uint64(time.Now().UnixNano()))
		if _, err := near.WriteTo(packet, far.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	for range packets {
		send('p')
	}
	// All were admitted when the last that was sent was counted.
	eventually(t, "the link has taken all", func() bool {
		out, _ := l.counts()
		return out[passed]+out[lost]+out[overflow] >= packets
	})
	shortest = time.Hour
	buffer := make([]byte, 1500)
	for end := false; !end; {
		_ = near.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, _, err := near.ReadFrom(buffer)
		if err != nil || n < 9 {
			// Nothing is under way any more, or all that was got lost.
			l.set(shape{})
			send('e')
			continue
		}
		if buffer[0] == 'e' {
			end = true
			continue
		}
		back++
		shortest = min(shortest, time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(buffer[1:])))))
	}
	return back, shortest
}

func TestLinkCarriesPackets(t *testing.T) {
	const packets = 80 // fit into the buffer of a socket
	for _, test := range []struct {
		name        string
		shape       shape
		least, most int // echoes
	}{
		{"perfect", shape{}, packets, packets},
		{"delayed", shape{delay: 40 * time.Millisecond, jitter: 10 * time.Millisecond}, packets, packets},
		{"lossy", shape{loss: 0.3}, packets / 5, packets * 4 / 5}, // 0.49 there and back
		// They come at once, and four fit into the queue; more if the machine is
		// slow, fewer if the OS has to say something itself.
		{"narrow", shape{rate: 80e3, queue: 300 * time.Millisecond}, 2, packets / 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLink(t, test.shape)
			back, shortest := echoes(t, l, packets)
			if back < test.least || back > test.most {
				t.Errorf("%d of %d packets came back, want %d to %d", back, packets, test.least, test.most)
			}
			if shortest < 2*test.shape.delay {
				t.Errorf("a packet came back after %v over a link with %v each way", shortest, test.shape.delay)
			}
		})
	}
}
