package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/seed4886185c/concert/pubsub"
	"github.com/seed4886185c/concert/ratelimit"
)

// config says what a room is like.
type config struct {
	origins    []string // hosts whose pages may connect, besides that of the room
	maxClients int
	history    int            // how many events those who come see
	queue      int            // how many events a client may be behind; more than history
	rate       ratelimit.Rate // of the messages of each client
	burst      int            // of the same
	beat       time.Duration  // from numbers to numbers, and from ping to ping
	patience   time.Duration  // until a client that takes nothing is gone
}

// defaultConfig is what flags change.
func defaultConfig() config {
	return config{
		maxClients: 1000,
		history:    100,
		queue:      300,
		rate:       2,
		burst:      10,
		beat:       time.Second,
		patience:   10 * time.Second,
	}
}

// The kinds of what the server sends.
const (
	kindMessage = "message" // somebody says something
	kindJoined  = "joined"  // somebody comes
	kindLeft    = "left"    // somebody is gone
	kindMissed  = "missed"  // to a client that was too slow: here are events missing
	kindError   = "error"   // to a client: what it sent will not do
	kindNumbers = "numbers" // how the server is
)

// event is what happens in the room, or only to one client.
type event struct {
	Kind   string    `json:"kind"`
	Time   time.Time `json:"time"`
	Name   string    `json:"name,omitempty"`
	Text   string    `json:"text,omitempty"`
	Missed uint64    `json:"missed,omitempty"`
}

// numbers is how the server is.
type numbers struct {
	Kind       string  `json:"kind"`
	Clients    int     `json:"clients"`
	Goroutines int     `json:"goroutines"`
	PerSecond  float64 `json:"perSecond"` // messages
}

// room is where the clients meet.
type room struct {
	config

	logger *slog.Logger
	events *pubsub.Topic[[]byte] // in JSON, so that this is done once for all clients
	live   *pubsub.Topic[[]byte] // the numbers, of which only the latest matter
	places *ratelimit.Bulkhead   // one for each client, until its goroutines have ended
	said   atomic.Int64          // messages since the last numbers
}

// newRoom returns a room. It starts nothing.
func newRoom(c config, logger *slog.Logger) *room {
	return &room{
		config: c,
		logger: logger,
		events: pubsub.New[[]byte](c.queue, pubsub.Replay(c.history)),
		live:   pubsub.New[[]byte](1, pubsub.Replay(1)),
		places: ratelimit.NewBulkhead(c.maxClients, 1), // close waits, and nobody else
	}
}

// ServeHTTP lets a client in, and returns when it is gone. A browser does not
// tell a page with which status it was refused; so what people can mend, such as
// their name, is told by a close frame.
func (r *room) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !r.places.TryAcquire() {
		http.Error(w, "The room is full.", http.StatusServiceUnavailable)
		return
	}
	defer r.places.Release()

	conn, err := websocket.Accept(w, req, &websocket.AcceptOptions{OriginPatterns: r.origins})
	if err != nil { // it is answered
		r.logger.Warn("refused", "remote", req.RemoteAddr, "err", err)
		return
	}
	conn.SetReadLimit(maxRead)
	name := req.URL.Query().Get("name")
	if err := checkName(name); err != nil {
		_ = conn.Close(websocket.StatusPolicyViolation, err.Error()) // who does not listen is cut off
		return
	}
	c := &client{room: r, conn: conn, name: name, limit: ratelimit.New(r.rate, r.burst)}
	c.stay(req.Context()) // that lasts until this function returns, see http.Hijacker
}

// tell publishes an event. It does not wait for anybody, as no subscription
// blocks, and it is done even if ctx, that of a client, has ended.
func (r *room) tell(ctx context.Context, kind, name, text string) {
	e := event{Kind: kind, Time: time.Now(), Name: name, Text: text}
	_ = r.events.Publish(context.WithoutCancel(ctx), encode(e)) // if it is closed, nobody listens
}

// count publishes the numbers at each beat, until ctx ends.
func (r *room) count(ctx context.Context) {
	ticker := time.NewTicker(r.beat)
	defer ticker.Stop()
	for {
		n := numbers{
			Kind:       kindNumbers,
			Clients:    r.places.InUse(),
			Goroutines: runtime.NumGoroutine(),
			PerSecond:  float64(r.said.Swap(0)) / r.beat.Seconds(),
		}
		if r.live.Publish(ctx, encode(n)) != nil {
			return // ctx has ended
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// encode returns v in JSON. It is for types that always can be.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
