package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/peercam/peercam/signaling"
)

// checkPort tries the address that the built-in server would listen on.
func checkPort(addr string) finding {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		defer l.Close()
		return listenFinding(addr, reachable(l.Addr()), nil, "")
	}
	user := ""
	if _, port, err := net.SplitHostPort(addr); err == nil {
		if n, err := strconv.Atoi(port); err == nil {
			user = portUser(n)
		}
	}
	return listenFinding(addr, "", err, user)
}

// listenFinding judges how listening went; user has the port.
func listenFinding(addr, link string, err error, user string) finding {
	if err == nil {
		return finding{Verdict: fine, Summary: fmt.Sprintf("%s is free; the link will begin with http://%s/", addr, link)}
	}
	f := finding{Verdict: problem, Summary: fmt.Sprintf("--listen %s: %v", addr, err)}
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && user != "":
		f.Summary = fmt.Sprintf("--listen %s: %s has the port", addr, user)
		f.Remedy = "end that program, or choose another port with --listen :8081"
	case errors.Is(err, syscall.EADDRINUSE):
		f.Remedy = "end the program that has the port, or choose another with --listen :8081"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		f.Remedy = "this machine does not have that address: leave it out, --listen :8080"
	case errors.Is(err, fs.ErrPermission):
		f.Remedy = "ports below 1024 are for root: choose --listen :8080"
	default:
		f.Remedy = "write it as HOST:PORT or :PORT, for instance --listen :8080"
	}
	return f
}

// checkServer says hello to the signaling server elsewhere: as a viewer of a
// room that nobody else has, which it answers with a welcome. The fingerprint is
// of its certificate, where that is self-signed.
func checkServer(ctx context.Context, url, fingerprint string) finding {
	const remedy = "give the address that peercam serve has printed, and look whether a firewall lets it through"
	dial, err := signaling.DialPinned(url, fingerprint)
	if err != nil {
		return finding{Verdict: problem, Summary: "--signal: " + err.Error(), Remedy: remedy}
	}
	conn, err := dial(ctx)
	if err != nil {
		return finding{Verdict: problem, Summary: err.Error(), Remedy: remedy}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close("", "") })
	defer stop()
	room := "doctor-" + signaling.NewSession()
	err = conn.Send(signaling.Message{Type: signaling.TypeJoin, Version: signaling.Version, Role: signaling.RoleViewer, Room: room})
	var answer signaling.Message
	if err == nil {
		answer, err = conn.Receive()
	}
	conn.Close("", "")
	for last := err; ; { // to the end, as Conn asks
		var one *signaling.Error
		if last != nil && !errors.As(last, &one) {
			break
		}
		_, last = conn.Receive()
	}
	return serverFinding(url, answer, err)
}

// serverFinding judges the answer to a join.
func serverFinding(url string, answer signaling.Message, err error) finding {
	switch {
	case err != nil:
		return finding{Verdict: problem, Summary: fmt.Sprintf("%s did not answer a hello: %v", url, err),
			Remedy: "look whether a peercam server runs there, of about this version"}
	case answer.Type == signaling.TypeError:
		return finding{Verdict: problem, Summary: fmt.Sprintf("%s refuses us: %.200q", url, answer.Message),
			Remedy: fmt.Sprintf("ask who runs the server; code %.40q", answer.Code)}
	case answer.Type != signaling.TypeWelcome:
		return finding{Verdict: problem, Summary: fmt.Sprintf("%s answered a hello with %.40q", url, answer.Type),
			Remedy: "use a peercam server of this version"}
	}
	f := finding{Verdict: fine, Summary: url + " answers"}
	for _, s := range answer.ICEServers {
		f.Details = append(f.Details, fmt.Sprintf("it names %.200q", strings.Join(s.URLs, ", ")))
	}
	return f
}

// localAddresses are this machine's, but those that nobody else can reach.
func localAddresses() (all []netip.Addr) {
	addrs, _ := net.InterfaceAddrs() // none then, which is told
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if ip := p.Addr().Unmap(); !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			all = append(all, ip)
		}
	}
	return all
}

// addressesFinding judges where others can find this machine; own is what links
// name.
func addressesFinding(all []netip.Addr, own, listen string) finding {
	if len(all) == 0 {
		return finding{Verdict: warning, Summary: "none: no network is connected, so only this machine can watch",
			Remedy: "connect to the network that the viewers are in"}
	}
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	f := finding{Verdict: fine, Summary: strings.Join(texts, ", ")}
	if len(all) > 1 {
		f.Details = []string{"links name " + own}
	}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
			return f.with(warning, "--listen "+listen+": only this machine can watch", "leave the address out, --listen :8080, to let others in")
		}
	}
	return f
}
