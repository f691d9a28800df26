package capture

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// fileAudio plays a WAV file over and over.
type fileAudio struct{ path string }

func newFileAudio(path string, _ Options) (AudioSource, error) {
	if err := checkFile("--mic", path); err != nil {
		return nil, err
	}
	return &fileAudio{path}, nil
}

func (s *fileAudio) String() string { return fileName(s.path) }

func (s *fileAudio) Open(context.Context) (AudioReader, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err // names the path
	}
	w, err := newWAVReader(f, false)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	r := &wavFileReader{
		path: s.path, file: f, wav: w, pacer: newPacer(time.Now()),
		raw: make([]byte, w.perRun()*w.block()), pcm: make([]int16, w.perRun()*w.out()),
	}
	if err := r.fill(); err != nil {
		r.Close()
		return nil, err
	}
	r.filled = true
	return r, nil
}

type wavFileReader struct {
	path    string
	pacer   *pacer
	runs    int64
	filled  bool // pcm holds the next run
	raw     []byte
	pcm     []int16
	samples Samples

	mu     sync.Mutex // Close must not pull the file away from Read
	wav    *wavReader
	file   io.Closer
	closed bool
}

func (r *wavFileReader) Read() (*Samples, error) {
	if !r.filled {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	r.filled = false
	due := ticks(r.runs*int64(r.wav.perRun()), int64(r.wav.rate), 1)
	if late := r.pacer.late(due); late > time.Second { // as fileReader
		r.pacer.start = r.pacer.start.Add(late)
	}
	at, err := r.pacer.wait(due)
	if err != nil {
		return nil, err
	}
	r.runs++
	r.samples = Samples{PCM: r.pcm, Rate: r.wav.rate, Channels: r.wav.out(), Time: at}
	return &r.samples, nil
}

// fill reads a run, across the end of the file if need be.
func (r *wavFileReader) fill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	for n := 0; n < len(r.raw); {
		m, err := r.wav.samples(r.raw[n:])
		n += m
		if err == io.EOF {
			if r.wav.off-r.wav.data < int64(r.wav.block()) {
				return fmt.Errorf("%s: holds no sound after its header, which ends at byte %d", r.path, r.wav.data)
			}
			err = r.wav.rewind()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.path, err)
		}
	}
	r.wav.convert(r.pcm, r.raw)
	return nil
}

func (r *wavFileReader) Close() error {
	r.pacer.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return r.file.Close()
}
