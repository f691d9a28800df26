package main

import (
	"net/netip"
	"testing"
)

func TestOneAddressDoesNotLockOthersOut(t *testing.T) {
	p := &sharedPort{greetings: map[netip.Prefix]int{}}
	idle, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	n := 0
	for p.enter(idle) {
		n++
	}
	if n != addressGreetings {
		t.Errorf("one address has %d greetings", n)
	}
	if !p.enter(other) {
		t.Error("another address is locked out")
	}
	p.exit(idle)
	if !p.enter(idle) || p.enter(idle) {
		t.Error("one that ended does not let exactly one in")
	}
	p.exit(other)
	for range n {
		p.exit(idle)
	}
	if len(p.greetings) != 0 || p.all != 0 {
		t.Errorf("%v, %d are left", p.greetings, p.all)
	}
}
