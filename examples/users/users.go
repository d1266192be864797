package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/mail"
	"sync"
	"time"

	"github.com/seed4886185c/concert/pubsub"
)

const (
	// queue is how many users may wait for a mail, or a profile. Who signs up when
	// there are so many waits, too: that is back-pressure, and nothing is lost.
	queue = 100

	// patience is how long a request waits for that.
	patience = 5 * time.Second

	maxBody = 1 << 10
)

// A user is who has signed up.
type user struct {
	ID    int    `json:"id"`
	Email string `json:"email"`
}

// service is the user service.
type service struct {
	send   func(ctx context.Context, to string) error
	logger *slog.Logger

	created pubsub.Emitter[user] // what an answer has to wait for
	later   *pubsub.Topic[user]  // what it has not

	mu       sync.Mutex // guards the fields below: requests run at the same time, and so do listeners
	last     int
	trail    io.Writer
	profiles map[int]string // by ID
	sent     int            // mails
}

// newService returns a service that writes its audit trail to trail.
func newService(trail io.Writer, send func(ctx context.Context, to string) error, logger *slog.Logger) *service {
	s := &service{
		send: send, logger: logger, trail: trail,
		later:    pubsub.New[user](queue),
		profiles: map[int]string{},
	}
	s.created.SetLimit(1)
	s.created.On(s.audit, pubsub.Named("audit"))
	s.created.On(s.later.Publish, pubsub.Named("queue"))
	s.later.Handle(s.profile, pubsub.Named("profile"))
	s.later.Handle(s.welcome, pubsub.Named("mail"))
	return s
}

// close waits until all listeners have got all users, and returns their errors.
// There must be no more requests.
func (s *service) close(ctx context.Context) error { return s.later.Close(ctx) }

// handler returns what answers the requests.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /users", s.create)
	return mux
}

// create answers a request for a new user.
func (s *service) create(w http.ResponseWriter, r *http.Request) {
	var u user
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&u)
	if address, e := mail.ParseAddress(u.Email); err != nil || e != nil || address.Address != u.Email {
		http.Error(w, "want an e-mail address", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.last++
	u.ID = s.last
	s.mu.Unlock()

	// A client that goes away must not leave a user that is half made.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	if err := s.created.Emit(ctx, u); err != nil {
		s.logger.Error("user not complete", "id", u.ID, "err", err)
		http.Error(w, "not all could be done for the new user", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	if err := json.NewEncoder(w).Encode(u); err != nil {
		s.logger.Debug("client gone", "err", err)
	}
}

// audit writes down who has signed up.
func (s *service) audit(_ context.Context, u user) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.NewEncoder(s.trail).Encode(u)
}

// profile makes a page for the user.
func (s *service) profile(_ context.Context, u user) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.profiles[u.ID]; found {
		return errors.New("there is one")
	}
	s.profiles[u.ID] = "The page of " + u.Email
	return nil
}

// welcome sends a mail. That it failed is logged at once; Close tells it as well,
// but that may be in a year, and of many errors it knows some.
func (s *service) welcome(ctx context.Context, u user) error {
	if err := s.send(ctx, u.Email); err != nil {
		s.logger.Warn("no welcome mail", "id", u.ID, "err", err)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	return nil
}

// done returns how many profiles and mails there are.
func (s *service) done() (profiles, mails int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.profiles), s.sent
}
