package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/seed4886185c/concert/pubsub"
	"github.com/seed4886185c/concert/ratelimit"
)

const (
	maxName = 32      // characters
	maxText = 1000    // characters
	maxRead = 4 << 10 // bytes, in which maxText of the longest fit
)

// errClosed is why clients are gone when the room is closed.
var errClosed = errors.New("the room is closed")

// client is somebody in the room.
type client struct {
	room  *room
	conn  *websocket.Conn
	name  string
	limit *ratelimit.Limiter
}

// stay is the client's time in the room. It lasts until one of its three loops
// ends, or ctx does; this ends the others, and the connection.
func (c *client) stay(ctx context.Context) {
	ctx, end := context.WithCancelCause(ctx)
	events := c.room.events.Subscribe(ctx, pubsub.DropOldest)
	live := c.room.live.Subscribe(ctx, pubsub.DropOldest)
	c.room.tell(ctx, kindJoined, c.name, "")
	c.room.logger.Info("joined", "name", c.name)

	var sending sync.WaitGroup
	sending.Go(func() { end(c.send(ctx, events)) })
	sending.Go(func() { end(c.beat(ctx, live)) })
	end(c.receive(ctx))
	sending.Wait()
	_ = c.conn.CloseNow() // it is closed if all went well

	c.room.tell(ctx, kindLeft, c.name, "")
	c.room.logger.Info("left", "name", c.name, "reason", context.Cause(ctx))
}

// receive publishes what the client says. Pings, pongs and close frames come by
// the way: Read deals with them, and so it has to be called all the time.
func (c *client) receive(ctx context.Context) error {
	for {
		_, data, err := c.conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("receiving: %w", err)
		}
		text, err := c.check(data)
		if err == nil {
			c.room.said.Add(1)
			c.room.tell(ctx, kindMessage, c.name, text)
			continue
		}
		if err := c.write(ctx, encode(event{Kind: kindError, Time: time.Now(), Text: err.Error()})); err != nil {
			return err
		}
	}
}

// send sends what happens, as fast as the client takes it. When the room is
// closed, it still sends the rest, and then says goodbye.
func (c *client) send(ctx context.Context, events *pubsub.Subscription[[]byte]) error {
	for data, err := range events.All() {
		if lagged, ok := errors.AsType[*pubsub.LaggedError](err); ok {
			data, err = encode(event{Kind: kindMissed, Time: time.Now(), Missed: lagged.Missed}), nil
		}
		if errors.Is(err, pubsub.ErrClosed) {
			break // it came too late to hear anything
		}
		if err != nil {
			return err
		}
		if err := c.write(ctx, data); err != nil {
			return err
		}
	}
	_ = c.conn.Close(websocket.StatusGoingAway, errClosed.Error()) // it waits until the client agrees, but not for long
	return errClosed
}

// beat sends the numbers, each time followed by a ping: a connection may be dead
// although nobody has closed it, which shows only when there is no answer.
func (c *client) beat(ctx context.Context, live *pubsub.Subscription[[]byte]) error {
	for data, err := range live.All() {
		if _, ok := errors.AsType[*pubsub.LaggedError](err); ok {
			continue // the newer ones come next
		}
		if err != nil {
			return err
		}
		if err := c.write(ctx, data); err != nil {
			return err
		}
		if err := c.ping(ctx); err != nil {
			return err
		}
	}
	return nil
}

// write sends a message. Several goroutines may do so.
func (c *client) write(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.room.patience)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, data); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// ping returns when the client has answered.
func (c *client) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.room.patience)
	defer cancel()
	return c.conn.Ping(ctx)
}

// check returns the text of a message of the client, or what it has to be told.
func (c *client) check(data []byte) (string, error) {
	if !c.limit.Allow() {
		return "", errors.New("that was too fast: wait for a moment")
	}
	var message struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(data, &message) != nil {
		return "", errors.New(`want JSON such as {"text": "Hello!"}`)
	}
	text := strings.TrimSpace(message.Text)
	if n := utf8.RuneCountInString(text); n < 1 || n > maxText {
		return "", fmt.Errorf("want a text of 1 to %d characters", maxText)
	}
	return text, nil
}

// checkName returns an error that says which names there may be. With characters
// that nobody sees, a name could look like another, or like none.
func checkName(name string) error {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	n := utf8.RuneCountInString(name)
	if n < 1 || n > maxName || name != strings.TrimSpace(name) || strings.ContainsFunc(name, hidden) || !utf8.ValidString(name) {
		return fmt.Errorf("want a name of 1 to %d visible characters", maxName)
	}
	return nil
}
