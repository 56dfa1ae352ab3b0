package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"holdfast/firmware/mode"
)

// web asks one HTTPS address. Any answer below 500 means that the internet leads somewhere.
type web struct {
	url    string
	client *http.Client
}

func newWeb(url string, roots *x509.CertPool, timeout time.Duration, dial dialer) *web {
	return &web{url: url, client: &http.Client{
		Transport: &http.Transport{
			// No proxy from the environment: the question is what this box itself reaches.
			// The transport dials on after its request has given up, so dialling has a limit of its own.
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, timeout)
				defer cancel()
				return dial(ctx, "tcp4", address)
			},
			TLSHandshakeTimeout:    timeout,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 64 << 10,
			MaxConnsPerHost:        1,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (w *web) name() (string, mode.Kind) { return "https", mode.HTTPS }

func (w *web) ask(ctx context.Context) answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, w.url, nil)
	if err != nil {
		return answer{detail: err.Error()}
	}
	begin := time.Now()
	response, err := w.client.Do(request)
	if err != nil {
		w.close() // a connection that failed once is not asked again
		return answer{detail: explain(err)}
	}
	response.Body.Close()
	return answer{alive: response.StatusCode < 500, rtt: time.Since(begin), detail: response.Status}
}

func (w *web) close() { w.client.CloseIdleConnections() }
