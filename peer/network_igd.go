package peer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// igdRouter speaks UPnP: the WANIPConnection service of an Internet Gateway
// Device. Anybody in the network can answer a search for one, so an answer may
// lead to nowhere but to whom it came from, and all that is read has an end.
type igdRouter struct {
	from   func() []netip.Addr // our addresses, to search from
	search netip.AddrPort      // where to

	service *igdService // nil: not yet found
}

type igdService struct {
	control string     // URL
	kind    string     // the service's type
	own     netip.Addr // our address, as seen from the router
}

const (
	// igdSearch is how long answers to a search are awaited; igdTime is for one
	// request of HTTP.
	igdSearch = 2 * time.Second
	igdTime   = 2 * time.Second
	// maxIGDs is how many who claim to be a router are asked.
	maxIGDs = 4
	// maxDescription and maxSOAP bound what a router may say, in bytes.
	maxDescription = 256 << 10
	maxSOAP        = 16 << 10
)

// ssdpAddr is where UPnP devices listen for searches.
var ssdpAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 255, 255, 250}), 1900)

func (r *igdRouter) String() string {
	if r.service == nil {
		return "UPnP"
	}
	u, _ := url.Parse(r.service.control) // it was one
	return "UPnP at " + u.Hostname()
}

func (r *igdRouter) forward(ctx context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error) {
	if r.service == nil {
		s, err := r.discover(ctx)
		if err != nil {
			return netip.Addr{}, 0, err
		}
		r.service = s
	}
	// First, since without an address the port would be forwarded in vain.
	at, err := r.service.external(ctx)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	got, err := r.service.forward(ctx, p, lease)
	return at, got, err
}

func (r *igdRouter) withdraw(ctx context.Context, p mappedPort) error {
	if r.service == nil {
		return nil
	}
	_, err := r.service.call(ctx, "DeletePortMapping", "NewRemoteHost", "", "NewExternalPort", strconv.Itoa(int(p.Port)), "NewProtocol", protocol(p))
	return err
}

func protocol(p mappedPort) string {
	if p.TCP {
		return "TCP"
	}
	return "UDP"
}

// discover searches for a router by SSDP, from all our addresses at once.
func (r *igdRouter) discover(ctx context.Context) (*igdService, error) {
	ctx, cancel := context.WithTimeout(ctx, igdSearch+maxIGDs*igdTime)
	found := make(chan string)
	var asking sync.WaitGroup
	for _, own := range r.from() {
		if !own.Is4() {
			continue
		}
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: own.AsSlice()})
		if err != nil {
			continue // an address that has just gone
		}
		asking.Go(func() {
			defer conn.Close()
			r.ask(ctx, conn, found)
		})
	}
	go func() {
		asking.Wait()
		close(found)
	}()
	defer func() {
		cancel()
		for range found { // until all have ended
		}
	}()
	seen := map[string]bool{}
	err := errors.New("nobody answers")
	for location := range found {
		if seen[location] || len(seen) == maxIGDs {
			continue
		}
		seen[location] = true
		var s *igdService
		if s, err = describe(ctx, location); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// ask searches from one address and tells of the descriptions that are answered.
func (r *igdRouter) ask(ctx context.Context, conn *net.UDPConn, found chan<- string) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	_ = conn.SetReadDeadline(time.Now().Add(igdSearch)) // fails only for a closed one
	for range 2 {                                       // UDP loses some
		for _, version := range []string{"1", "2"} {
			request := "M-SEARCH * HTTP/1.1\r\nHOST: " + ssdpAddr.String() + "\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n" +
				"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:" + version + "\r\n\r\n"
			if _, err := conn.WriteToUDPAddrPort([]byte(request), r.search); err != nil {
				return
			}
		}
	}
	b := make([]byte, 4096)
	for ctx.Err() == nil {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:n])), nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			continue
		}
		_ = resp.Body.Close() // of memory
		location := resp.Header.Get("Location")
		if at, err := hostOf(location); err == nil && at == from.Addr().Unmap() {
			select {
			case found <- location:
			case <-ctx.Done():
			}
		}
	}
}

// hostOf is the address in a URL of plain HTTP; names would have to be looked up.
func hostOf(text string) (netip.Addr, error) {
	u, err := url.Parse(text)
	if err != nil {
		return netip.Addr{}, err
	}
	if u.Scheme != "http" || u.User != nil {
		return netip.Addr{}, fmt.Errorf("%.100q is no URL of http", text)
	}
	return netip.ParseAddr(u.Hostname())
}

type igdDescription struct {
	Base   string    `xml:"URLBase"`
	Device igdDevice `xml:"device"`
}

type igdDevice struct {
	Services []struct {
		Kind    string `xml:"serviceType"`
		Control string `xml:"controlURL"`
	} `xml:"serviceList>service"`
	Devices []igdDevice `xml:"deviceList>device"`
}

// describe reads a router's description and finds the service in it.
func describe(ctx context.Context, location string) (*igdService, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, err
	}
	b, err := igdFetch(request, maxDescription)
	if err != nil {
		return nil, err
	}
	var d igdDescription
	if err := unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("its description: %w", err)
	}
	base := location
	if d.Base != "" {
		base = d.Base
	}
	kind, path := d.Device.find()
	if kind == "" {
		return nil, errors.New("it has no connection to the internet (WANIPConnection)")
	}
	u, err := url.Parse(base)
	if err == nil {
		u, err = u.Parse(path)
	}
	if err != nil {
		return nil, fmt.Errorf("its description: %w", err)
	}
	is, err := hostOf(u.String())
	if was, _ := hostOf(location); err != nil || is != was {
		return nil, fmt.Errorf("its description leads to another machine, %.100q", u)
	}
	way, err := net.Dial("udp4", netip.AddrPortFrom(is, 9).String()) // sends nothing
	if err != nil {
		return nil, err
	}
	defer way.Close()
	return &igdService{control: u.String(), kind: kind, own: way.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()}, nil
}

// find is the first service of a device, and of those in it, that forwards ports.
func (d igdDevice) find() (kind, control string) {
	for _, s := range d.Services {
		kind := strings.TrimSpace(s.Kind)
		if strings.HasPrefix(kind, "urn:schemas-upnp-org:service:WANIPConnection:") || strings.HasPrefix(kind, "urn:schemas-upnp-org:service:WANPPPConnection:") {
			return kind, strings.TrimSpace(s.Control)
		}
	}
	for _, inner := range d.Devices {
		if kind, control := inner.find(); kind != "" {
			return kind, control
		}
	}
	return "", ""
}

// igdFetch does a request of HTTP. What it read it returns with an error, too.
func igdFetch(request *http.Request, most int64) ([]byte, error) {
	// A transport for each, and no proxy: routers' servers know little of HTTP.
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: igdTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", request.Method, request.URL, err)
	case int64(len(b)) > most:
		return nil, fmt.Errorf("%s %s: it answers with more than %d bytes", request.Method, request.URL, most)
	case resp.StatusCode != http.StatusOK:
		return b, fmt.Errorf("%s %s: it answers with %.60q", request.Method, request.URL, resp.Status)
	}
	return b, nil
}

// unmarshal takes XML of any character set as if it were ASCII, of which all is
// that matters.
func unmarshal(b []byte, v any) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	d.Strict = false
	return d.Decode(v)
}
