package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/pion/webrtc/v4"
	"golang.org/x/term"
	"golang.org/x/time/rate"
	"rsc.io/qr"

	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

// dialogue is what a person at the terminal has with those who watch: texts that
// are pasted to and fro, and then lines of talk.
type dialogue struct {
	offers bool
	form   pasteForm
	env    environment
	log    *slog.Logger
	pub    *peer.Publisher

	keys   bool // stdin is a terminal that hands over keys
	buffer pasteBuffer
	open   string // id of the session whose offer is not answered
	any    bool   // a description was taken
	eof    bool
	left   chan string // ids of sessions that have ended

	out   sync.Mutex // of stdout
	flood *rate.Limiter
}

// errPasted ends the program: there is nothing more to be pasted, and nobody watches.
var errPasted = errors.New("done")

func newDialogue(offers bool, form pasteForm, env environment, log *slog.Logger) *dialogue {
	return &dialogue{offers: offers, form: form, env: env, log: log, left: make(chan string, 64), flood: rate.NewLimiter(20, 100)}
}

// run reads and answers until ctx is done.
func (d *dialogue) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stdin := d.env.stdin
	if keys, restore := pasteTerminal(stdin, d.env.stderr, ctx.Done()); keys != nil {
		defer restore()
		stdin, d.keys = keys, true
	}
	if d.offers {
		if err := d.offer(ctx); err != nil {
			return err
		}
	} else {
		d.log.Info("paste the offer of whom is to watch: from the page (peercam paste --page FILE writes it), or from a browser's console")
	}
	typing := readTyped(stdin, d.keys, ctx.Done())
	defer func() {
		stop()
		for d.keys { // the terminal is given back when nobody reads it
			if _, more := <-typing; !more {
				return
			}
		}
	}()
	input := typing
	quiet := time.NewTimer(pasteQuiet)
	defer quiet.Stop()
	for {
		var p pasted
		select {
		case <-ctx.Done():
			return nil
		case id := <-d.left:
			if err := d.gone(ctx, id); err != nil {
				return err
			}
			continue
		case t, more := <-input:
			switch {
			case !more:
				input = nil
				continue
			case t.partial:
				d.show(t.text)
				continue
			case t.err != nil:
				if !errors.Is(t.err, io.EOF) {
					return fmt.Errorf("reading what is pasted: %w", t.err)
				}
				d.eof = true
				p = d.buffer.quiet(true)
			default:
				p = d.buffer.add(t)
			}
			quiet.Reset(pasteQuiet)
		case <-quiet.C:
			p = d.buffer.quiet(false)
		}
		if err := d.take(ctx, p); err != nil {
			return err
		}
		if d.eof && !d.any {
			return errors.New("nothing was pasted: give the offer on stdin")
		}
		if d.eof && d.pub.Viewers() == 0 {
			return errPasted
		}
	}
}

// take does what a line asks for. A person may try again; a pipe does not.
func (d *dialogue) take(ctx context.Context, p pasted) error {
	err := p.err
	switch {
	case p.description != nil && p.description.Type == webrtc.SDPTypeOffer:
		err = d.answer(ctx, *p.description, p.form)
	case p.description != nil:
		err = d.accept(*p.description)
	case p.say != "":
		return d.say(p.say)
	}
	if err == nil {
		d.any = d.any || p.description != nil
		return nil
	}
	if d.any || d.keys {
		d.log.Error("what was pasted cannot be used; try again", "err", err)
		return nil
	}
	return fmt.Errorf("what was pasted cannot be used: %w", err)
}

func (d *dialogue) say(text string) error {
	switch n := d.pub.Say(text); {
	case n > 0:
	case d.any || d.keys:
		d.log.Warn("nobody is there to read this; it was not sent", "text", text)
	default:
		return fmt.Errorf("%w: paste the text that begins with %s, JSON, or SDP that begins with v=0; it begins with %.40q", errPasteNone, pastePrefix, text)
	}
	return nil
}

func (d *dialogue) signal(id string) peer.Signal {
	return peer.Signal{Ended: func(string, string) {
		select {
		case d.left <- id:
		default: // so many are told of that one more tells nothing
		}
	}}
}

func (d *dialogue) answer(ctx context.Context, offer webrtc.SessionDescription, form pasteForm) error {
	late, cancel := context.WithTimeout(ctx, pasteGather)
	defer cancel()
	id := signaling.NewSession()
	sdp, err := d.pub.Answer(late, id, offer.SDP, false, d.signal(id))
	if err != nil {
		return err
	}
	return d.print(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}, form)
}

func (d *dialogue) offer(ctx context.Context) error {
	late, cancel := context.WithTimeout(ctx, pasteGather)
	defer cancel()
	d.open = signaling.NewSession()
	sdp, err := d.pub.Offer(late, d.open, d.signal(d.open))
	if err != nil {
		return err
	}
	return d.print(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}, formShort)
}

func (d *dialogue) accept(answer webrtc.SessionDescription) error {
	if d.open == "" {
		return errors.New("this is an answer, and there is no offer of ours that it could be for: paste an offer, or start with --offer")
	}
	if err := d.pub.Accept(d.open, answer.SDP); err != nil {
		return err
	}
	d.open = ""
	return nil
}

// gone makes another offer when somebody has left.
func (d *dialogue) gone(ctx context.Context, id string) error {
	if d.eof && d.pub.Viewers() == 0 {
		return errPasted
	}
	if !d.offers || d.eof || d.open != "" && d.open != id {
		return nil
	}
	return d.offer(ctx)
}

// print writes a description to stdout, and where a person sees it how to use it.
func (d *dialogue) print(s webrtc.SessionDescription, form pasteForm) error {
	if d.form != "" {
		form = d.form
	}
	text, err := formatPaste(s, form)
	if err != nil {
		return err
	}
	d.out.Lock()
	_, err = fmt.Fprintln(d.env.stdout, text)
	d.out.Unlock()
	if err != nil {
		return fmt.Errorf("printing the %s: %w", s.Type, err)
	}
	if form == formShort {
		d.showCode(text)
	}
	d.log.Info("now the other side: paste this "+s.Type.String()+" there", "characters", len(text))
	return nil
}

// showCode draws the text for a phone, where it fits into the terminal.
func (d *dialogue) showCode(text string) {
	status, ok := d.env.stderr.(*statusWriter)
	if !ok {
		return
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return // too long for a code
	}
	f, ok := status.w.(*os.File)
	if !ok {
		return
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width >= code.Size+6 {
		_, _ = io.WriteString(status, qrText(code)) // only decoration
	}
}

// hear prints what a viewer says; peer.Config.Chat.
func (d *dialogue) hear(id, text string) {
	if !d.flood.Allow() {
		return
	}
	who := "viewer"
	if d.pub.Viewers() > 1 {
		who += " " + short(id)
	}
	d.out.Lock()
	defer d.out.Unlock()
	for line := range strings.Lines(text) {
		_, _ = fmt.Fprintf(d.env.stdout, "%s: %s\n", who, printable(line)) // whoever reads may be gone
	}
}

// printable keeps a viewer's text from steering the terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		if r == '\t' {
			return ' '
		}
		return -1
	}, line)
}

// show is the line being typed.
func (d *dialogue) show(text string) {
	if status, ok := d.env.stderr.(*statusWriter); ok {
		if runes := []rune(text); len(runes) > 60 {
			text = "…" + string(runes[len(runes)-60:])
		}
		status.show("› " + printable(text))
	}
}
