package main

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// shape is what a link does to packets, in each direction by itself.
type shape struct {
	rate   float64       // bit/s of IP packets; 0 is no limit
	delay  time.Duration // one way
	jitter time.Duration // up to which is added, evenly distributed; the order of packets is kept
	loss   float64       // part of the packets, 0 to 1
	burst  int           // packets lost in a row, 0 or 1: each by itself; the part lost stays the same
	queue  time.Duration // what would wait longer is dropped; 0 is 200 ms
}

// fate is what became of a packet.
type fate int

const (
	passed   fate = iota
	lost          // by chance, or in an outage
	overflow      // the queue was full
	fates
)

// direction is one half of a link: a queue in front of a bottleneck, then a
// delay. It decides when packets arrive, and carries none.
type direction struct {
	shape
	silent time.Time // until when nothing passes
	free   time.Time // when the bottleneck is
	last   time.Time // arrival
	losing int       // packets of a burst that are still to be lost
	random *rand.Rand
	count  [fates]int
}

// admit decides about a packet of size bytes that is sent at now: when it
// arrives, if it does.
func (d *direction) admit(size int, now time.Time) (arrives time.Time, f fate) {
	defer func() { d.count[f]++ }()
	burst := max(1, d.burst)
	switch {
	case now.Before(d.silent):
		return time.Time{}, lost
	case d.losing > 0:
		d.losing--
		return time.Time{}, lost
	case d.random.Float64() < d.loss/float64(burst):
		d.losing = burst - 1
		return time.Time{}, lost
	}
	arrives = now
	if d.rate > 0 {
		queue := d.queue
		if queue == 0 {
			queue = 200 * time.Millisecond
		}
		if d.free.After(now) {
			arrives = d.free
		}
		if arrives.Sub(now) > queue {
			return time.Time{}, overflow
		}
		arrives = arrives.Add(time.Duration(float64(8*size) / d.rate * float64(time.Second)))
		d.free = arrives
	}
	arrives = arrives.Add(d.delay)
	if d.jitter > 0 {
		arrives = arrives.Add(time.Duration(d.random.Int64N(int64(d.jitter))))
	}
	if arrives.Before(d.last) {
		arrives = d.last
	}
	d.last = arrives
	return arrives, passed
}

// link joins two namespaces: near, in which there is nearIP, and far.
type link struct {
	near, far *namespace
	ends      [2]*os.File // near, far
	mu        sync.Mutex
	ways      [2]direction // from near to far, and back
	carrying  sync.WaitGroup
}

const nearIP, farIP = "10.77.0.1", "10.77.0.2"

// newLink makes two namespaces and a link between them. It skips a test, and
// fails a benchmark, where the OS does not let us: who measures is not to
// believe that it was done.
func newLink(t testing.TB, s shape) *link {
	t.Helper()
	l := &link{}
	for i := range l.ways {
		l.ways[i] = direction{shape: s, random: rand.New(rand.NewPCG(1, uint64(i)))}
	}
	t.Cleanup(func() {
		for _, f := range l.ends {
			f.Close() // wakes those who read it; nil is no harm
		}
		l.carrying.Wait()
		for _, n := range []*namespace{l.near, l.far} {
			if n != nil {
				n.close()
			}
		}
	})
	make := func(n **namespace, end **os.File, address string) (err error) {
		if *n, err = newNamespace(); err != nil {
			return err
		}
		*end, err = (*n).device(address)
		return err
	}
	err := make(&l.near, &l.ends[0], nearIP+"/30")
	if err == nil {
		err = make(&l.far, &l.ends[1], farIP+"/30")
	}
	if _, measuring := t.(*testing.B); errors.Is(err, fs.ErrPermission) && !measuring {
		t.Skip("LOUD: not tried, links are shaped between network namespaces, for which one must be root: ", err)
	}
	if err != nil {
		t.Fatal("a link between two network namespaces (root, iproute2 and /dev/net/tun are needed): ", err)
	}
	for i := range l.ways {
		l.carry(&l.ways[i], l.ends[i], l.ends[1-i])
	}
	return l
}

// shareOver runs `peercam share` at the near end of a link.
func shareOver(t testing.TB, l *link, stdin io.Reader, args ...string) *process {
	t.Helper()
	var p *process
	err := l.near.within(func() error {
		p = spawn(t, stdin, append([]string{"share", "--room", "kitchen", "--listen", nearIP + ":0", "--mic", "none",
			"--key-file", filepath.Join(t.TempDir(), "key"), "--log-level", "warn"}, args...)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// carry takes packets from one end to the other until that is closed.
func (l *link) carry(way *direction, from, to *os.File) {
	type packet struct {
		arrives time.Time
		data    []byte
	}
	// A second of small packets at 10 Mbit/s. What does not fit is dropped, and
	// counted as the queue's.
	air := make(chan packet, 10_000)
	l.carrying.Go(func() {
		defer close(air)
		buffer := make([]byte, 1<<16)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return // closed
			}
			l.mu.Lock()
			arrives, f := way.admit(n, time.Now())
			if f == passed {
				select {
				case air <- packet{arrives, append([]byte(nil), buffer[:n]...)}:
				default:
					way.count[passed]--
					way.count[overflow]++
				}
			}
			l.mu.Unlock()
		}
	})
	l.carrying.Go(func() {
		for p := range air {
			time.Sleep(time.Until(p.arrives))
			_, _ = to.Write(p.data) // an end that is closed takes nothing any more
		}
	})
}

// set changes what the link does from now on to packets that come.
func (l *link) set(s shape) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.ways {
		l.ways[i].shape = s
	}
}

// silence lets nothing pass for a while.
func (l *link) silence(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.ways {
		l.ways[i].silent = time.Now().Add(d)
	}
}

// counts are the packets that went from near to far, and back, by their fate.
func (l *link) counts() (out, back [fates]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ways[0].count, l.ways[1].count
}
