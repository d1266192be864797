package httpretry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/seed4886185c/concert/retry"
)

// An exchange is one request and the attempts to have it answered. Only the
// goroutine of the request uses it.
type exchange struct {
	*transport

	req    *http.Request
	resp   *http.Response     // of the last attempt, while it is neither taken nor given up
	cancel context.CancelFunc // ends the context that resp.Body is read under
	sent   bool               // req.Body belongs to the base transport
}

// attempt sends the request. If the response has one of the statuses to be
// retried, it is kept and a [*StatusError] returned.
func (x *exchange) attempt(ctx context.Context) error {
	req := x.req.WithContext(ctx)
	if retry.AttemptFrom(ctx) > 1 && req.Body != nil && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return retry.Permanent(fmt.Errorf("httpretry: rewinding the body: %w", err))
		}
		req.Body = body
	}
	if err := x.send(req); err != nil {
		if hopeless(err) {
			err = retry.Permanent(err)
		}
		return err
	}
	if slices.Contains(x.statuses, x.resp.StatusCode) {
		return &StatusError{Code: x.resp.StatusCode, Header: x.resp.Header}
	}
	return nil
}

// send sends req through the base transport and keeps the response.
func (x *exchange) send(req *http.Request) error {
	// The context has to last as long as the body is read, and so it is not
	// the attempt's. A time limit that holds for the header alone cannot be its
	// deadline; the cause tells what it was.
	ctx, cancelCause := context.WithCancelCause(req.Context())
	cancel := func() { cancelCause(nil) }
	x.cancel = cancel
	timeout := &timeoutError{x.timeout}
	var timer *time.Timer
	if x.timeout > 0 {
		timer = time.AfterFunc(x.timeout, func() { cancelCause(timeout) })
	}
	x.sent = true
	resp, err := x.base.RoundTrip(req.WithContext(ctx))
	x.resp = resp
	if timer != nil && !timer.Stop() {
		x.close()
		return timeout
	}
	if err == nil && resp == nil {
		err = errNoResponse
	}
	if err != nil {
		x.close()
		return err
	}
	if resp.Body == nil { // http.Client forgives this, too
		resp.Body = http.NoBody
	}
	if resp.Request != nil {
		resp.Request = req // whose context outlives the body
	}
	if resp.StatusCode != http.StatusSwitchingProtocols { // then the connection is the caller's, with all that it can
		resp.Body = withCancel(resp.Body, cancel)
	}
	return nil
}

var errNoResponse = errors.New("httpretry: the base transport returned no response and no error")

// take returns the response, which is then the caller's, or nil.
func (x *exchange) take() *http.Response {
	resp := x.resp
	if resp != nil {
		x.resp, x.cancel = nil, nil
	}
	return resp
}

// What is left of a response that is given up is read, so that its connection
// can be used again, if it is no more than this and takes no longer.
const (
	drainBytes = 64 << 10
	drainTime  = 100 * time.Millisecond
)

// giveUp drains and closes the response, if there is one.
func (x *exchange) giveUp() {
	if x.resp != nil {
		timer := time.AfterFunc(drainTime, x.cancel)
		_, _ = io.CopyN(io.Discard, x.resp.Body, drainBytes) // of no interest: the connection is not used again then
		timer.Stop()
	}
	x.close()
}

// close closes what is still open, also after a panic.
func (x *exchange) close() {
	if x.resp != nil && x.resp.Body != nil {
		_ = x.resp.Body.Close() // nothing was written
	}
	x.resp = nil
	if x.cancel != nil {
		x.cancel()
	}
	if !x.sent && x.req.Body != nil {
		_ = x.req.Body.Close() // as every RoundTripper does, whether or not it sends the request
	}
}

// hopeless reports whether err will be the same next time.
func hopeless(err error) bool {
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, notTLS := errors.AsType[tls.RecordHeaderError](err)
	return unverified || notTLS
}

// withCancel returns body, which calls cancel when it is closed or has come to
// its end.
func withCancel(body io.ReadCloser, cancel context.CancelFunc) io.ReadCloser {
	if body == http.NoBody {
		cancel()
		return body
	}
	return &cancelBody{body, cancel}
}

type cancelBody struct {
	io.ReadCloser

	cancel context.CancelFunc
}

func (b *cancelBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.cancel()
	}
	return n, err
}

func (b *cancelBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
