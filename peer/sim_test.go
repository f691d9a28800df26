package peer

import (
	"container/heap"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
)

// The simulator runs an estimator against a sender, a link and a receiver,
// some thousand times faster than real time.

// simLink is one direction of a way: a bottleneck with a queue, then a delay.
type simLink struct {
	rate    func(t time.Duration) float64 // bit/s; 0: nothing passes
	delay   time.Duration
	queue   time.Duration // at the bottleneck; what would wait longer is lost
	police  bool          // no queue at all: a token bucket of 100 ms
	loss    float64
	burst   int           // packets lost in a row
	jitter  time.Duration // uniform
	reorder bool          // by jitter; else the order is kept
	stalls  stalls        // before the bottleneck
	lump    time.Duration // packets come only at multiples of it

	random *rand.Rand
	free   time.Duration // when the queue is empty
	last   time.Duration
	toLose int
}

func constant(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

func (l *simLink) carry(t time.Duration, size int) (time.Duration, bool) {
	rate := l.rate(t)
	if rate == 0 {
		return 0, false
	}
	if l.toLose > 0 {
		l.toLose--
		return 0, false
	}
	if b := max(l.burst, 1); l.random.Float64() < l.loss/float64(b) {
		l.toLose = b - 1
		return 0, false
	}
	l.free = max(l.free, l.stalls.after(t))
	wait := l.free - t
	if l.police {
		if wait > 100*time.Millisecond {
			return 0, false
		}
		l.free += time.Duration(float64(size*8) / rate * 1e9)
		return t + l.delay, true
	}
	if wait > l.queue {
		return 0, false
	}
	// Served at the rate of the time at which it is served.
	left := float64(size * 8)
	for left > 0 {
		step := 5 * time.Millisecond
		r := l.rate(l.free)
		if r*step.Seconds() >= left {
			l.free += time.Duration(left / r * 1e9)
			break
		}
		left -= r * step.Seconds()
		l.free += step
		if l.free-t > 10*time.Second {
			return 0, false
		}
	}
	out := l.free + l.delay
	if l.jitter > 0 {
		out += time.Duration(l.random.Int64N(int64(l.jitter)))
	}
	if l.lump > 0 {
		out = (out/l.lump + 1) * l.lump
	}
	if !l.reorder {
		out = max(out, l.last)
		l.last = out
	}
	return out, true
}

// stalls are times at which a machine does nothing, as it happens to phones,
// small computers and virtual machines: what falls due meanwhile is done at the end.
type stalls []stall

type stall struct{ from, to time.Duration }

// randomStalls last 20 ms to most, each some 0.3 to 2 s after the one before.
func randomStalls(r *rand.Rand, most, until time.Duration) stalls {
	var all stalls
	for t := time.Duration(0); t < until; {
		t += 300*time.Millisecond + time.Duration(r.Int64N(int64(1700*time.Millisecond)))
		d := 20*time.Millisecond + time.Duration(r.Int64N(int64(most-20*time.Millisecond)))
		all = append(all, stall{t, t + d})
		t += d
	}
	return all
}

// after is t, or the end of the stall that t falls into.
func (s stalls) after(t time.Duration) time.Duration {
	i := sort.Search(len(s), func(i int) bool { return s[i].to > t })
	if i < len(s) && s[i].from <= t {
		return s[i].to
	}
	return t
}

type simEvent struct {
	at time.Duration
	n  int
	do func()
}

type simEvents []simEvent

func (h simEvents) Len() int { return len(h) }
func (h simEvents) Less(i, j int) bool {
	return h[i].at < h[j].at || (h[i].at == h[j].at && h[i].n < h[j].n)
}
func (h simEvents) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *simEvents) Push(x any)   { *h = append(*h, x.(simEvent)) }
func (h *simEvents) Pop() any     { o := *h; x := o[len(o)-1]; *h = o[:len(o)-1]; return x }

// simulation is a clock and what is to happen.
type simulation struct {
	now    time.Duration
	events simEvents
	n      int
	random *rand.Rand
}

func newSimulation(seed uint64) *simulation {
	return &simulation{random: rand.New(rand.NewPCG(seed, 7))}
}

func (s *simulation) at(t time.Duration, do func()) {
	s.n++
	heap.Push(&s.events, simEvent{t, s.n, do})
}

func (s *simulation) every(from, step time.Duration, do func()) {
	s.at(from, func() { do(); s.every(from+step, step, do) })
}

func (s *simulation) run(until time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= until {
		e := heap.Pop(&s.events).(simEvent)
		s.now = e.at
		e.do()
	}
	s.now = until
}

// simCall is a sender with its estimator and the receiver at the other end.
type simCall struct {
	*simulation
	e       *Estimator
	tr      *transport
	up      *simLink
	back    *simLink
	demand  func(t time.Duration) float64 // bit/s that the encoder would like
	sound   bool
	obeys   bool          // drops layers while congested
	clock   time.Duration // added to the sender's
	viewer  time.Duration // added to the viewer's
	padding bool
	each    time.Duration // between feedbacks
	quiet   time.Duration // until then there is no picture
	pauses  bool          // the picture, where the link is too thin for it
	paused  bool
	sender  stalls
	reader  stalls // at the viewer

	recorder *twcc.Recorder
	waiting  []int // packets
	pace     pacer
	backlog  int
	pacing   bool
	keyAt    time.Duration

	// What a person would measure, by sample of 50 ms.
	targets []float64
	waits   []time.Duration // of each packet that arrived
	waitAt  []time.Duration
	arrived []float64 // bytes by 50 ms of arrival
	lost    int
	sent    int
	probed  int
}

const testStart = 1_000_000 // bit/s

var simEpoch = time.Unix(1_000_000, 0)

func (c *simCall) time() time.Time { return simEpoch.Add(c.now + c.clock) }

func newCall(s *simulation, up *simLink, demand float64) *simCall {
	up.random = s.random
	return &simCall{
		simulation: s, e: NewEstimator(testStart, 100_000, 100_000_000), tr: newTransport(), up: up,
		back:   &simLink{rate: constant(1e8), delay: up.delay, queue: time.Second, jitter: up.jitter, loss: 0, random: s.random},
		demand: constant(demand), sound: true, obeys: true, padding: true, each: 50 * time.Millisecond, recorder: twcc.NewRecorder(1),
	}
}

func (c *simCall) start(at time.Duration) {
	c.keyAt = at
	if c.sound {
		c.every(at, 20*time.Millisecond, c.awake(func() { c.send(120, 0) }))
	}
	c.every(at, time.Second/30, c.awake(c.frame))
	c.every(at, 25*time.Millisecond, c.awake(func() {
		c.e.SetDemand(int(c.demand(c.now)))
		c.e.Tick(c.time())
		c.probe()
	}))
	c.every(at, 50*time.Millisecond, func() { c.targets = append(c.targets, float64(c.e.Target())) })
	c.every(at+100*time.Millisecond, c.each, c.feed)
}

// awake does something when the sender is not stalled.
func (c *simCall) awake(do func()) func() {
	return func() {
		if end := c.sender.after(c.now); end > c.now {
			c.at(end, do)
			return
		}
		do()
	}
}

// frame is what a camera's encoder hands over.
func (c *simCall) frame() {
	if c.now < c.quiet {
		return
	}
	if c.pauses {
		limit := pauseRate
		if c.paused {
			limit = resumeRate
		}
		if c.paused = c.e.Target() < limit; c.paused {
			return
		}
	}
	rate := 0.93 * min(float64(c.e.Target()), c.demand(c.now))
	if c.sound {
		rate -= 50_000
	}
	size := max(rate, 30_000) / 30 / 8 * (0.7 + 0.6*c.random.Float64())
	if c.obeys && c.e.Congested() {
		size /= 3 // layers are dropped
	}
	if c.now >= c.keyAt {
		size = max(6*size, 6000)
		c.keyAt = c.now + 12*time.Second
	}
	if c.obeys && c.backlog > int(float64(c.e.Target())/8*0.2)+3000 {
		return // dropped whole
	}
	n := int(size)/1150 + 1
	for range n {
		c.waiting = append(c.waiting, int(size)/n+40)
		c.backlog += int(size)/n + 40
	}
	c.flush()
}

func (c *simCall) flush() {
	if c.pacing || len(c.waiting) == 0 {
		return
	}
	c.pacing = true
	var step func()
	step = func() {
		if end := c.sender.after(c.now); end > c.now {
			c.at(end, step)
			return
		}
		if len(c.waiting) == 0 {
			c.pacing = false
			return
		}
		if c.e.InFlight() > c.e.Window() {
			c.at(c.now+5*time.Millisecond, step)
			return
		}
		c.pace.set(c.e.Target(), c.e.Congested())
		if wait := c.pace.wait(simEpoch.Add(c.now)); wait > 0 {
			c.at(c.now+wait, step)
			return
		}
		size := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.backlog -= size
		c.send(size, 0)
		c.pace.sent(simEpoch.Add(c.now), size)
		step()
	}
	step()
}

func (c *simCall) probe() {
	if !c.padding {
		return
	}
	p, ok := c.e.Probe(c.time())
	if !ok {
		return
	}
	for i := range p.Packets {
		c.at(c.sender.after(c.now+time.Duration(float64(i*p.Size*8)/float64(p.Rate)*1e9)), func() { c.send(p.Size, p.ID); c.probed += p.Size })
	}
}

func (c *simCall) send(size, probe int) {
	c.e.Sent(c.time(), size)
	seq := c.tr.sent(c.time(), size, probe)
	c.sent++
	sent, delay := c.now, c.up.delay
	at, ok := c.up.carry(c.now, size)
	if !ok {
		c.lost++
		return
	}
	at = c.reader.after(at)
	c.at(at, func() {
		c.recorder.Record(1, seq, (c.now + c.viewer + time.Minute).Microseconds())
		c.waits = append(c.waits, at-sent-delay)
		c.waitAt = append(c.waitAt, c.now)
		for len(c.arrived) <= int(c.now/(50*time.Millisecond)) {
			c.arrived = append(c.arrived, 0)
		}
		c.arrived[c.now/(50*time.Millisecond)] += float64(size)
	})
}

func (c *simCall) feed() {
	if end := c.reader.after(c.now); end > c.now {
		c.at(end, c.feed)
		return
	}
	for _, p := range c.recorder.BuildFeedbackPacket() {
		b, err := p.Marshal()
		if err != nil {
			panic(err)
		}
		at, ok := c.back.carry(c.now, len(b))
		if !ok {
			continue
		}
		c.at(c.sender.after(at), func() {
			acks, err := c.tr.feedback(b[12:])
			if err != nil {
				panic(err)
			}
			c.e.Feedback(c.time(), acks)
			c.probe()
		})
	}
}

// mean of the target between two times, in bit/s.
func (c *simCall) mean(from, to time.Duration) float64 {
	sum, n := 0.0, 0
	for i := int(from / (50 * time.Millisecond)); i < int(to/(50*time.Millisecond)) && i < len(c.targets); i++ {
		sum += c.targets[i]
		n++
	}
	return sum / float64(max(n, 1))
}

// throughput is what arrived between two times, in bit/s.
func (c *simCall) throughput(from, to time.Duration) float64 {
	sum := 0.0
	for i := int(from / (50 * time.Millisecond)); i < int(to/(50*time.Millisecond)) && i < len(c.arrived); i++ {
		sum += c.arrived[i]
	}
	return sum * 8 / (to - from).Seconds()
}

// wait is the q-quantile of how long packets that arrived between two times
// took beyond the delay of the way.
func (c *simCall) wait(q float64, from, to time.Duration) time.Duration {
	var some []time.Duration
	for i, at := range c.waitAt {
		if at >= from && at < to {
			some = append(some, c.waits[i])
		}
	}
	if len(some) == 0 {
		return 0
	}
	sort.Slice(some, func(i, j int) bool { return some[i] < some[j] })
	return some[min(int(q*float64(len(some))), len(some)-1)]
}

// addTraffic is a flow beside the call that behaves as TCP does: it grows until
// something is lost, then halves (Reno) or goes to 0.7 (Cubic's share).
func addTraffic(s *simulation, up *simLink, from, to time.Duration) {
	window, flying, slow := 10.0, 0, true
	round := 2*up.delay + 10*time.Millisecond
	lastCut := time.Duration(0)
	var fill func()
	fill = func() {
		for s.now >= from && s.now < to && flying < int(window) {
			flying++
			at, ok := up.carry(s.now, 1200)
			if !ok {
				s.at(s.now+round+(max(up.free-s.now, 0)), func() {
					flying--
					if s.now-lastCut > round+up.queue/2 {
						window, lastCut, slow = max(0.7*window, 2), s.now, false
					}
					fill()
				})
				continue
			}
			s.at(at+up.delay, func() {
				flying--
				if slow {
					window++
				} else {
					window += 1 / window
				}
				fill()
			})
		}
	}
	s.at(from, fill)
}
