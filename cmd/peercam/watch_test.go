package main

import "testing"

func TestTheLinkShowsThePicture(t *testing.T) {
	p := share(t)
	v := open(t, p.first)
	v.live()
	v.clean()
}
