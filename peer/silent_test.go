package peer

import (
	"context"
	"strings"
	"testing"
)

// A camera without sound must not promise any: the page would offer to unmute.
func TestNoSoundIsPromisedWhereThereIsNone(t *testing.T) {
	pub, err := NewPublisher(Config{Video: newFakeVideo()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pub.Run(ctx) }()
	v := newViewer(t, nil)
	answer, err := pub.Answer(ctx, "one", v.offer(), false, Signal{})
	if err != nil {
		t.Fatal(err)
	}
	_, audio, found := strings.Cut(answer, "m=audio")
	if !found {
		t.Fatal("the answer leaves out the audio section")
	}
	audio, _, _ = strings.Cut(audio, "m=application")
	if strings.Contains(audio, "a=sendonly") || strings.Contains(audio, "a=sendrecv") {
		t.Errorf("the answer promises sound:\n%s", audio)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
