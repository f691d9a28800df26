package main

import (
	"slices"
	"testing"
	"time"
)

// These tests wait for a stretch of time in which all is well, rather than ask
// that it be so at once: the machine may have other things to do. A sender that
// sends more than the link takes never has one. The test picture needs about
// 370 kbit/s at the size and rate of `small`.

func TestNoFreezeOverAShapedLink(t *testing.T) {
	l := newLink(t, shape{rate: 250e3, delay: 30 * time.Millisecond, loss: 0.01})
	p := shareOver(t, l, nil, slices.Concat(small, []string{"--camera", "test"})...)
	v := record(t, l.far.browser(t), p.first)
	v.state("live")
	v.until("record.flows(6000)")
	v.clean()
}

// Where asking again would make pictures late, parity packets go along with them, and
// the browser has a use for them.
func TestParityGoesAlongOnALossyLink(t *testing.T) {
	l := newLink(t, shape{rate: 2e6, delay: 50 * time.Millisecond, loss: 0.05})
	p := shareOver(t, l, nil, slices.Concat(small, []string{"--camera", "test"})...)
	v := record(t, l.far.browser(t), p.first)
	v.state("live")
	v.until("record.samples.at(-1)?.parity > 20 && record.flows(3000)")
	v.clean()
}

func TestThePictureShrinksWithTheLinkAndGrowsAgain(t *testing.T) {
	wide, thin := shape{rate: 2e6, delay: 20 * time.Millisecond}, shape{rate: 150e3, delay: 20 * time.Millisecond}
	l := newLink(t, wide)
	p := shareOver(t, l, nil, slices.Concat(small, []string{"--camera", "test"})...)
	v := record(t, l.far.browser(t), p.first)
	v.state("live")
	v.until("document.querySelector('video').videoWidth === 640 && record.flows(2000)")
	l.set(thin)
	v.until("document.querySelector('video').videoWidth === 320 && record.flows(4000)")
	l.set(wide)
	v.until("document.querySelector('video').videoWidth === 640 && record.flows(2000)")
	if n := js[int](v, "probe.peers.length"); n != 1 {
		t.Errorf("the page connected %d times, want once: a thin link is no lost one", n)
	}
	v.clean()
}
