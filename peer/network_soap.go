package peer

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// igdError is what a router does not want to do, by its UPnP code.
type igdError int

const (
	igdConflict      igdError = 718 // another machine has the port
	igdOnlyPermanent igdError = 725
)

func (e igdError) Error() string {
	if e == igdConflict {
		return errOtherPort.Error()
	}
	return fmt.Sprintf("it answers with UPnP error code %d", int(e))
}

// forward asks for a port: for ever, if the router knows nothing else.
func (s *igdService) forward(ctx context.Context, p mappedPort, lease time.Duration) (time.Duration, error) {
	add := func(lease time.Duration) error {
		port := strconv.Itoa(int(p.Port))
		_, err := s.call(ctx, "AddPortMapping", "NewRemoteHost", "", "NewExternalPort", port, "NewProtocol", protocol(p),
			"NewInternalPort", port, "NewInternalClient", s.own.String(), "NewEnabled", "1",
			"NewPortMappingDescription", "peercam", "NewLeaseDuration", strconv.Itoa(int(lease/time.Second)))
		return err
	}
	err := add(lease)
	if errors.Is(err, igdOnlyPermanent) {
		err = add(0)
	}
	return lease, err
}

// external asks for the router's other address.
func (s *igdService) external(ctx context.Context) (netip.Addr, error) {
	values, err := s.call(ctx, "GetExternalIPAddress")
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(strings.TrimSpace(values.External))
	if err != nil {
		return netip.Addr{}, errors.New("it has no address on the internet")
	}
	return a, nil
}

// igdValues is what an answer may hold of use to us.
type igdValues struct {
	External string `xml:"Body>GetExternalIPAddressResponse>NewExternalIPAddress"`
	Code     int    `xml:"Body>Fault>detail>UPnPError>errorCode"`
}

// call has the router do an action; arguments are names and values by turns.
func (s *igdService) call(ctx context.Context, action string, arguments ...string) (igdValues, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:%s xmlns:u="%s">`,
		action, html.EscapeString(s.kind))
	for i := 0; i+1 < len(arguments); i += 2 {
		fmt.Fprintf(&b, "<%s>%s</%[1]s>", arguments[i], arguments[i+1])
	}
	fmt.Fprintf(&b, "</u:%s></s:Body></s:Envelope>", action)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.control, strings.NewReader(b.String()))
	if err != nil {
		return igdValues{}, err
	}
	request.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
	// As the specification writes it: some routers look at the case of its letters.
	request.Header["SOAPAction"] = []string{`"` + s.kind + "#" + action + `"`}
	answer, err := igdFetch(request, maxSOAP)
	var values igdValues
	if answer != nil {
		if err2 := unmarshal(answer, &values); err == nil && err2 != nil {
			err = err2
		}
	}
	if values.Code != 0 {
		err = igdError(values.Code)
	}
	if err != nil {
		return values, fmt.Errorf("%s: %w", action, err)
	}
	return values, nil
}
